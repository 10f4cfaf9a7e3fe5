"""initlib._checkpoint: anyone's files, shards and archives, and their values."""

import io
import json
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor

import h5py
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from initlib._checkpoint import open_checkpoint, read_metadata
from initlib._description import Unread
from initlib._dtypes import DTYPES
from initlib._errors import RequestError, StorageError
from initlib._formats import FORMATS, Entry
from initlib._formats._hdf5_read import slabs

RNG = np.random.default_rng(7)
OPAQUE = {"bfloat16", "float8_e4m3fn", "float8_e5m2"}
WEIGHTS = {
    f"{kind}/{len(shape)}": RNG.integers(0, 2, shape).astype(dtype)
    for kind, dtype in DTYPES.items()
    for shape in ((), (5,), (0, 3), (4, 3, 7))
}
PLAIN = {name: array for name, array in WEIGHTS.items() if name.split("/")[0] not in OPAQUE}


def values(checkpoint, step=11):
    """Every tensor, read in steps that fit no shape."""
    found = {}
    for tensor in checkpoint.tensors:
        out = np.empty(tensor.entry.size, tensor.entry.dtype)
        for start in range(0, out.size, step):
            checkpoint.read_into(tensor, start, out[start : start + step])
        found[tensor.entry.name] = out.reshape(tensor.entry.shape)
    return found


def same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape), name
        assert found[name].tobytes() == array.tobytes(), name


def checked(path, wanted):
    """Compare what is read with what was written; return the checkpoint, closed."""
    with open_checkpoint(path) as checkpoint:
        same(values(checkpoint), wanted)
    return checkpoint


def ours(path, file_format, weights):
    entries = [Entry(name, array.dtype, array.shape) for name, array in weights.items()]
    offsets = FORMATS[file_format].create(path, entries, {"k": "v"})
    with path.open("r+b") as file:
        for entry, offset in zip(entries, offsets, strict=True):
            file.seek(offset)
            file.write(weights[entry.name].tobytes())


@pytest.mark.parametrize("file_format", sorted(FORMATS))
def test_our_own_files(tmp_path, file_format):
    path = tmp_path / "what ever"
    ours(path, file_format, WEIGHTS)
    checkpoint = checked(str(path), WEIGHTS)
    assert checkpoint.format == file_format
    assert checkpoint.path == path
    assert checkpoint.files == (path,)
    assert checkpoint.names == ("what ever",)
    assert checkpoint.metadata == ({"k": "v"},)
    assert checkpoint.unread == ()
    assert read_metadata(path)[1] == {"k": "v"}
    offsets = [tensor.offset for tensor in checkpoint.tensors]
    assert offsets == sorted(offsets)
    data = path.read_bytes()
    for tensor in checkpoint.tensors:
        part = data[tensor.offset : tensor.offset + tensor.entry.nbytes]
        assert part == WEIGHTS[tensor.entry.name].tobytes()


def test_a_file_of_the_safetensors_library(tmp_path):
    save_file(PLAIN, tmp_path / "m.safetensors", {"who": "é"})
    checkpoint = checked(tmp_path / "m.safetensors", PLAIN)
    assert checkpoint.metadata == ({"who": "é"},)


