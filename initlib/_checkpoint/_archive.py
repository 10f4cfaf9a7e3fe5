"""Keras's archive: a zip file with HDF5 in it, which is read in place unless it is compressed."""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
import zipfile
import zlib
from typing import IO, Any

from initlib._checkpoint._recognise import open_source, recognise
from initlib._errors import StorageError
from initlib._formats import FORMATS, Descriptor, Opened, Source, parse_json, storage_errors
from initlib._limits import limit, raising
from initlib._remote import Place

WEIGHTS = "model.weights.h5"
CONFIG = "config.json"
# Of a config, in bytes; what unpacks to more is meant to fill memory.
MAX_CONFIG = 1 << 25
# Weights are nearly random, but for those that are all 0.
MOST_PACKED = 20

# The local header before a member: its signature, and the lengths of what follows it.
_HEADER = struct.Struct("<4s22xHH")
_ERRORS = (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, RuntimeError, EOFError)
_PIECE = 1 << 20


def open_archive(source: Source) -> Opened:
    """Open the weights in an archive; closing them closes the archive.

    Raises:
        StorageError: it is damaged, or has no weights.
    """
    with (
        source,
        storage_errors(source.path, "read as a zip archive", _ERRORS),
        zipfile.ZipFile(source) as archive,
    ):
        member = _member(source.path, archive)
        if member.compress_type == zipfile.ZIP_STORED:
            weights = _in_place(source, member)
        else:
            weights = _unpacked(source.path, archive, member)
    try:
        return FORMATS["hdf5"].open(weights)
    except BaseException:
        weights.close()
        raise


def read_config(path: Place) -> Any:
    """Return the config of a model, in an archive or in a JSON file by itself; None if it has none.

    Raises:
        RequestError: there is no such file.
        StorageError: it is damaged.
    """
    with open_source(path) as source:
        if recognise(source) != "keras":
            size, content = source.size, source.bytes_at(0, min(source.size, MAX_CONFIG))
        else:
            with (
                storage_errors(path, "read as a zip archive", _ERRORS),
                zipfile.ZipFile(source) as archive,
            ):
                if CONFIG not in archive.namelist():
                    return None
                member = archive.getinfo(CONFIG)
                _check_packing(path, member)
                size = member.file_size
                content = archive.read(CONFIG) if size <= MAX_CONFIG else b""
    if size > MAX_CONFIG:
        raise StorageError(f"{path}: its config has {size} bytes, more than {MAX_CONFIG}")
    with storage_errors(path, "read the config as JSON", (ValueError,)):
        return parse_json(content)


def _member(path: Place, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """Return the member with the weights."""
    names = archive.namelist()
    if WEIGHTS in names:
        member = archive.getinfo(WEIGHTS)
        if member.flag_bits & 1:
            raise StorageError(f"{path}: its {WEIGHTS} is encrypted")
        _check_packing(path, member)
        return member
    what = ""
    if any(name.endswith("data.pkl") for name in names):
        what = " (a PyTorch checkpoint; save it with safetensors.torch.save_file)"
    elif any(name.endswith(".npy") for name in names):
        what = " (a file of NumPy arrays; save them with safetensors.numpy.save_file)"
    elif any(name.startswith("model.weights") for name in names):
        what = " (a Keras archive, but its weights are not HDF5)"
    raise StorageError(
        f"{path}: not a checkpoint that initlib reads: a zip archive without {WEIGHTS}{what}"
    )


def _check_packing(path: Place, member: zipfile.ZipInfo) -> None:
    """Refuse what isn't unpacked piece by piece: only deflate is, with Python's zipfile."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise StorageError(
            f"{path}: its {member.filename} is packed by method {member.compress_type} of zip; "
            "expected it stored or deflated"
        )


def _in_place(source: Source, member: zipfile.ZipInfo) -> Source:
    """Return the piece of the archive that an uncompressed member is."""
    if member.header_offset < 0:
        raise ValueError(f"{WEIGHTS} starts before the file")
    header = source.bytes_at(member.header_offset, _HEADER.size)
    signature, name, extra = _HEADER.unpack(header)
    start = member.header_offset + _HEADER.size + name + extra
    if signature != b"PK\3\4" or member.file_size != member.compress_size:
        raise ValueError(f"{WEIGHTS} is not where it should be")
    if start + member.file_size > source.size:
        raise ValueError(f"{WEIGHTS} goes on after the end of the file")
    return source.piece(start, member.file_size)


def _unpacked(path: Place, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Source:
    """Unpack a member to a file without a name, which goes when it is closed."""
    if member.file_size > max(limit("UNPACKED"), MOST_PACKED * member.compress_size):
        raise StorageError(
            f"{path}: its {WEIGHTS} unpacks from {member.compress_size} to {member.file_size} "
            f"bytes; {raising('UNPACKED')}"
        )
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if member.file_size > free:
        raise StorageError(
            f"{path}: unpacking its {WEIGHTS} needs {member.file_size} bytes in "
            f"{tempfile.gettempdir()}, which has {free}"
        )
    with tempfile.TemporaryFile() as file, archive.open(member) as packed:
        size = _copy(packed, file, member.file_size)
        if size != member.file_size:
            raise ValueError(f"{WEIGHTS} has {size} bytes, not {member.file_size}")
        file.flush()
        return Source(path, Descriptor(os.dup(file.fileno())), 0, size)


def _copy(packed: IO[bytes], file: IO[bytes], most: int) -> int:
    """Copy piece by piece; return how many bytes there were, or more than `most`."""
    size = 0
    while size <= most and (piece := packed.read(_PIECE)):
        size += file.write(piece)
    return size
