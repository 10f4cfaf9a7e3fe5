"""The HDF5 layout: groups from the slashes in names, contiguous datasets. See docs/format.md."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from initlib._dtypes import DTYPES, dtype_name
from initlib._errors import RequestError
from initlib._files import itself, new_file
from initlib._formats._entry import (
    METADATA,
    Contents,
    Entry,
    EntryError,
    check_names,
    check_replacement,
    check_size,
    encode_metadata,
    file_size,
    storage_errors,
)
from initlib._formats._hdf5_read import ERRORS, MAX_DEPTH, MAX_METADATA, Hdf5File, read_metadata
from initlib._formats._hdf5_types import ATTRIBUTE, OPAQUE, stored_type
from initlib._formats._source import Opened, Source
from initlib._remote import Place

# Datasets of at least so many bytes start at multiples of a memory page; small ones lie close.
ALIGNED_FROM = 64 * 1024
PAGE = 4096

MAX_RANK = 32  # H5S_MAX_RANK


class Hdf5:
    """Writes and reads HDF5 files; the methods are those of `Format`."""

    name = "hdf5"
    suffixes: tuple[str, ...] = (".h5", ".hdf5")

    def check(self, entries: Sequence[Entry], metadata: Mapping[str, str]) -> None:
        """Refuse names that make no path of groups, and one that is a tensor and a group."""
        check_names(entries)
        names = {entry.name for entry in entries}
        checked: set[str] = set()
        for index, entry in enumerate(entries):
            if problem := _problem(entry):
                raise EntryError(problem, index=index, name=entry.name)
            for group in _groups(entry.name, checked):
                if group in names:
                    problem = f"{group!r} is a tensor too, but here a group of tensors"
                    raise EntryError(problem, index=index, name=entry.name)
        length = len(encode_metadata(metadata))
        if length > MAX_METADATA:
            raise RequestError(f"metadata of {length} bytes; HDF5 files have up to {MAX_METADATA}")
        check_size(sum(entry.nbytes for entry in entries) + length)

    def layout(
        self, entries: Sequence[Entry], metadata: Mapping[str, str]
    ) -> tuple[list[int], int]:
        """Make a file of holes and see: only the library knows how large its own parts are."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "layout")
            return self.create(path, entries, metadata), file_size(path)

    def create(
        self, path: Path, entries: Sequence[Entry], metadata: Mapping[str, str]
    ) -> list[int]:
        """Lay out groups and datasets in the order given, the metadata's dataset last."""
        self.check(entries, metadata)
        encoded = encode_metadata(metadata)
        place = Entry(METADATA, DTYPES["uint8"], (len(encoded),))
        # HDF5 opens files by their names.
        with storage_errors(path, "write as HDF5", ERRORS), new_file(path) as file:
            offsets = _lay_out(itself(file.fileno(), path), [*entries, place])
            file.seek(offsets.pop())
            file.write(encoded)
        return offsets

    def replace_metadata(self, path: Path, metadata: Mapping[str, str]) -> None:
        """Write other texts over those in the metadata's dataset."""
        import h5py

        file_size(path)  # refuses what would block
        with storage_errors(path, "read as HDF5", ERRORS), h5py.File(path, locking=False) as file:
            offset, length = file[METADATA].id.get_offset(), file[METADATA].size
        with storage_errors(path, "write"), path.open("r+b") as raw:
            raw.seek(offset)
            encoded = check_replacement(raw.read(length), metadata)
            raw.seek(offset)
            raw.write(encoded)

    def read(self, path: Place) -> Contents:
        """Visit the datasets; entries come in the order of their names."""
        with Source.open(path) as source, closing(self.open(source)) as opened:
            return opened.contents

    def open(self, source: Source) -> Opened:
        """Visit the datasets; entries come in the order of their names."""
        return Hdf5File(source)

    def read_metadata(self, path: Place) -> dict[str, str]:
        """Open the metadata's dataset alone: others may be damaged so that HDF5 hangs."""
        with Source.open(path) as source:
            return read_metadata(source)