def write_hdf5(file):
    """Write every way in which HDF5 stores values; return them."""
    wanted = {}
    for name, array in PLAIN.items():
        file[f"plain/{name}"] = wanted[f"plain/{name}"] = array
        if array.dtype.itemsize > 1:
            file[f"big/{name}"] = array.astype(array.dtype.newbyteorder(">"))
            wanted[f"big/{name}"] = array
        if array.ndim:
            some = tuple(max(1, size // 2) for size in array.shape)
            chunked = {"data": array, "chunks": some, "maxshape": (None,) * array.ndim}
            file.create_dataset(f"chunked/{name}", **chunked)
            file.create_dataset(f"packed/{name}", compression="gzip", shuffle=True, **chunked)
            wanted |= {f"chunked/{name}": array, f"packed/{name}": array}
    for name in OPAQUE:
        array = wanted[f"opaque/{name}"] = WEIGHTS[f"{name}/3"]
        raw = array.view(f"V{array.itemsize}")
        file.create_dataset(f"opaque/{name}", data=raw, chunks=(2, 2, 2)).attrs["dtype"] = name
    file.create_dataset("never written", (4, 5), "f4", fillvalue=2)
    wanted["never written"] = np.full((4, 5), 2, np.float32)
    file.create_dataset("scaled", data=np.arange(100), chunks=(30,), scaleoffset=0)
    wanted["scaled"] = np.arange(100)
    compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    compact.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple((2, 3))
    dataset = h5py.h5d.create(file.id, b"compact", h5py.h5t.IEEE_F32BE, space, compact)
    wanted["compact"] = np.arange(6, dtype=np.float32).reshape(2, 3)
    dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, wanted["compact"])
    return wanted


@pytest.mark.parametrize("options", [{}, {"libver": "latest"}, {"userblock_size": 1024}], ids=str)
def test_every_way_that_hdf5_stores_values(tmp_path, options):
    path = tmp_path / "m.weights.h5"
    with h5py.File(path, "w", **options) as file:
        wanted = write_hdf5(file)
    checkpoint = checked(path, wanted)
    assert checkpoint.format == "hdf5"
    plain = {t.entry.name for t in checkpoint.tensors if t.offset is not None and t.entry.size}
    assert plain == {f"plain/{name}" for name, array in PLAIN.items() if array.size}


def test_what_is_no_tensor_comes_beside(tmp_path):
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["w"] = np.ones(3, np.float32)
        file["config"] = "{}"
        file["v"] = h5py.SoftLink("/w")
    checkpoint = checked(tmp_path / "m.h5", {"w": np.ones(3, np.float32)})
    assert checkpoint.unread == (
        Unread("config", "strings", "m.h5"),
        Unread("v", "a link to '/w'", "m.h5"),
    )


@settings(max_examples=300, derandomize=True)
@given(st.lists(st.integers(1, 5), max_size=5), st.data())
def test_slabs_are_runs_that_join(shape, data):
    """Laid one after the other, the slabs' elements are those of the run: no others, none twice."""
    whole = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    start = data.draw(st.integers(0, whole.size))
    count = data.draw(st.integers(0, whole.size - start))
    found = list(slabs(shape, start, count))
    assert len(found) <= max(1, 2 * len(shape) - 1)
    parts = [
        whole[tuple(slice(c, c + n) for c, n in zip(corner, sizes, strict=True))].ravel()
        for corner, sizes in found
    ]
    assert np.concatenate([[], *parts]).tolist() == list(range(start, start + count))


def test_threads_read_at_the_same_time(tmp_path):
    wanted = RNG.normal(size=(64, 999))
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["plain"] = wanted
        file.create_dataset("packed", data=wanted, chunks=(10, 100), compression="gzip")
        file.create_dataset("chunked", data=wanted, chunks=(10, 100))
    with open_checkpoint(tmp_path / "m.h5") as checkpoint, ThreadPoolExecutor(8) as pool:
        out = {t.entry.name: np.empty(t.entry.size) for t in checkpoint.tensors}
        jobs = [
            pool.submit(checkpoint.read_into, t, start, out[t.entry.name][start : start + 1001])
            for start in range(0, wanted.size, 1001)
            for t in checkpoint.tensors
        ]
        for job in jobs:
            job.result()
    assert len(out) == 3
    for array in out.values():
        assert np.array_equal(array, wanted.ravel())


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_keras_archives(tmp_path, method):
    path = tmp_path / "m.keras"
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        wanted = write_hdf5(file)
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("config.json", "{}")
        with archive.open("model.weights.h5", "w", force_zip64=True) as member:
            member.write(weights.getvalue())
    checkpoint = checked(path, wanted)
    assert (checkpoint.format, checkpoint.names) == ("keras", ("m.keras",))
    if method == zipfile.ZIP_STORED:
        data = path.read_bytes()
        tensor = next(t for t in checkpoint.tensors if t.entry.name == "plain/float32/3")
        part = data[tensor.offset : tensor.offset + tensor.entry.nbytes]
        assert part == wanted["plain/float32/3"].tobytes()


def shards(folder, index=True, at="model.safetensors.index.json"):
    """Write PLAIN to two files; return which tensors are in which."""
    folder.mkdir(exist_ok=True)
    names = sorted(PLAIN)
    parts = {"b-1.safetensors": names[:20], "a-2.safetensors": names[20:]}
    for name, tensors in parts.items():
        save_file({tensor: PLAIN[tensor] for tensor in tensors}, folder / name, {"from": name})
    places = {tensor: name for name, tensors in parts.items() for tensor in tensors}
    if index:
        (folder / at).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))
    return places


