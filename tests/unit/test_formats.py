"""initlib._formats: choosing a format, and what all of them share."""

import errno
import json
import os
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from initlib._errors import RequestError, StorageError
from initlib._formats import FORMATS, Entry, EntryError, format_for
from initlib._formats._entry import check_size, parse_json, storage_errors

FLOAT32 = np.dtype(np.float32)


@pytest.fixture(params=sorted(FORMATS))
def file_format(request):
    return FORMATS[request.param]


@pytest.mark.parametrize(
    ("path", "name", "expected"),
    [
        ("m.safetensors", None, "safetensors"),
        ("out/m.weights.h5", None, "hdf5"),
        ("m.HDF5", None, "hdf5"),
        ("m.h5", "safetensors", "safetensors"),
        ("m.bin", "hdf5", "hdf5"),
    ],
)
def test_a_format_is_chosen_by_name_else_by_suffix(path, name, expected):
    assert format_for(path, name).name == expected


@pytest.mark.parametrize(
    ("path", "name", "message"),
    [
        ("m.safetensor", None, ".safetensors, .h5, .hdf5, or --format; did you mean '.safetens"),
        ("folder", None, "folder: no format has the suffix ''; expected one of .safetensors"),
        ("m.h5", "hdf", "unknown format 'hdf'; expected safetensors or hdf5; did you mean 'hdf5'?"),
    ],
)
def test_an_unknown_format_is_refused_with_the_known_ones(path, name, message):
    with pytest.raises(RequestError) as error:
        format_for(path, name)
    assert message in str(error.value)


def test_nbytes_counts_the_items_of_a_dtype():
    assert Entry("x", np.dtype(ml_dtypes.bfloat16), (3, 5)).nbytes == 30
    assert Entry("x", FLOAT32, ()).nbytes == 4
    assert Entry("x", FLOAT32, (7, 0)).nbytes == 0
    assert Entry("x", FLOAT32, (2**40, 2**40)).nbytes == 2**82


def test_names_that_no_format_holds(file_format):
    entries = [Entry("a", FLOAT32, (1,)), Entry("b", FLOAT32, (1,)), Entry("a", FLOAT32, (2,))]
    with pytest.raises(
        EntryError, match=r"^tensor 'a': another tensor has the same name$"
    ) as error:
        file_format.check(entries, {})
    assert error.value.index == 2
    assert error.value.problem == "another tensor has the same name"
    with pytest.raises(EntryError, match=r"'\\ud800': its name is not valid Unicode"):
        file_format.check([Entry("\ud800", FLOAT32, ())], {})


def test_metadata_that_no_format_holds(file_format):
    with pytest.raises(RequestError, match="metadata 'key': expected valid Unicode"):
        file_format.check([], {"key": "\udcff"})


def test_the_largest_file():
    check_size(2**63 - 1)
    with pytest.raises(RequestError, match=f"the file would take {2**63} bytes, more than any"):
        check_size(2**63)


def test_a_file_larger_than_any_is_refused(file_format):
    half = Entry("half", np.dtype(np.uint8), (2**62,))
    other = Entry("other", np.dtype(np.uint8), (2**62,))
    file_format.check([half], {})
    with pytest.raises(RequestError, match="more than any file can hold"):
        file_format.check([half, other], {})


def test_values_are_holes_until_they_are_written(file_format, tmp_path):
    path = tmp_path / "sparse"
    entries = [Entry("big", FLOAT32, (2**28,)), Entry("small", FLOAT32, (2,))]
    offsets = file_format.create(path, entries, {})
    status = path.stat()
    assert status.st_size >= max(offsets) + 8
    assert status.st_size >= 2**30
    assert status.st_blocks * 512 < 2**20


def test_the_file_must_be_new(file_format, tmp_path):
    path = tmp_path / "here"
    path.write_bytes(b"precious")
    with pytest.raises(StorageError, match=r"here: cannot write.*: File exists$"):
        file_format.create(path, [], {})
    assert path.read_bytes() == b"precious"


def test_storage_errors_name_the_file_and_the_reason(file_format, tmp_path):
    missing = tmp_path / "none" / "file"
    with pytest.raises(
        StorageError, match=r"none/file: cannot write.*: No such file or directory$"
    ):
        file_format.create(missing, [], {})
    with pytest.raises(StorageError, match=r"none/file: cannot read: No such file or directory$"):
        file_format.read(missing)
    with pytest.raises(StorageError, match=r"none/file: cannot .*: No such file or directory$"):
        file_format.replace_metadata(missing, {})
    with pytest.raises(StorageError, match=r"cannot read: not a file$"):
        file_format.read(tmp_path)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.EISDIR, "whatever"), "Is a directory"),
        (OSError("Can't write\n  (errno = 21, error message = 'Is'...)"), "Is a directory"),
        (OSError("Can't\n  write (errno unknown)"), "Can't write (errno unknown)"),
        (KeyError("no 'a'", "here"), "no 'a'"),
        (KeyError(), ""),
    ],
    ids=["number", "number in a text", "text", "key", "nothing"],
)
def test_what_failed_is_told_in_one_line(error, reason):
    with (
        pytest.raises(StorageError, match=r"^m: cannot write: ") as caught,
        storage_errors(Path("m"), "write", (KeyError,)),
    ):
        raise error
    assert str(caught.value) == f"m: cannot write: {reason}"


def test_metadata_that_the_disk_refuses(file_format, tmp_path, monkeypatch):
    path, opened = tmp_path / "file", Path.open
    file_format.create(path, [], {"k": "1"})

    def fails(self, mode="r", *args, **options):
        if "+" in mode:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        return opened(self, mode, *args, **options)

    monkeypatch.setattr(Path, "open", fails)
    with pytest.raises(StorageError) as caught:
        file_format.replace_metadata(path, {"k": "2"})
    assert str(caught.value) == f"{path}: cannot write: Is a directory"


def test_replacing_metadata_changes_its_bytes_alone(file_format, tmp_path):
    path = tmp_path / "file"
    old = {"format": "pt", "initgen": json.dumps({"digest": "0" * 64})}
    new = {"initgen": json.dumps({"digest": "f" * 64}), "format": "tp"}
    offset, _ = file_format.create(path, [Entry(n, FLOAT32, (9,)) for n in "xy"], old)
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"values")
    before = path.read_bytes()
    file_format.replace_metadata(path, new)
    after = path.read_bytes()
    assert file_format.read(path).metadata == new
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 64 + 2


@pytest.mark.parametrize(
    "other",
    [{}, {"a": "22", "b": "2"}, {"a": "", "b": "2"}, {"a": "1", "c": "2"}, {"a": '"', "b": "2"}],
    ids=str,
)
def test_replacing_metadata_by_another_layout_is_refused(file_format, tmp_path, other):
    path = tmp_path / "file"
    file_format.create(path, [Entry("x", FLOAT32, (9,))], {"a": "1", "b": "2"})
    before = path.read_bytes()
    with pytest.raises(RequestError, match="same keys and encoded length"):
        file_format.replace_metadata(path, other)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "text",
    ['{"a":1,"a":2}', "[" * 100_000, "9" * 5000, "{", "", '"\xff"'],
    ids=["twice", "deep", "long", "open", "nothing", "no UTF-8"],
)
def test_bad_json_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"."):
        parse_json(text.encode("latin-1"))
