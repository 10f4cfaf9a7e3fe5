"""Checkpoints that lie, are damaged or are none: one line that names the file, and no memory."""

import io
import json
import os
import re
import resource
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file
from strange_checkpoints import ONES, archive, refused, weights

from initlib._checkpoint import open_checkpoint
from initlib._errors import RequestError, StorageError

INDEX = "model.safetensors.index.json"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("m.pt", b"\x80\x02\x8a\nl\xfc\x9c", "a pickle, as of torch.save"),
        ("m.pth", b"unknown", "a PyTorch checkpoint?"),
        ("m.npy", b"\x93NUMPY\1\0", "a NumPy array"),
        ("m.gguf", b"GGUF\3\0\0\0", "a GGUF file"),
        ("m", b"GGUF\3\0\0\0", "a GGUF file"),
        ("m.onnx", b"\x08\x07", "an ONNX model"),
        ("m.ckpt.index", b"\0\0", "a TensorFlow checkpoint"),
        ("m.msgpack", b"\x81", "a Flax checkpoint"),
        ("m.yaml", b"layers: []", "a manifest?"),
        ("m.json", b'{"layers": []}', "it looks like a manifest"),
        ("m.safetensors", b"version https://git-lfs.github.com/spec/v1\n", "`git lfs pull`"),
        ("m.safetensors", b"<!DOCTYPE html>", "a web page"),
        ("m.safetensors", b"", "it is empty"),
        ("m.h5", b"", "it is empty"),
        ("m.safetensors", b"\0" * 8, "not a JSON object|Expecting value"),
        ("m.h5", b"neither", "cannot read as HDF5"),
        ("m.h5.gz", b"\x1f\x8b\x08", "compressed by gzip"),
        ("m", b"neither", "not a checkpoint that initlib reads; expected safetensors, HDF5"),
    ],
)
def test_what_is_no_checkpoint(tmp_path, name, data, message):
    path = tmp_path / name
    path.write_bytes(data)
    assert any(text in refused(path) for text in message.split("|"))


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.h5")
    for path in (tmp_path / "pipe.h5", "/dev/zero", "/dev/null"):
        assert "not a file" in refused(path)
    (tmp_path / "loop").symlink_to("loop")
    refused(tmp_path / "loop")
    refused(tmp_path / ("long" * 100))


@pytest.fixture
def nobody():
    """Act as a user who isn't the superuser, who may read everything."""
    euid = os.geteuid()
    os.seteuid(euid or 65534)
    yield
    os.seteuid(euid)


def test_a_file_that_may_not_be_read(nobody):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.h5")
        path.touch(mode=0)
        assert "Permission denied" in refused(path)


def make_shards(folder, places=None, **others):
    for number in (1, 2):
        save_file({f"w{number}": ONES, f"v{number}": ONES}, folder / f"{number}.safetensors")
    places = places or {f"{name}{n}": f"{n}.safetensors" for n in (1, 2) for name in "wv"}
    (folder / INDEX).write_text(json.dumps({"weight_map": {**places, **others}}))


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"x": "3.safetensors"}, "shard '3.safetensors' is missing"),
        ({"x": "1.safetensors"}, "shard '1.safetensors' has no tensor 'x'"),
        ({"w1": "2.safetensors"}, "shard '2.safetensors' has no tensor 'w1'"),
        (
            {f"x{i}": "1.safetensors" for i in range(9)},
            "shard '1.safetensors' has no tensor 'x0', and 8 more",
        ),
        ({"x": "../1.safetensors"}, "shard '../1.safetensors' is not in the same folder"),
        ({"x": "/etc/1.safetensors"}, "is not in the same folder"),
        ({"x": "a\\1.safetensors"}, "is not in the same folder"),
        ({"x": "a\0.safetensors"}, "is not in the same folder"),
        ({"x": ".."}, "is not in the same folder"),
        ({"x": "."}, "is not in the same folder"),
        ({"x": ""}, "the file of tensor 'x' is not a name"),
        ({"x": 1}, "the file of tensor 'x' is not a name"),
        ({"x": ["1.safetensors"]}, "the file of tensor 'x' is not a name"),
        ({"x": "\ud800.safetensors"}, "the file of tensor 'x' is not a name"),
        ({"\ud800" * 999: "1.safetensors"}, "has no tensor '\\ud800"),
        ({"x": "pytorch_model.bin"}, "shard 'pytorch_model.bin' is no safetensors file"),
        ({"x": INDEX}, "is no safetensors file"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_indices_that_lie(tmp_path, others, message):
    make_shards(tmp_path, **others)
    assert message in refused(tmp_path, named=tmp_path / INDEX)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "{}", "null", '{"weight_map": {}}', '{"weight_map": []}'),
        *('{"weight_map": {"a": "x", "a": "y"}}', "[" * 100_000, '{"a":' * 100_000, "\ufeff{}"),
        "9" * 10_000,
    ],
    ids=lambda text: text[:30],
)
def test_indices_that_are_none(tmp_path, text):
    (tmp_path / INDEX).write_text(text)
    assert "not an index of safetensors files: " in refused(tmp_path / INDEX)


