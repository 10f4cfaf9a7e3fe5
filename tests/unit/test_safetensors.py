"""initlib._formats._safetensors: the bytes of the header and the places of the tensors."""

import json

import numpy as np
import pytest
import safetensors
from safetensors.numpy import save_file

from initlib._dtypes import DTYPES
from initlib._errors import RequestError, StorageError
from initlib._formats import FORMATS, Entry, EntryError
from initlib._formats._entry import Raw
from initlib._formats._safetensors import MAX_HEADER

FORMAT = FORMATS["safetensors"]


def test_a_whole_file_byte_for_byte(tmp_path):
    path = tmp_path / "m.safetensors"
    entries = [
        Entry("b/é", DTYPES["bool"], (2, 1)),
        Entry("a", DTYPES["bfloat16"], ()),
        Entry("c", DTYPES["float64"], (0, 3)),
    ]
    offsets = FORMAT.create(path, entries, {"z": "1", "format": "pt"})
    header = (
        '{"__metadata__":{"format":"pt","z":"1"},'
        '"a":{"data_offsets":[0,2],"dtype":"BF16","shape":[]},'
        '"b/é":{"data_offsets":[2,4],"dtype":"BOOL","shape":[2,1]},'
        '"c":{"data_offsets":[0,0],"dtype":"F64","shape":[0,3]}}'
    ).encode()
    expected = (4096 - 8).to_bytes(8, "little") + header + b" " * (4088 - len(header)) + b"\0" * 4
    assert path.read_bytes() == expected
    assert offsets == [4098, 4096, 4096]


def test_tensors_are_aligned_without_holes(tmp_path):
    path = tmp_path / "m.safetensors"
    rng = np.random.default_rng(1)
    entries = [
        Entry(f"{i}", list(DTYPES.values())[i % len(DTYPES)], (int(rng.integers(0, 50)),))
        for i in range(200)
    ]
    offsets = FORMAT.create(path, entries, {})
    assert all(o % e.dtype.itemsize == 0 for e, o in zip(entries, offsets, strict=True))
    assert min(offsets) % 4096 == 0
    end = min(offsets)
    for offset, entry in sorted(
        zip(offsets, entries, strict=True), key=lambda pair: (pair[0], pair[1].nbytes)
    ):
        assert offset == end
        end += entry.nbytes
    assert end == path.stat().st_size
    # Among tensors of one item size the order is the one given.
    wide = [o for e, o in zip(entries, offsets, strict=True) if e.dtype.itemsize == 8]
    assert wide == sorted(wide)


def test_the_data_starts_at_a_page_whatever_the_header_is(tmp_path):
    def data_start(index, padding):
        path = tmp_path / f"{index}"
        (offset,) = FORMAT.create(path, [Entry("x", DTYPES["int8"], (1,))], {"k": "v" * padding})
        return offset, path.read_bytes()[8:offset].rstrip(b" ")

    _, bare = data_start(0, 0)
    full = 4096 - 8 - len(bare)
    assert data_start(1, full)[0] == 4096
    assert data_start(2, full + 1)[0] == 8192


def test_the_real_reader_finds_every_dtype(tmp_path):
    path = tmp_path / "m.safetensors"
    rng = np.random.default_rng(2)
    entries = [Entry(name, dtype, (3, 5)) for name, dtype in DTYPES.items()]
    values = {e.name: rng.integers(0, 2, e.nbytes, dtype=np.uint8).tobytes() for e in entries}
    offsets = FORMAT.create(path, entries, {"format": "pt", "initgen": '{"é":"\\"\n"}'})
    with path.open("r+b") as file:
        for entry, offset in zip(entries, offsets, strict=True):
            file.seek(offset)
            file.write(values[entry.name])
    found = dict(safetensors.deserialize(path.read_bytes()))
    assert len(found) == 15
    assert {name: bytes(tensor["data"]) for name, tensor in found.items()} == values
    with safetensors.safe_open(path, "numpy") as file:
        assert file.metadata() == {"format": "pt", "initgen": '{"é":"\\"\n"}'}
        for name in set(DTYPES) - {"bfloat16", "float8_e4m3fn", "float8_e5m2"}:
            tensor = file.get_tensor(name)
            assert (tensor.dtype, tensor.shape, tensor.tobytes()) == (name, (3, 5), values[name])


