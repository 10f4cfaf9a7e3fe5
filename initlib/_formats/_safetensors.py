"""The safetensors layout. See docs/format.md and github.com/huggingface/safetensors."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from initlib._dtypes import DTYPES
from initlib._errors import RequestError, StorageError
from initlib._formats._entry import (
    METADATA,
    Contents,
    Entry,
    EntryError,
    as_metadata,
    check_names,
    check_replacement,
    check_size,
    dump_json,
    encodable,
    encode_metadata,
    file_size,
    parse_json,
    storage_errors,
)

# Readers refuse longer headers (MAX_HEADER_SIZE in safetensors/src/tensor.rs).
MAX_HEADER = 100_000_000

# The data starts at a multiple of a memory page, so that a mapped tensor is aligned.
PAGE = 4096

_LENGTH = 8  # bytes of the header's length, a little-endian unsigned integer
_METADATA_KEY = dump_json(METADATA) + b":"
_CODES = {
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
_DTYPES = {code: dtype for dtype, code in _CODES.items()}


class Safetensors:
    """Writes and reads safetensors files; the methods are those of `Format`."""

    name = "safetensors"
    suffixes: tuple[str, ...] = (".safetensors",)

    def check(self, entries: Sequence[Entry], metadata: Mapping[str, str]) -> None:
        """Refuse repeated names, `__metadata__`, and a header that readers would not take."""
        _layout(entries, metadata)

    def create(
        self, path: Path, entries: Sequence[Entry], metadata: Mapping[str, str]
    ) -> list[int]:
        """Write the header, and make the file as long as it will be."""
        header, offsets, size = _layout(entries, metadata)
        with storage_errors(path, "write"), path.open("xb") as file:
            file.write(header)
            file.truncate(size)
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

    def read(self, path: Path) -> Contents:
        """Read the header; entries come in the order of their bytes."""
        size = file_size(path)
        with storage_errors(path, "read"), path.open("rb") as file:
            length = int.from_bytes(file.read(_LENGTH), "little")
            if size < _LENGTH or length > min(size - _LENGTH, MAX_HEADER):
                raise StorageError(f"{path}: not a safetensors file, or damaged: bad header length")
            header = file.read(length)
        try:
            return _parse(header, size)
        except ValueError as error:
            raise StorageError(f"{path}: not a safetensors file, or damaged: {error}") from error


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
        f'"dtype":"{_CODES[entry.dtype]}","shape":[{",".join(map(str, entry.shape))}]}}'
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
    table = parse_json(header)
    if not isinstance(table, dict):
        raise ValueError("its header is not a JSON object")
    metadata = as_metadata(table.pop(METADATA, {}))
    tensors = sorted((_tensor(name, value) for name, value in table.items()), key=lambda t: t[:2])
    end = 0
    for begin, next_end, entry in tensors:
        if begin != end:
            raise ValueError(f"tensor {entry.name!r} starts at byte {begin} of the data, not {end}")
        end = next_end
    start = _LENGTH + len(header)
    if start + end != size:
        raise ValueError(f"expected {start + end} bytes, got {size}")
    return Contents(
        entries=tuple(entry for _, _, entry in tensors),
        offsets=tuple(start + begin for begin, _, _ in tensors),
        metadata=metadata,
    )


def _tensor(name: str, value: Any) -> tuple[int, int, Entry]:
    """Return where a tensor begins and ends in the data, and what it is."""
    if not encodable(name):
        raise ValueError(f"the name {name!r} is not valid Unicode")
    match value:
        case {"dtype": str(code), "shape": list(shape), "data_offsets": [begin, end]} if all(
            type(number) is int and number >= 0 for number in (*shape, begin, end)
        ):
            if code not in _DTYPES:
                known = ", ".join(_DTYPES)
                raise ValueError(f"tensor {name!r} has dtype {code!r}; initlib reads {known}")
            entry = Entry(name, _DTYPES[code], tuple(shape))
            if end - begin != entry.nbytes:
                raise ValueError(f"tensor {name!r} has {end - begin} bytes, not {entry.nbytes}")
            return begin, end, entry
    raise ValueError(f"tensor {name!r} has no proper dtype, shape and data_offsets")
