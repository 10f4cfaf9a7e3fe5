"""A file that is damaged, or none at all, is a StorageError of one line that names it."""

import json

import h5py
import numpy as np
import pytest

from initlib._dtypes import DTYPES
from initlib._errors import StorageError
from initlib._formats import FORMATS, Entry

# HDF5 has no checksum over the texts of attributes, which bfloat16 and float8 need, and with a
# flipped bit there the library may never return; so these dtypes are left out of the flips.
ENTRIES = [
    Entry(f"group/{i}/{name}", dtype, (i, 3))
    for i, (name, dtype) in enumerate(DTYPES.items())
    if name not in ("bfloat16", "float8_e4m3fn", "float8_e5m2")
]


def refused(file_format, path):
    with pytest.raises(StorageError) as error:
        file_format.read(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.fixture(params=sorted(FORMATS))
def file_format(request):
    return FORMATS[request.param]


@pytest.fixture
def whole(file_format, tmp_path):
    """The bytes of a good file."""
    path = tmp_path / "whole"
    file_format.create(path, ENTRIES, {"format": "pt", "initgen": "{}"})
    return path.read_bytes()


def test_every_truncation(file_format, whole, tmp_path):
    path = tmp_path / "damaged"
    for length in [*range(64), *range(64, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:length])
        refused(file_format, path)


def test_flipped_bytes_are_noticed_or_are_none_of_ours(file_format, whole, tmp_path):
    path = tmp_path / "damaged"
    path.write_bytes(whole)
    contents = file_format.read(path)
    rng = np.random.default_rng(4)
    noticed = 0
    for _ in range(250):
        damaged = bytearray(whole)
        for _ in range(rng.choice([1, 1, 5])):
            damaged[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            found = file_format.read(path)
        except StorageError:
            noticed += 1
        else:
            # A safetensors header has no checksum: a flip can make another good name of one.
            if file_format.name == "hdf5":
                assert found.entries == contents.entries
                assert found.offsets == contents.offsets
            assert len(found.entries) == len(found.offsets)
    assert noticed > 25


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"\x89HDF\r\n\x1a\n", b"PK\3\4" * 50, b"{}" * 600, b"\xff" * 5000, bytes(5000)],
    ids=["empty", "byte", "signature", "zip", "json", "ones", "zeros"],
)
def test_other_files(file_format, tmp_path, data):
    path = tmp_path / "other"
    path.write_bytes(data)
    refused(file_format, path)


def test_the_other_format(file_format, whole, tmp_path):
    path = tmp_path / "wrong"
    path.write_bytes(whole)
    for other in FORMATS.values():
        if other is not file_format:
            refused(other, path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("[]", "not a JSON object"),
        ("{", "Expecting property name"),
        ('{"a":{}}', "'a' has no proper dtype"),
        ('{"a":1}', "'a' has no proper dtype"),
        ("[" * 50_000, "nests too deeply"),
        ('{"a":' * 50_000, "nests too deeply"),
        ('{"\\ud800":{}}', "not valid Unicode"),
        ('{"__metadata__":{"k":"\\udfff"}}', "not a JSON object of texts"),
        ('{"__metadata__":{"\\udfff":"v"}}', "not a JSON object of texts"),
        ('{"__metadata__":{"k":1}}', "not a JSON object of texts"),
        ('{"__metadata__":[]}', "not a JSON object of texts"),
    ],
    ids=lambda text: text[:12],
)
def test_safetensors_headers_that_are_not(tmp_path, header, message):
    path = tmp_path / "m.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode() + bytes(8))
    assert message in refused(FORMATS["safetensors"], path)


