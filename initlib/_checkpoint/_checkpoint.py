"""A checkpoint of one file or many: what is in it, and its values."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from initlib._checkpoint._archive import open_archive
from initlib._checkpoint._find import Shards, check_shards, shards_of_folder, shards_of_index
from initlib._checkpoint._recognise import open_source, recognise
from initlib._description import Unread
from initlib._errors import RequestError, StorageError
from initlib._formats import FORMATS, Entry, Format, Opened, Source, storage_errors
from initlib._garbage import no_collection
from initlib._remote import Place, path_of

# Room for what else a process has open beside shards.
OTHER_FILES = 512


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor in a checkpoint.

    Attributes:
        entry: its name, dtype and shape.
        file: which of the checkpoint's files it is in.
        offset: the byte of that file at which its values start, in C order and little-endian; None
            where only the format's library can read them. (Of a compressed archive: the byte of
            what was unpacked.)
    """

    entry: Entry
    file: int
    offset: int | None


class Checkpoint:
    """A checkpoint open for reading, and a context manager that closes it.

    Attributes:
        path: as it was given.
        format: "safetensors", "hdf5" or "keras".
        files: the file, or the shards.
        names: what to call the files.
        metadata: of each file, texts by key.
        tensors: in the order of files, and in each of their bytes; those without an offset last.
        unread: what else is in the files.
        raw: those of them that are tensors of other dtypes, by name: their bytes, and their shape.
        texts: what an index says beside its table, by key.
    """

    def __init__(
        self,
        path: Place,
        format: str,
        opened: tuple[Opened, ...],
        texts: Mapping[str, str] = MappingProxyType({}),
    ):
        self.path, self.format, self._opened, self.texts = path, format, opened, texts
        self.files = tuple(file.source.path for file in opened)
        self.names = tuple(path.name for path in self.files)
        self.metadata = tuple(file.contents.metadata for file in opened)
        self.tensors = tuple(
            tensor for index, file in enumerate(opened) for tensor in _stored(index, file)
        )
        self.unread = tuple(
            Unread(name, what, file.source.path.name)
            for file in opened
            for name, what in file.contents.unread
        )

        raw = [(i, file, each) for i, file in enumerate(opened) for each in file.contents.raw]
        self.raw = {
            each.entry.name: (Stored(each.entry, i, file.source.start + each.offset), each.shape)
            for i, file, each in raw
        }

    def read_into(self, tensor: Stored, start: int, out: npt.NDArray[Any]) -> None:
        """Read elements start .. start + out.size of a tensor; any thread may, at any time.

        Args:
            tensor: one of this checkpoint's.
            start: the first element, in C order.
            out: 1-D contiguous array of the tensor's dtype.

        Raises:
            StorageError: the file is shorter than it was, or can't be read.
        """
        file = self._opened[tensor.file]
        if not out.size:
            return
        if tensor.offset is None:
            file.read_values(tensor.entry, start, out)
        else:
            place = tensor.offset - file.source.start + start * tensor.entry.dtype.itemsize
            file.source.read_at(place, out.view(np.uint8))

    def close(self) -> None:
        """Close the files; again does nothing."""
        for file in self._opened:
            file.close()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _stored(index: int, file: Opened) -> list[Stored]:
    """Return a file's tensors, in the order of their bytes."""
    start = file.source.start
    tensors = [
        Stored(entry, index, None if offset is None else start + offset)
        for entry, offset in zip(file.contents.entries, file.contents.offsets, strict=True)
    ]
    return sorted(tensors, key=lambda t: (t.offset is None, t.offset or 0))


def open_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Open a safetensors or HDF5 file, a folder or an index of safetensors shards, or a `.keras`.

    What a file is, is told by its content and not by its name.

    Raises:
        RequestError: there is no such file, or the folder has none or several to choose from.
        StorageError: it is damaged, can't be read, or isn't a checkpoint that initlib reads.
    """
    path = path_of(path)
    with no_collection(), ExitStack() as stack:
        with storage_errors(path, "read"):
            folder = path.is_dir()
        if folder:
            return _open_shards(path, shards_of_folder(path), stack)
        source = stack.enter_context(open_source(path))
        kind = recognise(source)
        if kind == "index":
            return _open_shards(path, shards_of_index(source), stack)
        opened = open_archive(source) if kind == "keras" else FORMATS[kind].open(source)
        stack.pop_all()
        return Checkpoint(path, kind, (opened,))


def _open_shards(path: Place, shards: Shards, stack: ExitStack) -> Checkpoint:
    """Open all shards; the `stack` closes them if one of them is bad."""
    _allow_files(len(shards.files))
    opened: list[Opened] = []
    for shard in shards.files:
        source = stack.enter_context(_open_shard(shard, shards.index))
        opened.append(FORMATS["safetensors"].open(source))
    contents = check_shards(shards, [file.contents for file in opened])
    for file, found in zip(opened, contents, strict=True):
        file.contents = found
    stack.pop_all()
    return Checkpoint(path, "safetensors", tuple(opened), shards.texts)


def _allow_files(count: int) -> None:
    """Let the process have so many more files open, if it may allow that to itself."""
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Usual limits are those of fifty years ago, so that a few terabytes have too many shards; and
    # there may be another checkpoint to compare with.
    wanted = 2 * count + OTHER_FILES
    if limit != resource.RLIM_INFINITY and limit < wanted:
        wanted = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _open_shard(file: Place, index: Place | None) -> Source:
    try:
        return open_source(file)
    except RequestError as error:
        text = f"{index or file.parent}: shard {file.name!r} is missing"
        raise StorageError(text) from error


def read_metadata(path: str | os.PathLike[str]) -> tuple[Format, dict[str, str]] | None:
    """Return a file's format and its metadata, without a look at its tensors.

    Returns:
        None for what isn't one safetensors or HDF5 file: a folder, an index, a Keras archive.

    Raises:
        RequestError: there is no such file.
        StorageError: it can't be read, is damaged, or is no checkpoint.
    """
    path = path_of(path)
    if path.is_dir():
        return None
    with open_source(path) as source:
        found = FORMATS.get(recognise(source))
    return None if found is None else (found, found.read_metadata(path))