@pytest.mark.parametrize("index", [True, False])
def test_shards(tmp_path, index):
    places = shards(tmp_path / "model", index)
    checkpoint = checked(tmp_path / "model", PLAIN)
    assert checkpoint.format == "safetensors"
    assert checkpoint.names == ("a-2.safetensors", "b-1.safetensors")
    assert checkpoint.metadata == ({"from": "a-2.safetensors"}, {"from": "b-1.safetensors"})
    assert [tensor.file for tensor in checkpoint.tensors] == sorted(
        tensor.file for tensor in checkpoint.tensors
    )
    for tensor in checkpoint.tensors:
        assert checkpoint.names[tensor.file] == places[tensor.entry.name]


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (["m-00002-of-00003"], "'m-00001-of-00003.safetensors' is missing, and 1 more"),
        (["m-00001-of-00002", "n"], "'m-00002-of-00002.safetensors' is missing"),
        (["m-00001-of-00001", "m.v-00002-of-00002"], "'m.v-00001-of-00002.safetensors' is missing"),
        (["m-00000-of-99999"], "'m-00001-of-99999.safetensors' is missing, and 99998 more"),
        (["m-00001-of-00002", "m-00002-of-00002"], None),
        (["m-00001-of-00000", "m-1-of-2", "m-00001-of-00002x"], None),
    ],
)
def test_shards_without_an_index_are_all_there(tmp_path, names, missing):
    """Their own names say how many there are; or else a part would be taken for the whole."""
    for number, name in enumerate(names):
        save_file({f"{number}": np.zeros(1)}, tmp_path / f"{name}.safetensors")
    if missing is None:
        assert len(open_checkpoint(tmp_path).files) == len(names)
    else:
        with pytest.raises(StorageError) as error:
            open_checkpoint(tmp_path)
        assert str(error.value) == f"{tmp_path}: shard {missing}, and so is the index"


def test_an_index_by_itself_and_one_among_others(tmp_path):
    shards(tmp_path, at="weights.safetensors.index.json")
    checked(tmp_path / "weights.safetensors.index.json", PLAIN)
    (tmp_path / "weights.fp16.safetensors.index.json").write_text("{}")
    with pytest.raises(RequestError, match=r"several indices; name one of them: 'weights\.fp16"):
        open_checkpoint(tmp_path)
    shards(tmp_path)
    checked(tmp_path, PLAIN)


def test_shards_may_be_links_to_elsewhere(tmp_path):
    """As in the cache of Hugging Face, where a snapshot is links to blobs."""
    shards(tmp_path / "blobs", index=False)
    (tmp_path / "model").mkdir()
    for path in (tmp_path / "blobs").iterdir():
        (tmp_path / "model" / path.name).symlink_to(path)
    checkpoint = checked(tmp_path / "model", PLAIN)
    assert checkpoint.names == ("a-2.safetensors", "b-1.safetensors")


def test_one_file_in_a_folder(tmp_path):
    save_file(PLAIN, tmp_path / "m.safetensors")
    (tmp_path / "README.md").write_text("hello")
    assert checked(tmp_path, PLAIN).names == ("m.safetensors",)


def test_a_tensor_that_the_index_does_not_name_is_unread(tmp_path):
    shards(tmp_path)
    index = tmp_path / "model.safetensors.index.json"
    table = json.loads(index.read_text())
    shard = table["weight_map"].pop("float32/1")
    index.write_text(json.dumps(table))
    wanted = {name: array for name, array in PLAIN.items() if name != "float32/1"}
    checkpoint = checked(tmp_path, wanted)
    assert checkpoint.unread == (Unread("float32/1", "a tensor not in the index", shard),)


def test_an_index_may_name_what_is_unread(tmp_path):
    header = json.dumps({"w": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}).encode()
    path = tmp_path / "m.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0")
    index = tmp_path / "m.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"w": "m.safetensors"}}))
    with open_checkpoint(index) as checkpoint:
        assert checkpoint.tensors == ()
        assert checkpoint.unread == (Unread("w", "dtype F4", "m.safetensors"),)