def tensor(begin, end, shape=None, dtype="U8"):
    shape = [end - begin] if shape is None else shape
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"a": tensor(0, 8), "b": tensor(4, 12)}, "'b' starts at byte 4 of the data, not 8"),
        ({"a": tensor(0, 8), "b": tensor(0, 8)}, "'b' starts at byte 0 of the data, not 8"),
        ({"a": tensor(0, 8), "b": tensor(9, 12)}, "'b' starts at byte 9 of the data, not 8"),
        ({"a": tensor(1, 12)}, "'a' starts at byte 1 of the data, not 0"),
        ({"a": tensor(0, 11)}, "bytes, got"),
        ({"a": tensor(0, 13)}, "bytes, got"),
        ({"a": tensor(0, 2**80)}, "'a' has no proper"),
        ({"a": tensor(0, 2**62)}, "bytes, got"),
        ({"a": tensor(0, 12, [2, 5])}, "'a' has 12 bytes for U8 of shape [2, 5]"),
        ({"a": tensor(0, 12, [3], "F64")}, "'a' has 12 bytes for F64 of shape [3]"),
        ({"a": tensor(0, 12, [10**4000, 10**4000])}, "'a' has no proper"),
        ({"a": tensor(0, 12, [2**62] * 100_000)}, "'a' has 12 bytes for U8 of shape [46116860184"),
        ({"a": tensor(0, 0, [2**62] * 5 + [0]), "b": tensor(0, 11)}, "bytes, got"),
        ({"a": tensor(12, 0, [-12])}, "'a' has no proper"),
        ({"a": tensor(12, 0, [12])}, "'a' has -12 bytes for U8"),
        ({"a": tensor(0, 12, [12.0])}, "'a' has no proper"),
        ({"a": tensor(0, 12, [True, 12])}, "'a' has no proper"),
        ({"a": tensor(0, 12, "12")}, "'a' has no proper"),
        ({"a": tensor(0, 8, dtype="U7"), "b": tensor(4, 12)}, "'b' starts at byte 4"),
        ({"a": tensor(0, 12, dtype=None)}, "'a' has no proper"),
        ({"a": {**tensor(0, 12), "data_offsets": [0, 12, 12]}}, "'a' has no proper"),
        ({"a": {**tensor(0, 12), "data_offsets": None}}, "'a' has no proper"),
    ],
)
def test_safetensors_tensors_that_cannot_be(tmp_path, tensors, message):
    path = tmp_path / "m.safetensors"
    header = json.dumps(tensors).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(12))
    assert message in refused(FORMATS["safetensors"], path)


def test_safetensors_names_given_twice(tmp_path):
    path = tmp_path / "m.safetensors"
    header = json.dumps({"a": tensor(0, 4), "b": tensor(4, 8)}).replace('"b"', '"a"').encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    assert "gives a name twice" in refused(FORMATS["safetensors"], path)


@pytest.mark.parametrize("length", [9, 2**31, 2**63, 2**64 - 1])
def test_safetensors_header_lengths_that_cannot_be(tmp_path, length):
    path = tmp_path / "m.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b"{}      ")
    assert "bad header length" in refused(FORMATS["safetensors"], path)


def test_a_safetensors_header_longer_than_the_limit_is_not_read(tmp_path):
    path = tmp_path / "m.safetensors"
    with path.open("wb") as file:
        file.write((2**40).to_bytes(8, "little"))
        file.truncate(2**41)
    assert "bad header length" in refused(FORMATS["safetensors"], path)


@pytest.mark.parametrize(
    "stored", [b"{", b"[]", b'{"k":1}', b"\xff", b"", b"[" * 50_000], ids=lambda data: data[:8]
)
def test_hdf5_metadata_that_is_none(tmp_path, stored):
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file["__metadata__"] = np.frombuffer(stored, np.uint8)
    refused(FORMATS["hdf5"], path)


def test_hdf5_metadata_that_unpacks_to_more_than_the_file(tmp_path):
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("__metadata__", (2**19,), "u1", compression="gzip")
    assert "not a contiguous dataset" in refused(FORMATS["hdf5"], path)
    with h5py.File(path, "w") as file:
        file.create_dataset("__metadata__", (2**40,), "u1", compression="gzip")
    contents = FORMATS["hdf5"].read(path)
    assert (contents.metadata, [name for name, _ in contents.unread]) == ({}, ["__metadata__"])


def test_hdf5_labels_that_are_none(tmp_path):
    path = tmp_path / "m.h5"
    FORMATS["hdf5"].create(path, [Entry("w", DTYPES["bfloat16"], (3,))], {})
    path.write_bytes(path.read_bytes().replace(b"bfloat16", b"bfloat17"))
    assert FORMATS["hdf5"].read(path).unread == (
        ("w", "opaque values of 2 bytes called 'bfloat17'"),
    )
    for label in ([1, 2, 3], 1.5, h5py.Empty("S3"), ["bfloat16"]):
        with h5py.File(path, "r+") as file:
            file["w"].attrs["dtype"] = label
        assert FORMATS["hdf5"].read(path).unread == (("w", "opaque values"),)


@pytest.mark.parametrize("past", [1, 7, 2**40])
def test_hdf5_values_beyond_the_end_of_the_file(tmp_path, past):
    """A small file that claims a large dataset: nothing may try to read it."""
    path = tmp_path / "m.h5"
    with h5py.File(path, "w", libver="earliest") as file:
        file["w"] = np.arange(7, dtype=np.uint8)
        offset = file["w"].id.get_offset()
    data = path.read_bytes()
    old, new = (
        o.to_bytes(8, "little") + (7).to_bytes(8, "little") for o in (offset, len(data) - 7 + past)
    )
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, new))
    assert "invalid dataset size" in refused(FORMATS["hdf5"], path)


def test_hdf5_groups_within_themselves(tmp_path):
    """A group can be linked into itself: reading comes to an end all the same."""
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file["a/w"] = np.ones(3)
        file["a/again"] = file["a"]
        file["a/root"] = file["/"]
    assert [entry.name for entry in FORMATS["hdf5"].read(path).entries] == ["a/w"]
