"""Tensors that are taken from another file: by generate, verify, describe and alone."""

import json
import os
import shutil
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import initlib
from initlib._dtypes import FLOATS
from initlib.initializers import FromFile

# Numbers that narrower dtypes have to round, more than are read at a time.
VALUES = np.sin(np.arange(300.0 * 500)).reshape(300, 500)


@pytest.fixture
def base(tmp_path, monkeypatch):
    """A checkpoint, and manifests beside it by the layers that they have."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    tensors = {"w": VALUES.astype(np.float32), "ids": np.arange(6)}
    save_file(tensors, "models/base.safetensors")
    return tmp_path


def manifest(path="models/base.safetensors", **layer):
    layer = {"name": "w", "shape": [300, 500], **layer}
    return {"layers": [{"initializer": f"from_file({path!r})", **layer}]}


def made(dtype="float32", **options):
    initlib.generate(manifest(dtype=dtype, **options), "out.safetensors", force=True)
    return load_file("out.safetensors")["w"]


def test_the_same_dtype_keeps_its_bits(base):
    assert made().tobytes() == VALUES.astype(np.float32).tobytes()
    layer = {"name": "x", "shape": [6], "dtype": "int64"}
    layer["initializer"] = "from_file('models/base.safetensors', tensor='ids')"
    initlib.generate({"layers": [layer]}, "out.safetensors", force=True)
    assert load_file("out.safetensors")["x"].tolist() == [*range(6)]


def test_other_floats_are_rounded_once(base):
    save_file({"w": VALUES}, "models/base.safetensors")
    expected = initlib.initializers.Constant(VALUES)
    for dtype in ("float16", "bfloat16", "float32"):
        assert made(dtype).tobytes() == expected(VALUES.shape, dtype).tobytes()


@pytest.mark.parametrize("stored", FLOATS)
def test_every_float_to_every_float(base, stored):
    # The file is initgen's, as NumPy's save_file has no float8.
    layer = {"name": "w", "shape": [300, 500], "dtype": stored, "initializer": "random_normal"}
    initlib.generate({"layers": [layer]}, "drawn.safetensors")
    source = FromFile("drawn.safetensors", "w")
    exact = initlib.initializers.Constant(source((300, 500), stored).astype(np.float64))
    assert len(np.unique(exact.value)) > 30
    for dtype in FLOATS:
        assert source((300, 500), dtype).tobytes() == exact((300, 500), dtype).tobytes()


@pytest.mark.parametrize("threads", [1, 3])
def test_any_pieces_make_the_same_file(base, threads):
    initlib.generate(
        manifest(dtype="float16"), "a.safetensors", threads=threads, memory=f"{threads}MiB"
    )
    initlib.generate(manifest(dtype="float16"), "b.safetensors", threads=2, memory="64MiB")
    assert (base / "a.safetensors").read_bytes() == (base / "b.safetensors").read_bytes()


def test_hdf5_that_is_compressed(base):
    with h5py.File("models/base.h5", "w") as file:
        file.create_dataset("block/w", data=VALUES, chunks=(7, 9), compression="gzip")
    layer = {"initializer": "from_file('models/base.h5', 'block/w')", "dtype": "float64"}
    assert made(**layer).tobytes() == VALUES.tobytes()


def test_folders_of_shards(base):
    initlib.generate(manifest(), "folder", max_shard_size="100KB")
    layer = {"initializer": "from_file('folder')"}
    assert made(**layer).tobytes() == VALUES.astype(np.float32).tobytes()


def test_paths_are_seen_from_the_manifests_folder(base):
    (base / "sub").mkdir()
    layer = "{name: w, shape: [300, 500], initializer: from_file('../models/base.safetensors')}"
    (base / "sub/m.yaml").write_text(f"layers: [{layer}]")
    initlib.generate("sub/m.yaml", "out.safetensors")
    assert load_file("out.safetensors")["w"].tobytes() == VALUES.astype(np.float32).tobytes()
    # The file itself is elsewhere: a path from there leads nowhere.
    assert "isn't in the folder" in initlib.verify("out.safetensors").notes[0]
    allowed = initlib.verify("out.safetensors", allow_files=True)
    assert "there is no file" in allowed.notes[0]
    assert initlib.verify("out.safetensors", manifest="sub/m.yaml").values == 1


def test_a_rule_takes_each_tensor_by_its_own_name(base):
    save_file({"a": np.ones(3, np.float32), "b": np.zeros(3, np.float32)}, "ab.safetensors")
    rules = [{"match": "*", "initializer": "from_file('ab.safetensors')"}]
    layers = [{"name": name, "shape": [3]} for name in "ba"]
    initlib.generate({"rules": rules, "layers": layers}, "out.safetensors")
    found = load_file("out.safetensors")
    assert (found["a"].tolist(), found["b"].tolist()) == ([1, 1, 1], [0, 0, 0])
    assert initlib.verify("out.safetensors").same


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"initializer": "from_file('models/bsae.safetensors')"},
            "<manifest>: layers[0].initializer: for 'w': there is no file "
            "'models/bsae.safetensors' in {folder}; did you mean 'base.safetensors'?",
        ),
        (
            {"name": "idx"},
            "<manifest>: layers[0].initializer: for 'idx': models/base.safetensors has no tensor "
            "'idx'; did you mean 'ids'?",
        ),
        (
            {"shape": [500, 300]},
            "<manifest>: layers[0].initializer: for 'w': expected the shape of 'w' in "
            "models/base.safetensors, (300, 500), received (500, 300)",
        ),
        (
            {"dtype": "int8"},
            "<manifest>: layers[0].initializer: for 'w': expected the dtype of 'w' in "
            "models/base.safetensors, float32, or floats for floats, received int8",
        ),
        (
            {"initializer": "from_file(3)"},
            "<manifest>: layers[0].initializer: for 'w': expected the path as text, received 3",
        ),
        (
            {"initializer": "from_file"},
            "<manifest>: layers[0].initializer: for 'w': FromFile: missing a required argument: "
            "'path'",
        ),
    ],
)
def test_what_is_refused_while_planning(base, change, message):
    with pytest.raises(initlib.RequestError) as error:
        initlib.generate(manifest(**change), "out.safetensors", dry_run=True)
    assert str(error.value) == message.format(folder=base)


def test_files_that_are_no_checkpoint(base):
    (base / "text").write_text("hello, hello")
    with pytest.raises(initlib.StorageError, match="text: "):
        initlib.generate(manifest("text"), "out.safetensors")
    assert not (base / "out.safetensors").exists()


def test_values_beyond_the_dtype(base):
    save_file({"w": np.full((300, 500), 1e6, np.float32)}, "models/base.safetensors")
    with pytest.raises(initlib.RequestError, match=r"'w': expected values that float16 can hold"):
        made("float16")
    assert not (base / "out.safetensors").exists()


def test_a_file_that_changes_meanwhile(base):
    from initlib._dtypes import DTYPES
    from initlib._stream import Stream
    from initlib.initializers import Target

    found = FromFile("models/base.safetensors").at(base, "w")
    target = Target((300, 500), DTYPES["float32"], Stream.seeded(0))
    found.check(target)
    save_file({"w": VALUES.astype(np.float32)}, "models/base.safetensors")
    os.utime("models/base.safetensors", ns=(1, 1))
    with pytest.raises(initlib.StorageError, match=r"base\.safetensors: it has changed meanwhile"):
        found.fill(np.empty(10, np.float32), 0, target)


def test_verify(base):
    made("float16")
    done = initlib.verify("out.safetensors")
    assert (done.same, done.values, done.notes) == (True, 1, ())

    shutil.move("models/base.safetensors", "models/kept.safetensors")
    absent = initlib.verify("out.safetensors")
    assert (absent.same, absent.values, absent.digest) == (True, 0, 1)
    (note,) = absent.notes
    assert note == (
        f"there is no file 'models/base.safetensors' in {base}; did you mean 'kept.safetensors'?: "
        "digests are compared"
    )
    assert initlib.verify("out.safetensors", quick=True).notes == ()

    changed = VALUES.astype(np.float32)
    changed[7, 9] = 3
    save_file({"w": changed}, "models/base.safetensors")
    other = initlib.verify("out.safetensors")
    assert not other.same
    assert other.tensors[0].first_index == (7, 9)
    assert other.tensors[0].detail.endswith(
        "; the file is as it was recorded, so models/base.safetensors has other values now"
    )

    save_file({"w": changed[:-1]}, "models/base.safetensors")
    reshaped = initlib.verify("out.safetensors")
    assert (reshaped.same, reshaped.digest) == (True, 1)
    assert "expected the shape of 'w'" in reshaped.notes[0]


def test_a_changed_file_is_told_from_a_changed_source(base):
    made()
    data = bytearray((base / "out.safetensors").read_bytes())
    data[-1] ^= 1
    (base / "out.safetensors").write_bytes(data)
    (verdict,) = initlib.verify("out.safetensors").tensors
    assert verdict.problem == "changed"
    assert "has other values now" not in verdict.detail


def test_what_the_file_says_of_it(base):
    made()
    assert "tensor='w'" in initlib.describe("out.safetensors").tensors[0].expected.initializer
    (tensor,) = initlib.describe(manifest()).tensors
    assert (tensor.expected.initializer, tensor.warnings) == (
        "from_file('models/base.safetensors')",
        (),
    )


def test_describe_does_without_the_file(base):
    made()
    Path("models/base.safetensors").unlink()
    (tensor,) = initlib.describe("out.safetensors").tensors
    assert tensor.judgement is None
    assert tensor.expected.initializer.startswith("from_file(path='models/base.safetensors'")
    (planned,) = initlib.describe(manifest()).tensors
    assert "there is no file 'models/base.safetensors'" in planned.warnings[0]
    (held,) = initlib.describe("out.safetensors", manifest=manifest()).tensors
    assert held.judgement is None
    assert "from_file" in initlib.manifest("out.safetensors").text


def test_alone(base):
    values = FromFile("models/base.safetensors", "w")((300, 500), "bfloat16")
    assert values.dtype == ml_dtypes.bfloat16
    np.testing.assert_allclose(values.astype(np.float64), VALUES, rtol=2**-8)
    with pytest.raises(initlib.RequestError, match="expected the name of a tensor in models/base"):
        FromFile("models/base.safetensors")((300, 500))
    with pytest.raises(initlib.RequestError, match="expected the tensor as text, received "):
        FromFile("a", "a\0")
    with pytest.raises(initlib.RequestError, match="expected the shape of 'w'"):
        FromFile("models/base.safetensors", "w")((3, 5))


@pytest.mark.parametrize("path", ["../base.safetensors", "link.safetensors", "absolute"])
def test_a_file_does_not_say_what_is_read_outside_of_its_folder(base, path):
    (base / "sub").mkdir()
    shutil.copy("models/base.safetensors", "base.safetensors")
    if path == "link.safetensors":
        (base / "sub" / path).symlink_to(base / "base.safetensors")
    path = str(base / "base.safetensors") if path == "absolute" else path
    layer = {"name": "w", "shape": [300, 500], "initializer": f"from_file({path!r})"}
    (base / "sub/m.json").write_text(json.dumps({"layers": [layer]}))
    initlib.generate("sub/m.json", "sub/out.safetensors")
    done = initlib.verify("sub/out.safetensors")
    assert (done.same, done.values, done.digest) == (True, 0, 1)
    assert f"{path!r} isn't in the folder" in done.notes[0]
    assert "--allow-files" in done.notes[0]
    allowed = initlib.verify("sub/out.safetensors", allow_files=True)
    assert (allowed.same, allowed.values, allowed.notes) == (True, 1, ())
    assert initlib.verify("sub/out.safetensors", manifest="sub/m.json").values == 1


def test_a_pipe_or_a_device_is_never_opened(base):
    made()
    os.unlink("models/base.safetensors")  # noqa: PTH108
    os.mkfifo("models/base.safetensors")
    done = initlib.verify("out.safetensors")
    assert "not a file" in done.notes[0]
    (base / "models/base.safetensors").unlink()
    (base / "models/base.safetensors").symlink_to("/dev/zero")
    done = initlib.verify("out.safetensors", allow_files=True)
    assert "not a file" in done.notes[0]


def test_files_do_not_stay_open(base):
    made()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    initlib.verify("out.safetensors")
    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208
