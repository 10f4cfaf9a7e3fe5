"""Stream version 1 is frozen: these bytes never change, whoever makes them."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from initlib._dtypes import FLOATS
from initlib._stream import Normal, Stream, Truncated, TruncatedNormal, Uniform, _engine

LINES = (Path(__file__).parent / "stream-v1.txt").read_text().splitlines()
ROWS = [line.split(" ") for line in LINES if not line.startswith("#")]
DISTRIBUTIONS = {
    "normal": Normal,
    "truncated": TruncatedNormal,
    "uniform": Uniform,
    "inverse": Truncated,
}


def test_every_transform_and_dtype_is_frozen():
    assert {(row[0], row[3]) for row in ROWS} == {(t, d) for t in DISTRIBUTIONS for d in FLOATS}
    assert len(ROWS) == 144


@pytest.mark.parametrize("engine", ["reference", "kernels"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_golden(monkeypatch, engine, dtype):
    monkeypatch.setattr(_engine._kernels, "job", 1 << 60 if engine == "kernels" else 0)
    for transform, a, b, _, seed, name, start, count, expected in (
        r for r in ROWS if r[3] == dtype
    ):
        stream = Stream.seeded(int(seed)) if name == "-" else Stream.named(int(seed), name)
        out = np.empty(int(count), FLOATS[dtype])
        law = DISTRIBUTIONS[transform](*map(float, f"{a},{b}".split(",")))
        assert law.recipe(out.dtype)[0] == transform
        law.fill(out, int(start), stream)
        raw = out.tobytes()
        if out.size > 8:
            raw = hashlib.blake2b(raw, digest_size=16).digest()
        assert raw.hex() == expected, (transform, a, b, seed, name, start)
