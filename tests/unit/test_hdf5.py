"""initlib._formats._hdf5: groups, datasets, types, and other people's files."""

import fcntl
from contextlib import closing

import h5py
import ml_dtypes
import numpy as np
import pytest
from h5py import h5d, h5s, h5t

from initlib._dtypes import DTYPES
from initlib._errors import RequestError, StorageError
from initlib._formats import FORMATS, Entry, EntryError, Source
from initlib._formats._hdf5 import MAX_DEPTH

FORMAT = FORMATS["hdf5"]
FLOAT32 = DTYPES["float32"]
OPAQUE = {"bfloat16", "float8_e4m3fn", "float8_e5m2"}


def make(path, entries, metadata=None, seed=1):
    """Create a file with random bytes as values (0 and 1 for bools); return them by name."""
    rng = np.random.default_rng(seed)
    values = {e.name: rng.integers(0, 2, e.nbytes, dtype=np.uint8).tobytes() for e in entries}
    offsets = FORMAT.create(path, entries, metadata or {})
    with path.open("r+b") as file:
        for entry, offset in zip(entries, offsets, strict=True):
            file.seek(offset)
            file.write(values[entry.name])
    return values


def datasets(path):
    with h5py.File(path) as file:
        found = {}
        file.visititems(
            lambda name, item: found.update({name: item}) if hasattr(item, "dtype") else None
        )
        yield from found.items()


def test_every_dtype_and_kind_of_shape(tmp_path):
    path = tmp_path / "m.h5"
    entries = [
        Entry(f"g/{name}/{len(shape)}", dtype, shape)
        for name, dtype in DTYPES.items()
        for shape in ((), (4,), (0, 3), (2, 3, 1))[: 4 if name != "bool" else 2]
    ]
    values = make(path, entries, {"initgen": "{}"})
    found = {}
    for name, dataset in datasets(path):
        if name == "__metadata__":
            continue
        found[name] = dataset[()].tobytes()
        kind = name.split("/")[1]
        properties = dataset.id.get_create_plist()
        assert properties.get_layout() == h5py.h5d.CONTIGUOUS
        assert properties.get_alloc_time() == h5py.h5d.ALLOC_TIME_EARLY
        assert properties.get_fill_time() == h5py.h5d.FILL_TIME_NEVER
        if kind in OPAQUE:
            assert dataset.dtype == f"V{DTYPES[kind].itemsize}"
            assert dict(dataset.attrs) == {"dtype": kind}
        else:
            assert dataset.dtype == kind
            assert not dataset.attrs
    assert found == values
    contents = FORMAT.read(path)
    assert sorted(contents.entries, key=lambda e: e.name) == sorted(entries, key=lambda e: e.name)


def test_opaque_types_are_those_of_h5py_itself(tmp_path):
    with h5py.File(tmp_path / "keras.h5", "w") as file:
        file.create_dataset("x", data=np.ones(3, ml_dtypes.bfloat16)).attrs["dtype"] = "bfloat16"
    make(tmp_path / "ours.h5", [Entry("x", DTYPES["bfloat16"], (3,))])
    with h5py.File(tmp_path / "keras.h5") as keras, h5py.File(tmp_path / "ours.h5") as ours:
        assert keras["x"].id.get_type() == ours["x"].id.get_type()
        types = [file["x"].attrs.get_id("dtype").get_type() for file in (keras, ours)]
        assert types[0] == types[1]


def test_large_tensors_start_at_pages_and_small_ones_lie_close(tmp_path):
    large = [Entry(f"large/{i}", DTYPES["int8"], (65536 + i,)) for i in range(5)]
    small = [Entry(f"small/{i}", DTYPES["int8"], (8,)) for i in range(1000)]
    offsets = FORMAT.create(tmp_path / "large.h5", [*small[:3], *large, *small[3:6]], {})
    assert all(offset % 4096 == 0 for offset in offsets[3:-3])
    FORMAT.create(tmp_path / "small.h5", small, {})
    assert (tmp_path / "small.h5").stat().st_size < 500 * len(small)


