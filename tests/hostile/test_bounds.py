"""What strangers ask for is refused, or done, within two seconds and 500 MiB."""

import json
import os
import subprocess
import sys
import zipfile
import zlib

import fuzz_targets
import h5py
import numpy as np
import pytest

CHILD = """
import sys, time
sys.path[:0] = sys.argv[1].split(":")
import initlib
from initlib._errors import InitlibError
for path in sys.argv[2:]:
    begin = time.process_time()
    said = "fine"
    for function in (initlib.describe, initlib.generate):
        try:
            if function is initlib.describe:
                function(path)
            elif path.endswith((".yaml", ".json")):
                function(path, "out.safetensors", dry_run=True)
        except InitlibError as error:
            said = str(error)
            assert len(said.splitlines()) == 1 and len(said) < 2000, said
    # Not by getrusage, which counts what the process had that started this one.
    status = open("/proc/self/status").read()
    peak = int(status.split("VmHWM:")[1].split()[0]) >> 10
    print(path, time.process_time() - begin, peak, said, sep="\\t", flush=True)
"""
# Two functions are called, and a machine may be busy; what is wrong takes minutes or forever.
SECONDS = 10
MEBIBYTES = 500


def within_bounds(folder, names):
    """Look at files in another process; return what is said of each."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, ":".join(sys.path), *names],
        cwd=folder,
        env={**os.environ, **fuzz_targets.LIMITS},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stderr == ""
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == list(names)
    slow = [row for row in rows if float(row[1]) > SECONDS]
    large = [row for row in rows if int(row[2]) > MEBIBYTES]
    assert (slow, large[:1]) == ([], [])
    return {row[0]: row[3] for row in rows}


def layer(**keys):
    return {"name": "w", "shape": [2], "initializer": "zeros", **keys}


def repeats(depth, count, inner):
    for i in range(depth):
        inner = [{"repeat": {f"v{i}": count}, "layers": inner}]
    return inner


def concatenated(depth):
    part = {"class_name": "zeros", "config": {}}
    for _ in range(depth):
        config = {"sizes": [1, 1], "initializers": [part, part]}
        part = {"class_name": "concatenate", "config": config}
    return part


STAR = [{"match": "*", "initializer": "zeros"}]


def ruled(name, *globs):
    rules = [{"match": glob, "initializer": "zeros"} for glob in globs]
    return {"rules": rules + STAR, "layers": [{"name": name, "shape": [2]}]}


MANIFESTS = {
    "repeat of 10^12": [{"repeat": {"i": 10**12}, "layers": [layer(name="{i}")]}],
    "repeat of 10^12 of nothing": [{"repeat": {"i": "10**12"}, "layers": []}],
    "repeat of 10^5000": [{"repeat": {"i": "10**5000"}, "layers": []}],
    "repeat of 1e400": [{"repeat": {"i": "1e400"}, "layers": []}],
    "2^40 repeats": repeats(40, 2, []),
    "2^40 repeats of one name": repeats(40, 2, [layer()]),
    "10^60 turns": [{"repeat": {f"v{i}": 10**6 for i in range(10)}, "layers": []}],
    "a million times a million times 0": [
        {"repeat": {"a": 10**6, "b": 10**6, "c": 0}, "layers": []} for _ in range(500)
    ],
    "a name of 10 MB": [layer(name="x" * 10**7)],
    "10 GB of names": [{"repeat": {"i": 10**6}, "layers": [layer(name="x" * 9990 + "{i}")]}],
    "names of many fields": [{"repeat": {"i": 10**6}, "layers": [layer(name="{i}" * 3000)]}],
    "a width of 10^9": [{"repeat": {"i": 2}, "layers": [layer(name="{i:0999999999d}")]}],
    "a width in a field": [{"repeat": {"i": 2}, "layers": [layer(name="{i:{i}d}")]}],
    "100,000 dimensions": [layer(shape=[2] * 100_000)],
    "dimensions beyond 2^64": [layer(shape=[10**4000])],
    "9**9**9": [layer(shape=["9**9**9"])],
    "2**10**10": [layer(initializer="constant(2**10**10)")],
    "2.0**10**10": [layer(initializer="constant(2.0**10**10)")],
    "text times a number": [layer(initializer="constant('a'*10**9)")],
    "a format": [layer(initializer="constant('%999999999d' % 1)")],
    "an f-string": [layer(initializer="constant(f'{1:999999999}')")],
    "parentheses": [layer(initializer="constant(" + "(" * 400 + ")" * 400 + ")")],
    "signs": [layer(initializer="constant(" + "-" * 900 + "1)")],
    "a bush of 2^12 initializers": [layer(initializer=concatenated(12))],
    "sizes of 2^64": [layer(initializer="concatenate([2**64, 2**64], [zeros(), zeros()])")],
    "a matrix of 2^60": [layer(shape=[2**30, 2**30], initializer="orthogonal")],
    "a long initializer": [layer(initializer="z" * 10**6)],
    "a long dtype": [layer(dtype="z" * 10**6)],
    "a long variable": [layer(shape=["z" * 900])],
    "stars": ruled("a" * 9000, "*a" * 400 + "b", "*?a" * 300 + "b", "*" * 10_000 + "b"),
    "stars by names": {
        "rules": [{"match": f"*{'a' * 900}{i}", "initializer": "zeros"} for i in range(100)] + STAR,
        "layers": [{"repeat": {"i": 10**5}, "layers": [{"name": "a" * 150 + "{i}", "shape": [2]}]}],
    },
    "a near miss": ruled("a" * 9000, "a" * 9000 + "b"),
    "many variables": {"vars": {f"v{i:03}" * 20: 1 for i in range(999)}, "layers": [layer()]},
    "many powers": {
        "vars": {f"v{i}": f"1.{i}**1074 * 0.{i + 1}**1074" for i in range(1000)},
        "layers": [layer()],
    },
    "a misspelt one of many": {
        "vars": {"v" * 90 + str(i): 1 for i in range(3000)},
        "layers": [layer(shape=["v" * 95])],
    },
}
LAUGHS = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{outer}: &{outer} [{', '.join(['*' + inner] * 10)}]\n"
    for inner, outer in zip("abcdefgh", "bcdefghi", strict=True)
)
TEXTS = {
    "laughs.yaml": LAUGHS,
    "itself.yaml": "layers: &a [*a]",
    "deep.yaml": "- " * 100_000 + "x",
    "braces.yaml": "{" * 100_000,
    "questions.yaml": "? " * 50_000,
    "documents.yaml": "---\n" * 100_000,
    "digits.yaml": "layers: []\nseed: " + "9" * 5001,
    "hex.yaml": "layers: []\nseed: 0x" + "f" * 1_000_000,
    "exponent.yaml": "layers: []\nseed: 1e" + "9" * 1_000_000,
    "zeros.yaml": "\0" * 1000,
    "deep.json": "[" * 1_000_000,
    "digits.json": '{"seed": ' + "9" * 5001 + "}",
    "exponent.json": '{"seed": 1e' + "9" * 100_000 + ', "layers": []}',
    "escapes.json": '{"layers": "' + "\\\\" * 1_000_000 + '"}',
    "unended.json": '{"layers": "' + '\\"' * 1_000_000,
    "twice.json": '{"layers": [], "layers": []}',
    "mark.json": "\ufeff\ufeff{}",
}


def test_manifests(tmp_path):
    for name, manifest in MANIFESTS.items():
        data = manifest if isinstance(manifest, dict) else {"layers": manifest}
        (tmp_path / f"{name.replace('/', '_')}.json").write_text(json.dumps(data))
    for name, text in TEXTS.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    names = sorted(path.name for path in tmp_path.iterdir())
    said = within_bounds(tmp_path, names)
    fine = {name.removesuffix(".json") for name, what in said.items() if what == "fine"}
    assert fine <= {
        *("a bush of 2^12 initializers", "stars", "a near miss", "many variables", "many powers"),
        *("a million times a million times 0", "a matrix of 2^60"),
    }


def safetensors(path, header, data=b""):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)


def tensor(**keys):
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **keys}


def provenance(**keys):
    manifest = {"layers": [layer()]}
    record = {
        "checksum": "0" * 64,
        "version": "1",
        "stream": 1,
        "seed": 0,
        "manifest": manifest,
        "manifest_sha256": "0" * 64,
        "initializers": [],
        "tensors": {"w": [0, "0" * 64]},
        **keys,
    }
    return {"__metadata__": {"initgen": json.dumps(record)}, "w": tensor()}


HEADERS = {
    "deep": b'{"a":' * 1_000_000,
    "digits": b'{"a":' + b"9" * 1_000_000 + b"}",
    "dimensions": {"w": tensor(shape=[2**62] * 100_000)},
    "many dimensions": {"w": tensor(shape=[1] * 100_000 + [2])},
    "a long name": {"w" * 1_000_000: tensor()},
    "a long dtype": {"w": tensor(dtype="z" * 1_000_000)},
    "repeats": provenance(manifest={"layers": [{"repeat": {"i": 10**12}, "layers": []}, layer()]}),
    "repeats of tensors": provenance(
        manifest={"layers": [{"repeat": {"i": 10**6}, "layers": [layer(name="w{i}")]}]}
    ),
    "a large tensor": provenance(manifest={"layers": [layer(shape=[2**60])]}),
    "globs": provenance(only=["*a" * 200 + "b", "w", "*?a" * 200]),
    "a stream": provenance(stream=10**4000),
    "a deep manifest": provenance(manifest={"layers": json.loads("[" * 300 + "]" * 300)}),
}


def test_safetensors(tmp_path):
    for name, header in HEADERS.items():
        safetensors(tmp_path / f"{name}.safetensors", header, bytes(8))
    within_bounds(tmp_path, sorted(path.name for path in tmp_path.iterdir()))


def test_hdf5(tmp_path):
    def bomb(file, size, count):
        packed = file.create_dataset("w", (size * count,), "u1", chunks=(size,), compression="gzip")
        piece = zlib.compress(bytes(size))
        for i in range(count):
            packed.id.write_direct_chunk((i * size,), piece)

    def lies(file):
        packed = file.create_dataset("w", (4096,), "u1", chunks=(4096,), compression="gzip")
        packed.id.write_direct_chunk((0,), zlib.compress(bytes(2**28)))

    def deep(file):
        for _ in range(1000):
            file = file.create_group("g")

    def paths(file):
        """2^30 ways to one dataset."""
        file.create_group("0")["w"] = np.ones(2, np.float32)
        for i in range(1, 30):
            group = file.create_group(f"{i}")
            group["a"] = group["b"] = file[f"{i - 1}"]

    def cycles(file):
        file["a/w"] = np.ones(2, np.float32)
        for i in range(20):
            file[f"a/{i}"] = file["/"]

    def counts(file):
        file.create_dataset("w", (2**20, 2**20), "f4", chunks=(1, 1))

    def fills(file):
        file.create_dataset("w", (2**62,), "u1", chunks=(2,), fillvalue=3)

    def metadata(file):
        file.create_dataset("__metadata__", (2**30,), "u1")[-1:] = 1

    makers = {each.__name__: each for each in (lies, deep, paths, cycles, counts, fills, metadata)}
    makers["bomb"] = lambda file: bomb(file, 2**24, 8)
    for name, make in makers.items():
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            make(file)
    within_bounds(tmp_path, sorted(path.name for path in tmp_path.iterdir()))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_keras_archives(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "bomb.keras", "w", method) as file:
        file.writestr("model.weights.h5", bytes(1 << 28))
    with zipfile.ZipFile(tmp_path / "config.keras", "w", method) as file:
        file.writestr("config.json", "[" * (1 << 25))
    within_bounds(tmp_path, ["bomb.keras", "config.keras"])


def test_indices(tmp_path):
    texts = {
        "many": json.dumps({"weight_map": {str(i): f"{i}.safetensors" for i in range(100_000)}}),
        "lists": '{"weight_map": [' + "[]," * 1_000_000 + "[]]}",
        "deep": '{"weight_map":' * 1_000_000,
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.safetensors.index.json").write_text(text)
    within_bounds(tmp_path, sorted(path.name for path in tmp_path.iterdir()))