def test_closing_again_does_nothing(tmp_path):
    save_file(PLAIN, tmp_path / "m.safetensors")
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.create_dataset("w", data=np.ones(4), chunks=(2,))
    for name in ("m.safetensors", "m.h5"):
        checkpoint = open_checkpoint(tmp_path / name)
        values(checkpoint)
        checkpoint.close()
        checkpoint.close()


def open_files():
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def test_no_file_is_left_open(tmp_path):
    shards(tmp_path / "good")
    shards(tmp_path / "bad")
    (tmp_path / "bad" / "b-1.safetensors").write_bytes(b"bad")
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.create_dataset("w", data=np.ones(4), chunks=(2,))
    with zipfile.ZipFile(tmp_path / "m.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "m.h5", "model.weights.h5")
    (tmp_path / "bad.h5").write_bytes((tmp_path / "m.h5").read_bytes()[:-1])
    with zipfile.ZipFile(tmp_path / "bad.keras", "w") as archive:
        archive.write(tmp_path / "bad.h5", "model.weights.h5")
    before = open_files()
    for name in ("good", "m.h5", "m.keras"):
        checked(tmp_path / name, values(open_checkpoint(tmp_path / name)))
    for name in ("bad", "bad.h5", "bad.keras"):
        with pytest.raises(StorageError):
            open_checkpoint(tmp_path / name)
    assert open_files() == before


def test_nothing_is_followed_to_another_file(tmp_path):
    """An external link or storage must not even be opened."""
    np.ones(3, np.float32).tofile(tmp_path / "values.bin")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.ones(3)
    virtual = h5py.VirtualLayout((3,), "f8")
    virtual[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (3,))
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["link"] = h5py.ExternalLink("other.h5", "/x")
        file.create_dataset("stored", (3,), "f4", external=[("values.bin", 0, 12)])
        file.create_virtual_dataset("virtual", virtual)
        file["w"] = np.ones(3, ml_dtypes.bfloat16).view(np.uint16)
    checkpoint = checked(tmp_path / "m.h5", {"w": np.full(3, 0x3F80, np.uint16)})
    assert [(row.name, row.what) for row in checkpoint.unread] == [
        ("link", "an external link to '/x' in 'other.h5'"),
        ("stored", "values in other files"),
        ("virtual", "values in other files"),
    ]


def test_a_missing_file_is_a_request_with_a_hint(tmp_path):
    save_file(PLAIN, tmp_path / "model.safetensors")
    with pytest.raises(RequestError) as error:
        open_checkpoint(tmp_path / "model.safetensor")
    assert str(error.value) == (
        f"{tmp_path}/model.safetensor: there is no such file; did you mean 'model.safetensors'?"
    )
    with pytest.raises(RequestError, match=r"nowhere/m\.h5: there is no such file$"):
        open_checkpoint(tmp_path / "nowhere" / "m.h5")
    (tmp_path / "link.h5").symlink_to("gone.h5")
    with pytest.raises(RequestError, match=r"link\.h5: a link to a file that does not exist$"):
        open_checkpoint(tmp_path / "link.h5")


def test_folders_that_are_no_checkpoint(tmp_path):
    with pytest.raises(RequestError, match=r"the folder has no safetensors files; it is empty$"):
        open_checkpoint(tmp_path)
    (tmp_path / "README.md").touch()
    with pytest.raises(RequestError, match=r"the folder has no safetensors files$"):
        open_checkpoint(tmp_path)
    (tmp_path / "m.keras").touch()
    with pytest.raises(RequestError, match=r"no safetensors files; did you mean 'm\.keras' in it"):
        open_checkpoint(tmp_path)


def test_metadata_of_a_file_alone(tmp_path):
    shards(tmp_path)
    assert read_metadata(tmp_path / "b-1.safetensors")[1] == {"from": "b-1.safetensors"}
    assert read_metadata(tmp_path / "model.safetensors.index.json") is None
    assert read_metadata(tmp_path) is None
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["w"] = 1
    assert read_metadata(tmp_path / "m.h5")[1] == {}
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        file["__metadata__"] = h5py.SoftLink("/w")
    assert read_metadata(tmp_path / "m.h5")[1] == {}
