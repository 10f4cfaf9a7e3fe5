"""The safetensors layout. See docs/format.md and github.com/huggingface/safetensors."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from initlib._dtypes import DTYPES
from initlib._errors import RequestError, StorageError
from initlib._files import new_file
from initlib._formats._entry import (
    MAX_FILE,
    METADATA,
    Contents,
    Entry,
    EntryError,
    Raw,
    as_metadata,
    check_names,
    check_replacement,
    check_size,
    dump_json,
    encodable,
    encode_metadata,
    parse_json,
    shorten,
    storage_errors,
)
from initlib._formats._source import Opened, Source
from initlib._garbage import no_collection
from initlib._remote import Place

# Readers refuse longer headers (MAX_HEADER_SIZE in safetensors/src/tensor.rs).
MAX_HEADER = 100_000_000

# The data starts at a multiple of a memory page, so that a mapped tensor is aligned.
PAGE = 4096

_LENGTH = 8  # bytes of the header's length, a little-endian unsigned integer
_METADATA_KEY = dump_json(METADATA) + b":"
CODES = {
    DTYPES[name]: code
    for name, code in {
        "float64": "F64",
        "float32": "F32",
        "float16": "F16",
        "bfloat16": "BF16",
        "float8_e4m3fn": "F8_E4M3",
        "float8_e5m2": "F8_E5M2",
        "int8": "I8",
        "int16": "I16",
        "int32": "I32",
        "int64": "I64",
        "uint8": "U8",
        "uint16": "U16",
        "uint32": "U32",
        "uint64": "U64",
        "bool": "BOOL",
    }.items()
}
DTYPE_OF = {code: dtype for dtype, code in CODES.items()}

# The rest of what safetensors 0.8 has (Dtype in safetensors/src/tensor.rs): bits of an element.
_OTHERS = {
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "C64": 64,
}


class Safetensors:
    """Writes and reads safetensors files; the methods are those of `Format`."""

    name = "safetensors"
    suffixes: tuple[str, ...] = (".safetensors",)

    def check(self, entries: Sequence[Entry], metadata: Mapping[str, str]) -> None:
        """Refuse repeated names, `__metadata__`, and a header that readers would not take."""
        _layout(entries, metadata)

    def layout(
        self, entries: Sequence[Entry], metadata: Mapping[str, str]
    ) -> tuple[list[int], int]:
        """Add up the sizes."""
        return _layout(entries, metadata)[1:]

    def create(
        self, path: Path, entries: Sequence[Entry], metadata: Mapping[str, str]
    ) -> list[int]:
        """Write the header, and make the file as long as it will be."""
        header, offsets, size = _layout(entries, metadata)
        with storage_errors(path, "write"), new_file(path) as file:
            file.write(header)
            file.flush()
            os.truncate(file.fileno(), size)
        return offsets

    def replace_metadata(self, path: Path, metadata: Mapping[str, str]) -> None:
        """Write other texts over those at the start of the header."""
        start = _LENGTH + len(b"{" + _METADATA_KEY)
        with storage_errors(path, "write"), path.open("r+b") as file:
            file.seek(start)
            # Of an object's text no shorter and no longer piece is an object's text, so what has
            # another length is found to be no JSON.
            encoded = check_replacement(file.read(len(encode_metadata(metadata))), metadata)
            file.seek(start)
            file.write(encoded)

    def read(self, path: Place) -> Contents:
        """Read the header; entries come in the order of their bytes."""
        with Source.open(path) as source:
            return self.open(source).contents

    def open(self, source: Source) -> Opened:
        """Read the header; entries come in the order of their bytes."""
        with _damage(source):
            return Opened(source, _parse(_read_header(source), source.size))

    def read_metadata(self, path: Place) -> dict[str, str]:
        """Read the header, and of it no more than the metadata."""
        with Source.open(path) as source, _damage(source):
            return as_metadata(_table(_read_header(source)).get(METADATA, {}))


@contextmanager
def _damage(source: Source) -> Iterator[None]:
    """Turn the ValueErrors of bad headers into StorageErrors."""
    try:
        yield
    except ValueError as error:
        text = f"{source.path}: not a safetensors file, or damaged: {error}"
        raise StorageError(text) from error


def _read_header(source: Source) -> bytes:
    """Return the header, spaces and all. ValueError if it cannot be one."""
    if source.size < _LENGTH:
        raise ValueError(f"it has only {source.size} bytes")
    length = int.from_bytes(source.bytes_at(0, _LENGTH), "little")
    if length > MAX_HEADER:
        raise ValueError(f"bad header length: {length} bytes, more than {MAX_HEADER}")
    if length > source.size - _LENGTH:
        raise ValueError(f"bad header length: {length} bytes in a file of {source.size}")
    return source.bytes_at(_LENGTH, length)


def _table(header: bytes) -> dict[str, Any]:
    """Return the header as JSON. ValueError if it is no object."""
    table = parse_json(header)
    if not isinstance(table, dict):
        raise ValueError("its header is not a JSON object")
    return table


def _layout(entries: Sequence[Entry], metadata: Mapping[str, str]) -> tuple[bytes, list[int], int]:
    """Return the header with its length and padding, the entries' offsets, and the file's size.

    Raises:
        RequestError: as `Format.check` does.
    """
    check_names(entries)
    for index, entry in enumerate(entries):
        if entry.name == METADATA:
            raise EntryError("safetensors reserves this name", index=index, name=entry.name)
    begins, end = [0] * len(entries), 0
    # Wide dtypes first: every tensor then starts at a multiple of its own item size.
    for index in sorted(range(len(entries)), key=lambda i: -entries[i].dtype.itemsize):
        begins[index] = end
        end += entries[index].nbytes
    header = _header(entries, begins, metadata)
    check_size(len(header) + end)
    return header, [len(header) + begin for begin in begins], len(header) + end


def _header(entries: Sequence[Entry], begins: Sequence[int], metadata: Mapping[str, str]) -> bytes:
    """Return the header of a file in whose data `entries` start at the bytes `begins`."""
    quote = json.JSONEncoder(ensure_ascii=False).encode
    # Formatting takes half the time of a dictionary and its encoding.
    tensors = [
        f'{quote(entry.name)}:{{"data_offsets":[{begin},{begin + entry.nbytes}],'
        f'"dtype":"{CODES[entry.dtype]}","shape":[{",".join(map(str, entry.shape))}]}}'
        for entry, begin in sorted(zip(entries, begins, strict=True), key=lambda pair: pair[0].name)
    ]
    # The metadata goes first, where `replace_metadata` finds it.
    members = [_METADATA_KEY + encode_metadata(metadata), *(line.encode() for line in tensors)]
    text = b"{" + b",".join(members) + b"}"
    length = math.ceil((_LENGTH + len(text)) / PAGE) * PAGE - _LENGTH
    if length > MAX_HEADER:
        raise RequestError(
            f"the safetensors header would take {length} bytes, but readers accept {MAX_HEADER}; "
            "write HDF5, or fewer tensors"
        )
    return length.to_bytes(_LENGTH, "little") + text.ljust(length)


def _parse(header: bytes, size: int) -> Contents:
    """Return what a header says; `size` is the file's. ValueError if it cannot be so."""
    with no_collection():
        table = _table(header)
        metadata = as_metadata(table.pop(METADATA, {}))
        # Taken out one by one: a large header's JSON takes ten times the memory of its text.
        tensors = [_tensor(*table.popitem()) for _ in range(len(table))]
        tensors.sort(key=lambda tensor: (tensor.begin, tensor.end, tensor.name))
        return _contents(tensors, _LENGTH + len(header), size, metadata)