def test_reading_gives_tensors_in_the_order_of_their_bytes(tmp_path):
    path = tmp_path / "m.safetensors"
    entries = [Entry("a", DTYPES["int8"], (5,)), Entry("b", DTYPES["int64"], (2,))]
    offsets = FORMAT.create(path, entries, {"k": "v"})
    contents = FORMAT.read(path)
    assert contents.entries == (entries[1], entries[0])
    assert contents.offsets == (offsets[1], offsets[0])
    assert contents.metadata == {"k": "v"}


def test_reading_a_file_of_the_library(tmp_path):
    path = tmp_path / "m.safetensors"
    tensors = {"é/x": np.ones((2, 3), np.float16), "s": np.array(7, np.int64), "t": np.eye(2) > 0}
    save_file(tensors, path)
    contents, data = FORMAT.read(path), path.read_bytes()
    assert contents.metadata == {}
    assert {entry.name: entry.shape for entry in contents.entries} == {
        "é/x": (2, 3),
        "s": (),
        "t": (2, 2),
    }
    for entry, offset in zip(contents.entries, contents.offsets, strict=True):
        assert entry.dtype == tensors[entry.name].dtype
        assert data[offset : offset + entry.nbytes] == tensors[entry.name].tobytes()


def test_the_reserved_name_is_refused():
    with pytest.raises(EntryError, match="tensor '__metadata__': safetensors reserves") as error:
        FORMAT.check([Entry(n, DTYPES["int8"], ()) for n in ("x", "__metadata__")], {})
    assert error.value.index == 1
    FORMAT.check([Entry("a/__metadata__", DTYPES["int8"], ())], {})


def test_a_header_that_readers_refuse_is_refused():
    largest = MAX_HEADER // 4096 * 4096 - 8 - len('{"__metadata__":{"k":""}}')
    FORMAT.check([], {"k": "v" * largest})
    with pytest.raises(RequestError, match=r"write HDF5, or fewer tensors"):
        FORMAT.check([], {"k": "v" * (largest + 1)})


@pytest.mark.parametrize(("length", "accepted"), [(MAX_HEADER, True), (MAX_HEADER + 1, False)])
def test_the_limit_is_that_of_the_real_reader(tmp_path, length, accepted):
    path = tmp_path / "m.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b"{}".ljust(length))
    if accepted:
        assert FORMAT.read(path).entries == ()
        safetensors.safe_open(path, "numpy")
    else:
        with pytest.raises(safetensors.SafetensorError, match="too large"):
            safetensors.safe_open(path, "numpy")


def foreign(path, tensors, data):
    header = json.dumps(tensors).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(data))


@pytest.mark.parametrize(
    ("code", "bits"),
    [
        *(("F4", 4), ("F6_E2M3", 6), ("F6_E3M2", 6), ("F8_E8M0", 8)),
        *(("F8_E4M3FNUZ", 8), ("F8_E5M2FNUZ", 8), ("C64", 64)),
    ],
)
def test_dtypes_of_others_are_unread_and_must_fit(tmp_path, code, bits):
    path = tmp_path / "m.safetensors"
    tensors = {
        "a": {"dtype": code, "shape": [3, 64], "data_offsets": [0, 24 * bits]},
        "b": {"dtype": "I8", "shape": [5], "data_offsets": [24 * bits, 24 * bits + 5]},
    }
    foreign(path, tensors, 24 * bits + 5)
    assert len(safetensors.deserialize(path.read_bytes())) == 2
    contents = FORMAT.read(path)
    assert contents.unread == (("a", f"dtype {code}"),)
    assert contents.entries == (Entry("b", DTYPES["int8"], (5,)),)
    assert path.stat().st_size - contents.offsets[0] == 5
    tensors["a"]["shape"] = [3, 63]
    foreign(path, tensors, 24 * bits + 5)
    with pytest.raises(StorageError, match=rf"'a' has {24 * bits} bytes for {code} of shape"):
        FORMAT.read(path)