def test_no_bytes_are_shared(tmp_path):
    path = tmp_path / "m.h5"
    rng = np.random.default_rng(3)
    entries = [
        Entry(f"{i}", DTYPES["int8"], (int(n),)) for i, n in enumerate(rng.integers(0, 9999, 99))
    ]
    values = make(path, entries, {"k": "v"})
    contents, data = FORMAT.read(path), path.read_bytes()
    for entry, offset in zip(contents.entries, contents.offsets, strict=True):
        assert data[offset : offset + entry.nbytes] == values[entry.name]
    assert contents.metadata == {"k": "v"}


def test_nothing_takes_down_the_time(tmp_path):
    path = tmp_path / "m.h5"
    make(path, [Entry("a/b/c", FLOAT32, (3,)), Entry("d", DTYPES["bfloat16"], ())], {"k": "v"})
    with h5py.File(path) as file:
        for name in ("/", "a", "a/b", "a/b/c", "d", "__metadata__"):
            assert not file[name].id.get_create_plist().get_obj_track_times()
            info = h5py.h5o.get_info(file[name].id)
            assert (info.mtime, info.ctime) == (0, 0)


def test_the_file_is_of_hdf5_1_8(tmp_path):
    make(tmp_path / "m.h5", [Entry("a", FLOAT32, (3,))])
    assert (tmp_path / "m.h5").read_bytes()[:9] == b"\x89HDF\r\n\x1a\n\x02"


def test_metadata_larger_than_an_attribute(tmp_path):
    path = tmp_path / "m.h5"
    metadata = {"initgen": "é" * 100_000, "format": "pt"}
    make(path, [], metadata)
    assert FORMAT.read(path).metadata == metadata
    with h5py.File(path) as file:
        stored = file["__metadata__"]
        assert (stored.dtype, stored.ndim) == (np.uint8, 1)
        expected = '{"format":"pt","initgen":"' + "é" * 100_000 + '"}'
        assert stored[()].tobytes().decode() == expected


def test_many_tensors_in_one_group(tmp_path):
    path = tmp_path / "m.h5"
    entries = [Entry(f"g/t{i:04}", DTYPES["uint8"], (1 + i % 3,)) for i in range(3000)]
    values = make(path, entries)
    assert {n: d[()].tobytes() for n, d in datasets(path) if n != "__metadata__"} == values
    assert list(FORMAT.read(path).entries) == entries


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        *((name, "cannot be empty") for name in ("", "/a", "a/", "a//b", "/")),
        *((name, "cannot be empty, '.' or '..'") for name in (".", "a/.", "../a", "a/../b")),
        ("a\0b", "NUL"),
        ("__metadata__", "holds the file's metadata"),
        ("__metadata__/a", "holds the file's metadata"),
        ("b/c/d", "'b/c' is a tensor too"),
        ("b/c/d/e", "'b/c' is a tensor too"),
    ],
)
def test_names_that_hdf5_cannot_hold(tmp_path, name, problem):
    entries = [Entry("x", FLOAT32, ()), Entry(name, FLOAT32, ()), Entry("b/c", FLOAT32, ())]
    for refuse in (FORMAT.check, lambda *args: FORMAT.create(tmp_path / "m.h5", *args)):
        with pytest.raises(EntryError, match=r"HDF5|group|metadata") as error:
            refuse(entries, {})
        assert problem in error.value.problem
        assert error.value.index == 1
    assert not (tmp_path / "m.h5").exists()


def test_names_that_only_look_alike(tmp_path):
    names = [
        "a.b",
        "...",
        "a/__metadata__",
        "b/c",
        "b/cd/e",
        "b-c/d",
        "B/C",
        "é",
        "e\u0301",
        "a b\n",
    ]
    values = make(tmp_path / "m.h5", [Entry(name, FLOAT32, (1,)) for name in names])
    assert {
        n: d[()].tobytes() for n, d in datasets(tmp_path / "m.h5") if n != "__metadata__"
    } == values