def test_an_index_longer_than_any_is_not_read(tmp_path):
    with (tmp_path / INDEX).open("wb") as file:
        file.truncate(500_000_000)
    assert "an index of 500000000 bytes, more than 100000000" in refused(tmp_path / INDEX)


def test_a_bad_shard_is_named(tmp_path):
    make_shards(tmp_path)
    path = tmp_path / "2.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert "damaged: expected" in refused(tmp_path, named=path)
    path.unlink()
    path.mkdir()
    assert "not a file" in refused(tmp_path, named=path)


def test_shards_without_an_index_that_have_the_same_tensor(tmp_path):
    for name in ("a", "b"):
        save_file({"w": ONES}, tmp_path / f"{name}.safetensors")
    message = refused(tmp_path, named=tmp_path / "b.safetensors")
    assert "tensor 'w' is in 'a.safetensors' too, and there is no index" in message


@pytest.mark.parametrize("suffix", ["safetensors", "h5", "keras"])
def test_a_file_cut_short_meanwhile(tmp_path, suffix):
    path = tmp_path / f"m.{suffix}"
    if suffix == "safetensors":
        save_file({"w": ONES}, path)
    elif suffix == "h5":
        path.write_bytes(weights())
    else:
        archive(path, model_weights_h5=weights())
    with open_checkpoint(path) as checkpoint:
        (tensor,) = checkpoint.tensors
        out = np.zeros(100, np.float32)
        checkpoint.read_into(tensor, 0, out)
        assert out.tolist() == ONES.tolist()
        os.truncate(path, tensor.offset + 99)
        with pytest.raises(StorageError, match=f"m.{suffix}: cannot read: it became shorter"):
            checkpoint.read_into(tensor, 0, out)


def test_a_packed_file_cut_short_meanwhile(tmp_path):
    path = tmp_path / "m.h5"
    path.write_bytes(weights("gzip"))
    with open_checkpoint(path) as checkpoint:
        os.truncate(path, 100)
        with pytest.raises(StorageError, match=r"m\.h5: cannot read"):
            checkpoint.read_into(checkpoint.tensors[0], 0, np.zeros(100, np.float32))


def test_a_packed_chunk_that_is_damaged(tmp_path):
    path = tmp_path / "m.h5"
    path.write_bytes(weights("gzip"))
    with h5py.File(path) as file:
        place = file["w"].id.get_chunk_info(0).byte_offset
    data = bytearray(path.read_bytes())
    data[place : place + 8] = b"\xff" * 8
    path.write_bytes(data)
    with (
        open_checkpoint(path) as checkpoint,
        pytest.raises(StorageError, match=r"m\.h5: cannot read as HDF5: .*filter"),
    ):
        checkpoint.read_into(checkpoint.tensors[0], 0, np.zeros(100, np.float32))


def test_a_filter_that_is_not_installed_is_said(tmp_path):
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((10,))
        properties.set_deflate(1)
        space = h5py.h5s.create_simple((10,))
        h5py.h5d.create(file.id, b"w", h5py.h5t.IEEE_F32LE, space, properties)
    # The name of the filter and its number stand in the head of the dataset.
    data = path.read_bytes()
    head = struct.pack("<HHHH", 1, 8, 1, 1) + b"deflate\0"
    assert data.count(head) == 1
    path.write_bytes(data.replace(head, struct.pack("<HHHH", 32001, 8, 1, 1) + b"blosc\0\0\0"))
    with open_checkpoint(path) as checkpoint:
        (row,) = checkpoint.unread
    assert row.what == "values packed by HDF5 filter 32001 (blosc), which is not installed"


