"""Zip archives that lie, are damaged or are none of Keras's: one line that names the file."""

import io
import struct
import zipfile

import h5py
import numpy as np
import pytest
from strange_checkpoints import archive, refused, weights

from initlib._checkpoint import open_checkpoint


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"archive/data_pkl": b""}, "a PyTorch checkpoint; save it with safetensors"),
        ({"a_npy": b""}, "a file of NumPy arrays"),
        ({"model_weights_npz": b""}, "a Keras archive, but its weights are not HDF5"),
        ({"x": b""}, "a zip archive without model.weights.h5"),
        ({}, "a zip archive without model.weights.h5"),
        ({"model_weights_h5": b"none"}, "cannot read as HDF5"),
        ({"model_weights_h5": b""}, "cannot read as HDF5"),
        ({"model_weights_h5": weights()[:-1]}, "cannot read as HDF5"),
    ],
    ids=lambda value: str(value)[:30],
)
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archives_that_are_no_checkpoint(tmp_path, members, message, method):
    path = tmp_path / "m.keras"
    archive(path, method, **members)
    assert message in refused(path)


def edit(path, old, new, at=0):
    """Replace the number that stands `at` bytes after the last place of `old`."""
    data = bytearray(path.read_bytes())
    place = data.rindex(old) + at
    data[place : place + len(new)] = new
    path.write_bytes(data)


CENTRAL = b"PK\1\2"


END = b"PK\5\6"


@pytest.mark.parametrize(
    ("old", "at", "number", "message"),
    [
        (CENTRAL, 20, 50, "is not where it should be"),
        (CENTRAL, 24, 50, "is not where it should be"),
        (CENTRAL, 42, 1, "is not where it should be"),
        (END, 12, 2**31, "cannot read as a zip archive"),
        (END, 16, 2**31, "cannot read as a zip archive"),
        (b"model.weights.h5", 0, 0, "a zip archive without model.weights.h5"),
    ],
)
def test_archives_that_lie(tmp_path, old, at, number, message):
    path = tmp_path / "m.keras"
    archive(path, model_weights_h5=weights())
    edit(path, old, struct.pack("<I", number), at)
    assert message in refused(path)


def test_a_directory_of_an_archive_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as file:
        for i in range(100):
            info = zipfile.ZipInfo(f"{i}")
            info.comment = b" " * 60_000
            file.writestr(info, b"")
    assert "bytes at once, more than 1048576" in refused(path)


def test_an_archive_that_unpacks_to_less_or_more_than_it_says(tmp_path):
    for size in (10, 10**9):
        path = tmp_path / f"{size}.keras"
        archive(path, zipfile.ZIP_DEFLATED, model_weights_h5=weights())
        edit(path, CENTRAL, struct.pack("<I", size), 24)
        refused(path)


def test_an_archive_that_unpacks_to_more_than_the_disk_holds(tmp_path, monkeypatch):
    monkeypatch.setenv("INITGEN_MAX_UNPACKED", str(2**61))
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        info = zipfile.ZipInfo("model.weights.h5")
        info.compress_type = zipfile.ZIP_DEFLATED
        with file.open(info, "w", force_zip64=True) as member:
            member.write(weights())
    # The size, in the directory, moves to the extra field of 64 bits: sizes there are bytes 4-20.
    data = path.read_bytes()
    place = data.rindex(CENTRAL)
    fields = list(struct.unpack_from("<4s6H3I5H2I", data, place))
    name = data[place + 46 : place + 46 + fields[10]]
    end = data[place + 46 + fields[10] + fields[11] :]
    fields[9], fields[11] = 2**32 - 1, 12
    extra = struct.pack("<HHQ", 1, 8, 2**60)
    central = struct.pack("<4s6H3I5H2I", *fields) + name + extra
    tail = bytearray(end)
    struct.pack_into("<II", tail, tail.rindex(END) + 12, len(central), place)
    path.write_bytes(data[:place] + central + tail)
    assert f"needs {2**60} bytes in" in refused(path)


def test_an_encrypted_archive(tmp_path):
    path = tmp_path / "m.keras"
    archive(path, model_weights_h5=weights())
    edit(path, CENTRAL, struct.pack("<H", 1), 8)
    assert "model.weights.h5 is encrypted" in refused(path)


def test_an_archive_that_unpacks_to_far_more_than_it_is(tmp_path, monkeypatch):
    path = tmp_path / "m.keras"
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        h5["w"] = np.zeros(1 << 20, np.float32)
    archive(path, zipfile.ZIP_DEFLATED, model_weights_h5=file.getvalue())
    open_checkpoint(path).close()
    monkeypatch.setenv("INITGEN_MAX_UNPACKED", "4000000")
    assert "INITGEN_MAX_UNPACKED in the environment raises the limit of 4,000,000" in refused(path)