def test_names_are_marked_as_utf_8(tmp_path):
    make(tmp_path / "m.h5", [Entry("é/x", FLOAT32, ())])
    with h5py.File(tmp_path / "m.h5") as file:
        for name in ("é", "é/x"):
            assert file.id.links.get_info(name.encode()).cset == h5py.h5t.CSET_UTF8


def test_more_dimensions_than_hdf5_has(tmp_path):
    make(tmp_path / "m.h5", [Entry("x", FLOAT32, (1,) * 32)])
    with pytest.raises(EntryError, match="at most 32 dimensions, got 33"):
        FORMAT.check([Entry("x", FLOAT32, (1,) * 33)], {})


def test_other_peoples_datasets(tmp_path):
    """Only the plain ones have an offset; each has the dtype that h5py reads it as."""
    path = tmp_path / "m.h5"
    ones = np.ones((8, 8), np.float32)
    with h5py.File(path, "w", userblock_size=512) as file:
        file["plain"] = ones
        file["flags"] = np.array([True, False])
        file["swapped"] = ones.astype(">f4")
        file.create_dataset("chunked", data=ones, chunks=(4, 4))
        file.create_dataset("packed", data=ones, compression="gzip")
        file.create_dataset("none", (0,), np.int16, maxshape=(None,))
        narrow = h5py.h5t.IEEE_F32LE.copy()
        narrow.set_fields(15, 7, 8, 0, 7)
        narrow.set_size(2)
        narrow.set_precision(16)
        narrow.set_ebias(127)
        h5py.h5d.create(file.id, b"narrow", narrow, h5py.h5s.create_simple((3,)))
        file["soft"] = h5py.SoftLink("/plain")
        file["away"] = h5py.ExternalLink("other.h5", "/x")
    contents = FORMAT.read(path)
    shapes = {entry.name: (entry.dtype.name, entry.shape) for entry in contents.entries}
    assert shapes == {
        "plain": ("float32", (8, 8)),
        "flags": ("bool", (2,)),
        "swapped": ("float32", (8, 8)),
        "chunked": ("float32", (8, 8)),
        "packed": ("float32", (8, 8)),
        "none": ("int16", (0,)),
        "narrow": ("float32", (3,)),
    }
    offsets = dict(zip(shapes, contents.offsets, strict=True))
    plain = {name for name, offset in offsets.items() if offset is not None}
    assert plain == {"plain", "flags", "none"}
    data = path.read_bytes()
    assert data[offsets["plain"] :][: ones.nbytes] == ones.tobytes()
    assert data[offsets["flags"] :][:2] == b"\1\0"


def test_metadata_has_a_limit(tmp_path, monkeypatch):
    """It is held in memory; what could not be read again is not written."""
    make(tmp_path / "m.h5", [], {"k": "v" * 100})
    monkeypatch.setattr("initlib._formats._hdf5.MAX_METADATA", 100)
    with pytest.raises(RequestError, match="metadata of 108 bytes; HDF5 files have up to 100"):
        FORMAT.check([], {"k": "v" * 100})
    monkeypatch.setattr("initlib._formats._hdf5_read.MAX_METADATA", 100)
    for read in (FORMAT.read, FORMAT.read_metadata):
        with pytest.raises(StorageError, match="'__metadata__' has 108 bytes, more than 100"):
            read(tmp_path / "m.h5")


def test_metadata_is_read_without_a_look_at_the_rest(tmp_path):
    path = tmp_path / "m.h5"
    make(path, [Entry("a/w", DTYPES["bfloat16"], (3,))], {"k": "v"})
    data = path.read_bytes()
    # The first heads are the root's and the group's, the next the dataset's.
    place = [i for i in range(len(data)) if data[i : i + 4] == b"OHDR"][2]
    path.write_bytes(data[: place + 4] + b"\xff" * 8 + data[place + 12 :])
    with pytest.raises(StorageError):
        FORMAT.read(path)
    assert FORMAT.read_metadata(path) == {"k": "v"}


