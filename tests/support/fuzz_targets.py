"""What strangers' data is given to: targets take bytes, and only initlib's errors may leave them.

The same targets serve `make fuzz` and the tests that replay tests/corpus.
"""

import atexit
import io
import json
import os
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import h5py
import numpy as np

import initlib
from initlib._checkpoint import open_checkpoint
from initlib._errors import InitlibError
from initlib._manifest import read
from initlib._plan import make_plan
from initlib._provenance import read_record

# With these in the environment an input takes 2 s and 500 MiB at most: see docs/manifest.md.
LIMITS = {"INITGEN_MAX_TENSORS": "100000", "INITGEN_MAX_STEPS": "20000000"}
# Elements that are read of each tensor, and tensors of each file.
FEW = 1000


def outcome(name, data):
    """Return what a target says to bytes: "done" or its error, which must be one line."""
    try:
        TARGETS[name](data)
    except InitlibError as error:
        message = str(error)
        assert "\n" not in message, message
        assert 0 < len(message) < 5000, len(message)
        return message
    return "done"


def manifest(data):
    """A manifest's text, YAML or JSON, to its plan and back."""
    found = read(io.BytesIO(data))
    make_plan(found, skip_code=True, skip_absent=True)
    canonical = json.dumps(found.canonical(), sort_keys=True)
    again = read(io.StringIO(canonical))
    assert json.dumps(again.canonical(), sort_keys=True) == canonical


def expression(data):
    """Arithmetic in a dimension, an argument, a count and a name."""
    text = data.decode(errors="surrogateescape")
    layer = {"name": "w", "shape": [text], "initializer": "zeros"}
    _plan({"vars": {"a": 3, "b": 0.5}, "layers": [layer]})


def name(data):
    """A name with fields, in a repeat."""
    text = data.decode(errors="surrogateescape")
    layer = {"name": text, "shape": [], "initializer": "zeros"}
    _plan({"layers": [{"repeat": {"i": 3}, "layers": [layer]}]})


def call(data):
    """An initializer as a call."""
    text = data.decode(errors="surrogateescape")
    layer = {"name": "w", "shape": [4, 4], "initializer": text}
    _plan({"vars": {"a": 3, "b": 0.5}, "layers": [layer]})


def rules(data):
    """Rules of globs, one a line."""
    globs = data.decode(errors="surrogateescape").split("\n")
    found = [{"match": glob, "initializer": "zeros"} for glob in globs]
    names = ["a", "h.0.attn.weight", "h.0.ln.weight", "x.bias", "xx" * 90, "[a]", "é\n"]
    _plan({"rules": found, "layers": [{"name": each, "shape": []} for each in names]})


def _plan(data):
    make_plan(read(data), skip_code=True, skip_absent=True)


def provenance(data):
    """The text of a file's provenance."""
    try:
        record = read_record({"initgen": data.decode(errors="replace")})
    except ValueError as error:
        raise initlib.StorageError(str(error)) from error
    if record is not None:
        _plan(record.manifest)


def checkpoint(data, suffix):
    """A file's bytes to values of its tensors."""
    path = folder() / f"fuzzed{suffix}"
    path.write_bytes(data)
    with open_checkpoint(path) as found:
        for tensor in found.tensors[:20]:
            out = np.empty(min(tensor.entry.size, FEW), tensor.entry.dtype)
            found.read_into(tensor, 0, out)


def safetensors(data):
    """A header, to which the length and as many bytes as it wants are added."""
    checkpoint(len(data).to_bytes(8, "little") + data + bytes(64), ".safetensors")


def verified(data):
    """A file to what `verify` says of it."""
    path = folder() / "verified.safetensors"
    path.write_bytes(data)
    initlib.verify(path, threads=1)


@cache
def folder():
    """A folder, in memory if there is some, with the shards that indices may name.

    It goes when the process ends, or with the fuzzer, which names one for all of its workers.
    """
    if FOLDER in os.environ:
        root = Path(tempfile.mkdtemp(dir=os.environ[FOLDER]))
    else:
        held = in_memory()
        atexit.register(held.cleanup)
        root = Path(held.name)
    initlib.generate({"layers": [LAYER]}, root / "a.safetensors")
    return root


def in_memory():
    """Return a new temporary folder, in memory if there is some."""
    memory = Path("/dev/shm")  # noqa: S108
    return tempfile.TemporaryDirectory(
        prefix="fuzz-", dir=memory if os.access(memory, os.W_OK) else None
    )


