"""What the golden files freeze, made again here and now.

As a program it needs neither pytest nor a compiler, so that it runs wherever initlib does:

    python golden.py reference|kernels

prints, as JSON, how many rows it made again by NumPy or by compiled kernels, which of them came out
wrong, and where that was.
"""

import hashlib
import json
import os
import platform
import sys
import tempfile
from contextlib import chdir
from pathlib import Path

import numpy as np
from initializer_cases import CASES, SOURCE, SOURCE_VALUES, shape_of
from safetensors.numpy import save_file

from initlib import generate, initializers
from initlib._dtypes import FLOATS
from initlib._stream import Normal, Stream, Truncated, TruncatedNormal, Uniform, _engine
from initlib.initializers import Target

FOLDER = Path(__file__).parents[1] / "golden"
LAWS = {"normal": Normal, "truncated": TruncatedNormal, "uniform": Uniform, "inverse": Truncated}
INEXACT = [name for name, case in CASES.items() if case.tolerance is not None]
# Parts of a tensor: whole, and a few elements from an odd one on.
PARTS = (("keras", 0, None), ("torch", 7, 61))
# All bits of a digest would only make the files longer.
BYTES = 16


def rows(name):
    """The rows of a golden file, split at spaces."""
    lines = (FOLDER / name).read_text().splitlines()
    return [line.split(" ") for line in lines if not line.startswith("#")]


def digest(values):
    """What a row holds of values: short ones as they are, long ones hashed."""
    raw = np.asarray(values).tobytes()
    return (raw if len(values) <= 8 else hashlib.blake2b(raw, digest_size=BYTES).digest()).hex()


def stream_values(row):
    """The values of a row of stream-v1.txt, and their transform."""
    transform, a, b, dtype, seed, name, start, count, _ = row
    stream = Stream.seeded(int(seed)) if name == "-" else Stream.named(int(seed), name)
    out = np.empty(int(count), FLOATS[dtype])
    law = LAWS[transform](*map(float, f"{a},{b}".split(",")))
    law.fill(out, int(start), stream)
    return out, law.recipe(out.dtype)[0]


def initializer_values(name, dtype, layout, start=0, count=None):
    """Elements of a tensor of one of the cases; they are made alone if there is a way."""
    target = Target(shape_of(name, layout), FLOATS[dtype], Stream.seeded(7), layout)
    initializer = CASES[name]
    count = target.size - start if count is None else count
    if not initializers.streams(initializer, target):
        return initializers.materialize(initializer, target).reshape(-1)[start : start + count]
    out = np.empty(count, target.dtype)
    initializer.fill(out, start, target)
    return out


def model_digests(path, **how):
    """The digest of each tensor of model.yaml, from a file of its own."""
    made = generate(FOLDER / "model.yaml", path, force=True, **how)
    return [[each.name, each.digest] for each in made.tensors]


def made_again(folder):
    """Yield every row of the golden files with what it is now, in a folder to write in."""
    for row in rows("stream-v1.txt"):
        yield row, digest(stream_values(row)[0])
    with chdir(folder):
        save_file({"w": SOURCE_VALUES}, SOURCE)
        for row in rows("initializers-v1.txt"):
            name, dtype, layout, start, count, _ = row
            yield row, digest(initializer_values(name, dtype, layout, int(start), int(count)))
        for row, now in zip(rows("model-v1.txt"), model_digests("m.safetensors"), strict=True):
            yield row, now[-1]
        for name, layout, *frozen in rows("inexact-v1.txt"):
            yield [name, layout, "near"], "near" if near(name, layout, frozen) else "far"


def near(name, layout, frozen):
    """Whether the values of an inexact initializer are as near as it promises."""
    expected, values = np.array(frozen, float), initializer_values(name, "float64", layout)
    return np.abs(values - expected).max() <= CASES[name].tolerance * np.abs(expected).max()


def main(engine):
    if engine == "kernels":
        _engine.prepare(1 << 60)
    else:
        os.environ["NUMBA_DISABLE_JIT"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        results = [(row, now) for row, now in made_again(folder)]
    kernels = [_engine._kernels.get(_engine.kernel(law, dtype)) for law in LAWS for dtype in FLOATS]
    print(
        json.dumps(
            {
                "rows": len(results),
                "wrong": [row[:-1] for row, now in results if row[-1] != now],
                "kernels": sum(each is not None for each in kernels),
                "where": f"{platform.machine()}, {os.environ.get('NUMBA_CPU_NAME', 'its own')}",
                "with": f"Python {platform.python_version()}, NumPy {np.__version__}",
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