def test_the_layout_is_told_without_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "m.h5"
    entries = [Entry("a/w", DTYPES["bfloat16"], (3,)), Entry("b", FLOAT32, (10**6, 10**6))]
    offsets, size = FORMAT.layout(entries, {"k": "v"})
    assert not list(tmp_path.iterdir())
    assert offsets == FORMAT.create(path, entries, {"k": "v"})
    assert size == path.stat().st_size


def test_links_are_listed_and_not_followed(tmp_path):
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file["a/w"] = np.ones(3)
        file["soft"] = h5py.SoftLink("/a/w")
        file["dangling"] = h5py.SoftLink("nowhere")
        file["a/away"] = h5py.ExternalLink("other.h5", "/x")
        file["tied"] = file["a/w"]
        file["loop"] = file["/"]
    contents = FORMAT.read(path)
    assert [entry.name for entry in contents.entries] == ["a/w"]
    assert contents.unread == (
        ("a/away", "an external link to '/x' in 'other.h5'"),
        ("dangling", "a link to 'nowhere'"),
        ("loop", "another name of '/'"),
        ("soft", "a link to '/a/w'"),
        ("tied", "another name of 'a/w'"),
    )


def add_odd(file, case):
    """Add a dataset `x` that is no tensor."""
    floats = np.ones(3, ml_dtypes.bfloat16)
    match case:
        case "text":
            file["x"] = "words"
        case "texts of one length":
            file["x"] = np.array([b"ab", b"cd"])
        case "complex":
            file["x"] = np.ones(3, np.complex64)
        case "compound":
            file["x"] = np.zeros(3, [("a", "f4"), ("b", "i8")])
        case "enum":
            kind = h5py.enum_dtype({"RED": 0, "BLUE": 1}, "i1")
            file.create_dataset("x", (3,), kind)
        case "reference":
            file["x"] = np.array([file.ref], h5py.ref_dtype)
        case "lists":
            file.create_dataset("x", (3,), h5py.vlen_dtype("f4"))
        case "arrays":
            file.create_dataset("x", (3,), np.dtype(("f4", (2, 2))))
        case "time":
            h5d.create(file.id, b"x", h5t.UNIX_D32LE, h5s.create_simple((3,)))
        case "three bytes":
            kind = h5t.STD_I32LE.copy()
            kind.set_precision(24)
            kind.set_size(3)
            h5d.create(file.id, b"x", kind, h5s.create_simple((3,)))
        case "long":
            file["x"] = np.ones(3, np.longdouble)
        case "opaque":
            file.create_dataset("x", data=floats)
        case "label":
            file.create_dataset("x", data=floats).attrs["dtype"] = "float8_e5m2"
        case "empty":
            file["x"] = h5py.Empty("f4")
        case "external":
            file.create_dataset("x", (3,), "f4", external=[("other.bin", 0, 12)])
        case "virtual":
            virtual = h5py.VirtualLayout((3,), "f4")
            virtual[:] = h5py.VirtualSource("other.h5", "y", (3,))
            file.create_virtual_dataset("x", virtual)
        case "type":
            file["x"] = np.dtype("f4")
        case "chunk":
            file.create_dataset("x", (2**25,), "f4", chunks=(2**25,), compression="gzip")
        case "unwritten":
            file.create_dataset("x", (2**40,), "f4")
        case "unwritten chunks":
            file.create_dataset("x", (2**40,), "f4", chunks=(2**10,))
        case "hardly written":
            file.create_dataset("x", (2**40,), "f4", chunks=(2**10,))[7] = 1


