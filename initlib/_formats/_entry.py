"""What every format shares: tensors by name, files by name, metadata as JSON, and their errors."""

from __future__ import annotations

import json
import math
import re
import reprlib
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from initlib._errors import RequestError, StorageError, reason
from initlib._remote import Address, Place

# Our files keep their metadata under this name in every format: safetensors prescribes it.
METADATA = "__metadata__"

# Offsets in files are signed 64-bit numbers to the operating system.
MAX_FILE = 2**63 - 1

_short = reprlib.Repr()
_short.maxstring = 120


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor in a file: `dtype` is one of initlib's, `shape` is in elements."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many elements there are."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The size of the tensor's values in bytes."""
        return self.size * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Raw:
    """A tensor whose dtype is none of initlib's, of which the bytes are known.

    Attributes:
        entry: its bytes.
        offset: the byte of the file at which they start.
        shape: of the tensor, in elements.
    """

    entry: Entry
    offset: int
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds.

    Attributes:
        entries: the tensors, in the order of their bytes (safetensors) or names (HDF5).
        offsets: for each entry the byte of the file at which its values start, in C order and
            little-endian (0 if it has none); None where they are stored otherwise (chunked,
            compressed, big-endian), so that only the format's own library can read them.
        metadata: texts by key; empty if there are none.
        unread: the name of whatever else is in the file, and what it is: "dtype F4", "strings".
        raw: those of them that are tensors, where their bytes lie in one piece.
    """

    entries: tuple[Entry, ...]
    offsets: tuple[int | None, ...]
    metadata: dict[str, str]
    unread: tuple[tuple[str, str], ...] = ()
    raw: tuple[Raw, ...] = ()


class EntryError(RequestError):
    """A format cannot hold a tensor.

    Attributes:
        index: which of the entries it is.
        problem: why, without the tensor's name.
    """

    def __init__(self, problem: str, *, index: int, name: str):
        super().__init__(f"tensor {name!r}: {problem}")
        self.index, self.problem = index, problem


def shorten(name: str) -> str:
    """Return a name from a file as messages show it: in quotes, on one line, not endless."""
    return _short.repr(name)


def check_names(entries: Sequence[Entry]) -> None:
    """Refuse what no format can hold.

    Raises:
        EntryError: a name occurs twice, or has no UTF-8 encoding.
    """
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        if entry.name in seen:
            raise EntryError("another tensor has the same name", index=index, name=entry.name)
        seen.add(entry.name)
        if not encodable(entry.name):
            raise EntryError("its name is not valid Unicode", index=index, name=entry.name)


def encodable(text: str) -> bool:
    """Tell whether a text has a UTF-8 encoding: lone surrogates have none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def encode_metadata(metadata: Mapping[str, str]) -> bytes:
    """Return metadata as compact UTF-8 JSON, sorted by key.

    Raises:
        RequestError: a text has no UTF-8 encoding.
    """
    for key, value in metadata.items():
        if not (encodable(key) and encodable(value)):
            raise RequestError(f"metadata {key!r}: expected valid Unicode")
    return dump_json(dict(sorted(metadata.items())))


def dump_json(value: Any) -> bytes:
    """Return `value` as compact UTF-8 JSON, keys in the order they have."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def parse_json(data: bytes) -> Any:
    """Return the value of JSON text that came from a file.

    Raises:
        ValueError: it is not UTF-8 or not JSON, nests too deeply, or gives a key twice.
    """
    try:
        return json.loads(data.decode(), object_pairs_hook=_without_repeats)
    except RecursionError:
        raise ValueError("it nests too deeply") from None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("it gives a name twice")
    return table


def as_metadata(value: Any) -> dict[str, str]:
    """Return the metadata that JSON from a file gave.

    Raises:
        ValueError: it is anything but texts by key.
    """
    if isinstance(value, dict) and all(
        isinstance(text, str) and encodable(key) and encodable(text) for key, text in value.items()
    ):
        return value
    raise ValueError(f"its {METADATA!r} is not a JSON object of texts")


def check_replacement(old: bytes, new: Mapping[str, str]) -> bytes:
    """Return `new` encoded, which must fit exactly where `old` stands in a file.

    Raises:
        RequestError: the keys or the encoded lengths differ.
    """
    encoded = encode_metadata(new)
    try:
        same = len(old) == len(encoded) and as_metadata(parse_json(old)).keys() == new.keys()
    except ValueError:
        same = False
    if not same:
        raise RequestError(
            "metadata can only be replaced by texts of the same keys and encoded length"
        )
    return encoded


def check_size(size: int) -> None:
    """Refuse files larger than an operating system can address.

    Raises:
        RequestError: `size`, in bytes, is too large.
    """
    if size > MAX_FILE:
        raise RequestError(f"the file would take {size} bytes, more than any file can hold")


def file_size(path: Place) -> int:
    """Return the size of a regular file in bytes; opening anything else could block.

    Raises:
        RequestError: it is in a bucket that isn't there.
        StorageError: it cannot be found, or is not a file.
    """
    if isinstance(path, Address):
        return path.size()
    with storage_errors(path, "read"):
        status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise StorageError(f"{path}: cannot read: not a file")
    return status.st_size


@contextmanager
def storage_errors(
    path: Place, action: str, also: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Turn OSErrors, and the exceptions named in `also`, into one StorageError of one line.

    Raises:
        StorageError: `path: cannot <action>: <reason>`.
    """
    caught: tuple[type[Exception], ...] = (OSError, *also)
    try:
        yield
    except StorageError:
        raise
    except caught as error:
        raise StorageError(f"{path}: cannot {action}: {_why(error)}") from error


def _why(error: Exception) -> str:
    """Return in one line why something failed."""
    if isinstance(error, OSError) and error.errno:
        return reason(error)
    # The text of a KeyError is its message in quotes.
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    # HDF5 tells of its calls to the system at length.
    if found := re.search(r"errno = (\d+)", text):
        return reason(OSError(int(found[1]), ""))
    return " ".join(text.split())
