"""File formats: where the bytes of tensors lie in a file, for writing and for reading."""

from __future__ import annotations

from pathlib import Path

from initlib._errors import RequestError, did_you_mean
from initlib._formats._entry import (
    Contents,
    Entry,
    EntryError,
    encodable,
    file_size,
    parse_json,
    shorten,
    storage_errors,
)
from initlib._formats._format import Format
from initlib._formats._hdf5 import Hdf5
from initlib._formats._safetensors import CODES, DTYPE_OF, Safetensors
from initlib._formats._source import Descriptor, Opened, Source

__all__ = [
    "CODES",
    "DTYPE_OF",
    "FORMATS",
    "SUFFIXES",
    "Contents",
    "Descriptor",
    "Entry",
    "EntryError",
    "Format",
    "Opened",
    "Source",
    "encodable",
    "file_size",
    "format_for",
    "parse_json",
    "shorten",
    "storage_errors",
]

FORMATS: dict[str, Format] = {format_.name: format_ for format_ in (Safetensors(), Hdf5())}
SUFFIXES = {suffix: format_ for format_ in FORMATS.values() for suffix in format_.suffixes}


def format_for(path: str | Path, name: str | None = None) -> Format:
    """Return the format called `name`, or if that is None the one that `path`'s suffix tells.

    Raises:
        RequestError: there is no format of this name or suffix.
    """
    if name is not None:
        if name not in FORMATS:
            hint = did_you_mean(name, FORMATS)
            raise RequestError(f"unknown format {name!r}; expected {' or '.join(FORMATS)}{hint}")
        return FORMATS[name]
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        expected = ", ".join(SUFFIXES)
        raise RequestError(
            f"{path}: no format has the suffix {suffix!r}; expected one of {expected}, or --format"
            f"{did_you_mean(suffix, SUFFIXES)}"
        )
    return SUFFIXES[suffix]