FOLDER = "INITGEN_FUZZ_FOLDER"
LAYER = {"name": "w", "shape": [3], "initializer": "random_normal"}
TARGETS = {
    "manifest": manifest,
    "expression": expression,
    "name": name,
    "call": call,
    "rules": rules,
    "provenance": provenance,
    "header": safetensors,
    "safetensors": lambda data: checkpoint(data, ".safetensors"),
    "hdf5": lambda data: checkpoint(data, ".h5"),
    "keras": lambda data: checkpoint(data, ".keras"),
    "index": lambda data: checkpoint(data, ".safetensors.index.json"),
    "verify": verified,
}


def seeds():
    """Return some good inputs of each target."""
    return {
        "manifest": [*_manifests(), json.dumps({"layers": [LAYER]}).encode()],
        "expression": [b"4*a", b"8/sqrt(4*a - 8)", b"2**10 // 3 % a", b"max(1, min(a, -b))"],
        "name": [b"h.{i}.w", b"a{i+1:02d}", b"{{x}}{2*i}"],
        "call": [
            *(
                b"he_normal(seed=1)",
                b"truncated_normal(stddev=0.02*b)",
                b"constant([1, 2, 0.5, -inf])",
            ),
            *(b"variance_scaling(2.0, mode='fan_out')", b"jax.normal(stddev=1e-2)"),
            *(b"concatenate([1, 3], [zeros(), ones()])", b"from_file('a.safetensors', 'w')"),
            *(b"orthogonal(gain=2)", b"sparse_(0.9)", b"uniform_(-1, 1)", b"trunc_normal_(std=2)"),
        ],
        "rules": [b"*\na*\n[!a-c]?", b"*.bias\n*.ln*.weight\n*", b"[[]a]\nx*x*x\n*"],
        **_files(),
    }


def _manifests():
    yield b"seed: 1\nvars: {n: 2}\nlayers:\n- {name: w, shape: [n, 4], initializer: he_normal}\n"
    for path in sorted((Path(__file__).parents[2] / "examples").glob("*.yaml")):
        if path.stat().st_size < 3000:
            yield path.read_bytes()
    yield (
        b"rules: [{match: 'a*', initializer: &x {class_name: Zeros, config: {}}}]\n"
        b"layers:\n- repeat: {i: 3, j: [1, 2]}\n  layers: [{name: 'a{i}.{j:02d}', shape: [2**i]}]\n"
        b"- {name: b, shape: [], initializer: *x, dtype: bfloat16, seed: 0x10}\n"
    )


def _files():
    """Return good files, as bytes, by target."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        layers = [LAYER, {"name": "g/b", "shape": [4], "dtype": "bfloat16", "initializer": "ones"}]
        for suffix in ("safetensors", "h5"):
            initlib.generate({"layers": layers}, root / f"m.{suffix}")
        ours, h5 = ((root / f"m.{suffix}").read_bytes() for suffix in ("safetensors", "h5"))
    length = int.from_bytes(ours[:8], "little")
    record = json.loads(ours[8 : 8 + length])["__metadata__"]["initgen"].encode()
    theirs = [_hdf5(libver) for libver in ("earliest", "latest")]
    tensor = {"dtype": "F32", "shape": [16], "data_offsets": [0, 64]}
    header = {"__metadata__": {"format": "pt"}, "w": tensor}
    return {
        "provenance": [record],
        "header": [json.dumps(header).encode(), json.dumps({"w": tensor}).encode()],
        "safetensors": [ours],
        "verify": [ours],
        "hdf5": [h5, *theirs],
        "keras": [
            _archive(theirs[0], zipfile.ZIP_STORED), _archive(theirs[0], zipfile.ZIP_DEFLATED)
        ],
        "index": [json.dumps({"weight_map": {"w": "a.safetensors"}}).encode()],
    }  # fmt: skip


def _hdf5(libver):
    file = io.BytesIO()
    with h5py.File(file, "w", libver=libver) as h5:
        h5["a/w"] = np.arange(9, dtype=">f4")
        h5.create_dataset("packed", data=np.arange(99), compression="gzip", shuffle=True)
        h5["a/text"] = "é"
        h5["opaque"] = np.void(b"ab")
        h5["opaque"].attrs["dtype"] = "bfloat16"
        h5["soft"], h5["hard"] = h5py.SoftLink("/a/w"), h5["a"]
        h5["other"] = h5py.ExternalLink("other.h5", "/w")
    return file.getvalue()


def _archive(weights, method):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", weights)
    return file.getvalue()