def test_where_the_bytes_of_others_are(tmp_path):
    path = tmp_path / "m.safetensors"
    tensors = {
        "a": {"dtype": "C64", "shape": [1], "data_offsets": [0, 8]},
        "b": {"dtype": "C64", "shape": [2, 1], "data_offsets": [8, 24]},
    }
    foreign(path, tensors, 24)
    first, second = FORMAT.read(path).raw
    assert first.offset == path.stat().st_size - 24
    assert second == Raw(Entry("b", DTYPES["uint8"], (16,)), first.offset + 8, (2, 1))


def test_zeros_after_sizes_whose_product_is_beyond_any_file(tmp_path):
    path = tmp_path / "m.safetensors"
    shape = [2**40, 2**40, 0]
    foreign(path, {"w": {"dtype": "I8", "shape": shape, "data_offsets": [0, 0]}}, 0)
    assert FORMAT.read(path).entries == (Entry("w", DTYPES["int8"], tuple(shape)),)


def test_a_dtype_nobody_has_heard_of_is_unread(tmp_path):
    path = tmp_path / "m.safetensors"
    foreign(path, {"w": {"dtype": "U7\n" * 99, "shape": [2], "data_offsets": [0, 1]}}, 1)
    ((name, what),) = FORMAT.read(path).unread
    assert name == "w"
    assert what.startswith("dtype U7\\nU7")
    assert len(what) < 140


def test_metadata_alone(tmp_path):
    path = tmp_path / "m.safetensors"
    foreign(path, {"w": {}, "__metadata__": {"k": "v"}}, 0)
    assert FORMAT.read_metadata(path) == {"k": "v"}
    foreign(path, {"w": {}}, 0)
    assert FORMAT.read_metadata(path) == {}


def test_the_layout_is_told_without_a_file(tmp_path):
    entries = [Entry("a", DTYPES["int8"], (5,)), Entry("b", DTYPES["int64"], (2,))]
    path = tmp_path / "m.safetensors"
    offsets = FORMAT.create(path, entries, {"k": "v"})
    assert FORMAT.layout(entries, {"k": "v"}) == (offsets, path.stat().st_size)


@pytest.mark.parametrize(
    ("tensors", "problem"),
    [
        ({"a": ("U8", [2], [1, 3])}, "tensor 'a' starts at byte 1 of the data, not 0"),
        ({"a": ("U8", [2], [0, 2])}, "expected {size} bytes, got {got}"),
        ({"a": ("U8", [2], [0, 3])}, "tensor 'a' has 3 bytes for U8 of shape [2]"),
        ({"a": ("U8", [True], [0, 1])}, "tensor 'a' has no proper dtype, shape and data_offsets"),
        ({"a": ("F64", [0, 2**62], [0, 8])}, "tensor 'a' has 8 bytes for F64 of shape [0, 4611"),
        ({"\udc80": ("U8", [3], [0, 3])}, "the name '\\udc80' is not valid Unicode"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, tensors, problem):
    path = tmp_path / "m.safetensors"
    table = {
        name: {"dtype": code, "shape": shape, "data_offsets": offsets}
        for name, (code, shape, offsets) in tensors.items()
    }
    header = json.dumps(table).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"123")
    problem = problem.format(size=8 + len(header) + 2, got=8 + len(header) + 3)
    with pytest.raises(StorageError) as error:
        FORMAT.read(path)
    start = f"{path}: not a safetensors file, or damaged: {problem}"
    assert str(error.value)[: len(start)] == start


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"1234567", "it has only 7 bytes"),
        (bytes(8), "Expecting value: line 1 column 1 (char 0)"),
        (b"\x09" + bytes(15), "bad header length: 9 bytes in a file of 16"),
        (b"\xff" * 8, f"bad header length: {2**64 - 1} bytes, more than {MAX_HEADER}"),
        (b"\x02" + bytes(7) + b"[]", "its header is not a JSON object"),
    ],
)
def test_headers_that_are_none(tmp_path, data, problem):
    path = tmp_path / "m.safetensors"
    path.write_bytes(data)
    with pytest.raises(StorageError) as error:
        FORMAT.read(path)
    assert str(error.value) == f"{path}: not a safetensors file, or damaged: {problem}"