def run(code, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


MEASURED = """
import sys, h5py, numpy
from initlib._checkpoint import open_checkpoint
from initlib._errors import InitlibError
import resource
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
for path in sys.argv[1:]:
    try:
        with open_checkpoint(path) as checkpoint:
            for tensor in checkpoint.tensors:
                checkpoint.read_into(tensor, 0, numpy.empty(10, tensor.entry.dtype))
    except InitlibError as error:
        print(error)
print((peak() - before) // 1024)
"""


def test_lies_take_no_memory(tmp_path):
    """Each of these speaks of gigabytes, but has none; peak memory is taken in another process."""
    header = (90_000_000).to_bytes(8, "little")
    (tmp_path / "short.safetensors").write_bytes(header + b"{" + b" " * 1000)
    shape = {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}
    text = json.dumps({"w": shape}).encode()
    (tmp_path / "huge.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)
    with h5py.File(tmp_path / "sparse.h5", "w") as file:
        file.create_dataset("filled", (2**40,), "f4", fillvalue=1)
        file.create_dataset("packed", (2**40,), "f4", chunks=(2**20,), compression="gzip")
        file.create_dataset("chunked", (2**40,), "f4", chunks=(2**29,))
        file.create_dataset("many", (2**20, 2**20), "f4", chunks=(1, 1))
        file.create_dataset("bomb", (2**30,), "u1", chunks=(2**30,), compression="gzip")
        file.create_dataset("bombs", (2**25,), "u1", chunks=(2**25,), compression="gzip")
        file["bombs"][:] = 1
    with (tmp_path / INDEX).open("wb") as file:
        file.truncate(10**9)
    paths = sorted(tmp_path.iterdir())
    done = run(MEASURED, *paths)
    *messages, mebibytes = done.stdout.splitlines()
    assert done.stderr == ""
    assert len(messages) == 3
    # A chunk of 32 MiB is unpacked, and what the library keeps for others.
    assert int(mebibytes) < 150


FLIPS = """
import sys, numpy
from initlib._checkpoint import open_checkpoint
from initlib._errors import InitlibError
whole = open(sys.argv[1], "rb").read()
random = numpy.random.default_rng(int(sys.argv[3]))
refused = 0
for _ in range(100):
    data = bytearray(whole)
    for _ in range(random.choice([1, 3])):
        data[random.integers(len(data))] ^= 1 << int(random.integers(8))
    if random.integers(4) == 0:
        del data[random.integers(len(data)):]
    with open(sys.argv[2], "wb") as file:
        file.write(data)
    try:
        with open_checkpoint(sys.argv[2]) as checkpoint:
            for tensor in checkpoint.tensors:
                out = numpy.empty(min(tensor.entry.size, 1000), tensor.entry.dtype)
                checkpoint.read_into(tensor, 0, out)
    except InitlibError as error:
        assert str(error).startswith(sys.argv[2] + ": ") and "\\n" not in str(error), error
        refused += 1
print(refused)
"""


@pytest.mark.parametrize("kind", ["safetensors", "h5", "keras", "packed.keras", INDEX])
def test_damage_anywhere(tmp_path, kind):
    """In another process, for libhdf5 may crash or hang."""
    path = tmp_path / f"whole.{kind}"
    names = [f"layer/{i}" for i in range(9)]
    if kind == "safetensors":
        save_file(dict.fromkeys(names, ONES[:9]), path, {"k": "v"})
    elif kind == INDEX:
        save_file(dict.fromkeys(names, ONES[:9]), tmp_path / "1.safetensors")
        path.write_text(json.dumps({"weight_map": dict.fromkeys(names, "1.safetensors")}))
    else:
        file = io.BytesIO()
        with h5py.File(file, "w") as h5:
            for i, name in enumerate(names):
                h5.create_dataset(name, data=ONES, compression="gzip" if i % 2 else None)
        if kind == "h5":
            path.write_bytes(file.getvalue())
        else:
            method = zipfile.ZIP_DEFLATED if "packed" in kind else zipfile.ZIP_STORED
            archive(path, method, model_weights_h5=file.getvalue())
    done = run(FLIPS, path, tmp_path / f"damaged.{kind}", 5)
    assert done.stderr == ""
    assert int(done.stdout) > 10


@pytest.fixture
def shards(tmp_path):
    """A checkpoint of thirty files."""
    places = {}
    for i in range(30):
        save_file({f"w{i}": ONES}, tmp_path / f"{i:02}.safetensors")
        places[f"w{i}"] = f"{i:02}.safetensors"
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": places}))
    return tmp_path


def test_more_shards_than_files_may_be_open(shards):
    """What a process may only because nobody asked for more, it may."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 20, limits[1]))
    try:
        open_checkpoint(shards).close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_more_shards_than_files_may_ever_be_open(shards):
    done = subprocess.run(
        [sys.executable, "-m", "initgen", "describe", shards],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert re.fullmatch(
        r"initgen: \S+safetensors: cannot read: Too many open files; .*\n", done.stderr
    )


def test_a_folder_of_nothing(tmp_path):
    assert "it is empty" in refused(tmp_path, RequestError)


@pytest.mark.parametrize(
    "stored", [">f4", ">f8", ">f2", ">i2", ">i8", ">u4", "odd", "narrow", "bfloat16"]
)
def test_hdf5_values_in_other_orders_and_widths(tmp_path, stored):
    """Read right, or said to be none of ours."""
    values = np.array([1, 2, 3, 100])
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        if stored in ("odd", "narrow"):
            kind = h5py.h5t.STD_I32BE.copy() if stored == "odd" else h5py.h5t.STD_I64LE.copy()
            kind.set_precision(kind.get_size() * 5)
            kind.set_offset(5)
        elif stored == "bfloat16":
            kind = h5py.h5t.IEEE_F32BE.copy()
            kind.set_fields(15, 7, 8, 0, 7)
            kind.set_size(2)
            kind.set_ebias(127)
        else:
            kind = h5py.h5t.py_create(np.dtype(stored))
        space = h5py.h5s.create_simple(values.shape)
        dataset = h5py.h5d.create(file.id, b"w", kind, space)
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, values.astype(np.float64))
    with open_checkpoint(path) as checkpoint:
        (tensor,) = checkpoint.tensors
        out = np.empty(4, tensor.entry.dtype)
        checkpoint.read_into(tensor, 0, out)
        assert out.astype(np.float64).tolist() == [1, 2, 3, 100]