def _problem(entry: Entry) -> str | None:
    """Say what is wrong with a tensor by itself."""
    parts = entry.name.split("/")
    if not {"", ".", ".."}.isdisjoint(parts):
        return "in HDF5 the parts of a name between slashes cannot be empty, '.' or '..'"
    if len(parts) > MAX_DEPTH:
        return f"expected groups at most {MAX_DEPTH} deep"
    if "\0" in entry.name:
        return "an HDF5 name cannot have a NUL character"
    if parts[0] == METADATA:
        return f"{METADATA!r} holds the file's metadata"
    if len(entry.shape) > MAX_RANK:
        return f"HDF5 holds at most {MAX_RANK} dimensions, got {len(entry.shape)}"
    return None


def _groups(name: str, known: set[str]) -> Iterator[str]:
    """Yield the groups above `name` that are not `known`, innermost first; they become known."""
    group = name.rpartition("/")[0]
    while group and group not in known:
        known.add(group)
        yield group
        group = group.rpartition("/")[0]


def _lay_out(path: Path, entries: Sequence[Entry]) -> list[int]:
    """Make a file and its datasets without values; return their offsets.

    h5py's low-level calls take a third of the time of `create_dataset`.
    """
    import h5py
    from h5py import h5a, h5d, h5g, h5s, h5t

    links, groups, datasets = _properties()
    types = {dtype: stored_type(dtype) for dtype in {entry.dtype for entry in entries}}
    scalar = h5s.create(h5s.SCALAR)
    spaces = {
        shape: h5s.create_simple(shape) if shape else scalar
        for shape in {entry.shape for entry in entries}
    }
    text = h5t.py_create(h5py.string_dtype(), logical=True)
    labels = {dtype: np.array(dtype_name(dtype), dtype=object) for dtype in OPAQUE}
    offsets: list[int] = []
    made: set[str] = set()
    with h5py.File(_create_file(path)) as file:
        for entry in entries:
            for group in reversed(list(_groups(entry.name, made))):
                h5g.create(file.id, group.encode(), links, groups)
            what = types[entry.dtype], spaces[entry.shape]
            dataset = h5d.create(file.id, entry.name.encode(), *what, datasets, links)
            if entry.dtype in labels:
                h5a.create(dataset, ATTRIBUTE, text, scalar).write(labels[entry.dtype])
            # A dataset without values has no place.
            offsets.append(dataset.get_offset() if entry.nbytes else 0)
    return offsets


def _properties() -> tuple[Any, Any, Any]:
    """Return the properties of new links, groups and datasets: no time stamps, no fill values."""
    from h5py import h5d, h5p, h5t

    links = h5p.create(h5p.LINK_CREATE)
    links.set_char_encoding(h5t.CSET_UTF8)
    groups = h5p.create(h5p.GROUP_CREATE)
    groups.set_obj_track_times(False)
    datasets = h5p.create(h5p.DATASET_CREATE)
    datasets.set_layout(h5d.CONTIGUOUS)
    datasets.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    datasets.set_fill_time(h5d.FILL_TIME_NEVER)
    datasets.set_obj_track_times(False)
    return links, groups, datasets


def _create_file(path: Path) -> Any:
    """Fill an empty file in the format of HDF5 1.8, which every release since reads; return its id.

    Not every file system has locks, and nobody else knows the file.
    """
    from h5py import h5f, h5p

    access = h5p.create(h5p.FILE_ACCESS)
    access.set_fclose_degree(h5f.CLOSE_STRONG)
    access.set_libver_bounds(h5f.LIBVER_V18, h5f.LIBVER_V18)
    access.set_alignment(ALIGNED_FROM, PAGE)
    access.set_file_locking(False, True)
    creation = h5p.create(h5p.FILE_CREATE)
    creation.set_obj_track_times(False)
    return h5f.create(os.fsencode(path), h5f.ACC_TRUNC, creation, access)