@pytest.mark.parametrize(
    ("case", "what"),
    [
        ("text", "strings"),
        ("texts of one length", "strings"),
        ("complex", "dtype complex64"),
        ("compound", "compound values"),
        ("enum", "an enumeration"),
        ("reference", "references"),
        ("lists", "lists of various lengths"),
        ("arrays", "arrays as elements"),
        ("time", "times"),
        ("three bytes", "a type that NumPy lacks"),
        ("long", "dtype float128"),
        ("opaque", "opaque values of 2 bytes"),
        ("label", "opaque values of 2 bytes called 'float8_e5m2'"),
        ("empty", "a dataset without a shape"),
        ("external", "values in other files"),
        ("virtual", "values in other files"),
        ("type", "a type"),
        ("chunk", "values packed in chunks of 134217728 bytes; initlib unpacks up to 33554432"),
        ("unwritten", "4398046511104 bytes of values, of which 0 were written"),
        ("unwritten chunks", "4398046511104 bytes of values, of which 0 were written"),
        ("hardly written", "4398046511104 bytes of values, of which 4096 were written"),
    ],
)
def test_what_is_no_tensor_is_named(tmp_path, case, what):
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        add_odd(file, case)
        file["w"] = np.ones(3, np.float32)
    contents = FORMAT.read(path)
    assert contents.unread == (("x", what),)
    assert contents.entries == (Entry("w", FLOAT32, (3,)),)


@pytest.mark.parametrize("depth", [256, 257, 20_000])
def test_groups_that_nest_deeply(tmp_path, depth):
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        group = file
        for _ in range(depth - 1):
            group = group.create_group("g")
        group["w"] = np.ones(3, np.float32)
    if depth <= 256:
        assert len(FORMAT.read(path).entries) == 1
        return
    with pytest.raises(StorageError, match="cannot read as HDF5: groups nest more than 256 deep"):
        FORMAT.read(path)


def test_some_values_may_be_unwritten(tmp_path):
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("w", (100, 8), "f4", chunks=(1, 8), fillvalue=2.0)[3] = 1
    with Source.open(path) as source, closing(FORMAT.open(source)) as opened:
        out = np.empty(800, np.float32)
        opened.read_values(opened.contents.entries[0], 0, out)
    assert (out.sum(), out[24]) == (99 * 16 + 8, 1)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("a/../b", "in HDF5 the parts of a name between slashes cannot be empty, '.' or '..'"),
        ("a\0b", "an HDF5 name cannot have a NUL character"),
        ("/".join("a" * (MAX_DEPTH + 1)), f"expected groups at most {MAX_DEPTH} deep"),
        ("b/c", "'b' is a tensor too, but here a group of tensors"),
    ],
    ids=["dots", "NUL", "deep", "group"],
)
def test_what_is_wrong_with_a_name_is_told(name, problem):
    fine = Entry("/".join("b" * MAX_DEPTH), FLOAT32, (1,))
    FORMAT.check([fine], {})
    with pytest.raises(EntryError) as error:
        FORMAT.check([Entry("b", FLOAT32, ()), Entry(name, FLOAT32, ())], {})
    assert str(error.value) == f"tensor {name!r}: {problem}"
    assert (error.value.index, error.value.problem) == (1, problem)


def test_metadata_of_a_file_that_is_none_is_not_replaced(tmp_path):
    path = tmp_path / "m.h5"
    with pytest.raises(StorageError, match=f"^{path}: cannot read: "):
        FORMAT.replace_metadata(path, {})
    path.write_bytes(b"no HDF5")
    with pytest.raises(StorageError, match=f"^{path}: cannot read as HDF5: ") as error:
        FORMAT.replace_metadata(path, {})
    assert "\n" not in str(error.value)
    assert path.read_bytes() == b"no HDF5"
    with h5py.File(path, "w"):
        pass
    with pytest.raises(StorageError, match=f"^{path}: cannot read as HDF5: .*__metadata__"):
        FORMAT.replace_metadata(path, {})


def test_what_the_library_refuses_is_told(tmp_path, monkeypatch):
    def refuses(*arguments):
        raise RuntimeError("no room\n  in the heap")

    monkeypatch.setattr("initlib._formats._hdf5._lay_out", refuses)
    path = tmp_path / "m.h5"
    with pytest.raises(StorageError) as error:
        make(path, [], {})
    assert str(error.value) == f"{path}: cannot write as HDF5: no room in the heap"


def test_files_need_no_locks(tmp_path):
    path = tmp_path / "m.h5"
    make(path, [Entry("a", FLOAT32, (3,))], {"k": "1"})
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        FORMAT.replace_metadata(path, {"k": "2"})
        assert FORMAT.read_metadata(path) == {"k": "2"}