def _contents(
    tensors: Sequence[_Tensor], start: int, size: int, metadata: dict[str, str]
) -> Contents:
    """Return what a file holds whose data start at the byte `start`."""
    end = 0
    for tensor in tensors:
        if tensor.begin != end:
            name = shorten(tensor.name)
            raise ValueError(f"tensor {name} starts at byte {tensor.begin} of the data, not {end}")
        end = tensor.end
    if start + end != size:
        raise ValueError(f"expected {start + end} bytes, got {size}")
    ours = [(tensor, tensor.entry) for tensor in tensors if tensor.entry is not None]
    others = [tensor for tensor in tensors if tensor.entry is None]
    return Contents(
        entries=tuple(entry for _, entry in ours),
        offsets=tuple(start + tensor.begin for tensor, _ in ours),
        metadata=metadata,
        unread=tuple((t.name, f"dtype {shorten(t.code)[1:-1]}") for t in others),
        raw=tuple(Raw(t.as_bytes, start + t.begin, t.shape) for t in others),
    )


class _Tensor(NamedTuple):
    """A line of a header: `begin` and `end` are bytes of the data, `entry` None if not ours."""

    name: str
    code: str
    begin: int
    end: int
    entry: Entry | None
    shape: tuple[int, ...]

    @property
    def as_bytes(self) -> Entry:
        """The tensor as so many bytes."""
        return Entry(self.name, DTYPES["uint8"], (self.end - self.begin,))


def _tensor(name: str, value: Any) -> _Tensor:
    """Return what a header says of a tensor. ValueError if it cannot be so."""
    if not encodable(name):
        raise ValueError(f"the name {shorten(name)} is not valid Unicode")
    match value:
        case {"dtype": str(code), "shape": list(shape), "data_offsets": [begin, end]} if all(
            type(number) is int and 0 <= number <= MAX_FILE for number in (*shape, begin, end)
        ):
            dtype = DTYPE_OF.get(code)
            bits = _OTHERS.get(code) if dtype is None else 8 * dtype.itemsize
            if end < begin or (bits is not None and 8 * (end - begin) != bits * _count(shape)):
                wanted = f"{code} of shape {shorten(str(shape))[1:-1]}"
                raise ValueError(f"tensor {shorten(name)} has {end - begin} bytes for {wanted}")
            axes = tuple(shape)
            entry = None if dtype is None else Entry(name, dtype, axes)
            return _Tensor(name, code, begin, end, entry, axes)
    raise ValueError(f"tensor {shorten(name)} has no proper dtype, shape and data_offsets")


def _count(shape: Sequence[int]) -> int:
    """Return how many elements a shape has, or a number too large if it has more than any file."""
    count = 0 if 0 in shape else 1
    for size in shape:
        # A header has room for sizes whose whole product would take minutes.
        if count > MAX_FILE:
            break
        count *= size
    return count
