"""Values of a tensor in another file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from initlib._dtypes import dtype_name, is_float
from initlib._errors import RequestError, StorageError, did_you_mean, reason
from initlib._remote import Address, Place, named
from initlib.initializers._base import Array, Target, pieces
from initlib.initializers._constants import Unseeded
from initlib.initializers._rounding import check_values, round_once

if TYPE_CHECKING:
    from initlib._checkpoint import Checkpoint, Stored

# Tells whether a file is still the one that was looked at: device, inode, size and time of change.
State = tuple[int, int, int, int]


class FromFile(Unseeded):
    """The values of a tensor in another checkpoint: safetensors, shards, HDF5 or a Keras archive.

    Its shape must be the same. Floats are rounded once where the dtype is another. It is read in
    pieces.

    Formula: W = the tensor in the file

    Args:
        path: of the file or folder; in a manifest seen from the manifest's folder.
        tensor: the tensor's name; None in a manifest is the layer's own.

    Raises:
        RequestError: an argument isn't text.
    """

    def __init__(self, path: str, tensor: str | None = None) -> None:
        self.path, self.tensor = path, tensor
        for name, text in (("path", path), ("tensor", "x" if tensor is None else tensor)):
            if not isinstance(text, str) or not text or "\0" in text:
                raise RequestError(f"expected the {name} as text, received {text!r}")
        self._folder = Path()
        self._state: State | None = None

    def at(self, folder: Place, name: str, *, within: bool = False) -> FromFile:
        """Return it as the initializer of one tensor of a manifest, pinned to the file's state.

        Args:
            folder: from which the path is seen.
            name: of the tensor, the default for the one in the file.
            within: take nothing from outside of the folder, also by way of links.

        Raises:
            RequestError: there is no such file, or no such tensor in it, or it may not be read.
            StorageError: it can't be read.
        """
        if isinstance(folder, Address) or "://" in self.path:
            text = "from_file takes files of this machine only, seen from a manifest on it"
            raise RequestError(f"{named(self.path)!r} isn't fetched: {text}")
        if within:
            _check_within(folder, self.path)
        found = FromFile(self.path, name if self.tensor is None else self.tensor)
        found._folder = folder
        found._state = _state(folder, self.path)
        found._source()
        return found

    def check(self, target: Target) -> None:
        """Raise RequestError if the file has no such tensor of the target's shape.

        What isn't yet one tensor's of a manifest is not looked for.
        """
        if self._state is not None:
            self._check(self._source()[1], target)

    def fill(self, out: Array, start: int, target: Target) -> None:
        """Write elements start .. start + out.size of the target into `out`."""
        checkpoint, stored = self._source()
        self._check(stored, target)
        if stored.entry.dtype == target.dtype:
            checkpoint.read_into(stored, start, out)
            return
        for piece, index in pieces(out, start):
            values = np.empty(piece.size, stored.entry.dtype)
            checkpoint.read_into(stored, int(index[0]), values)
            piece[:] = _converted(values, target.dtype)
            if not np.isfinite(piece).all():
                check_values(values.astype(np.float64), target.dtype)

    def _source(self) -> tuple[Checkpoint, Stored]:
        """Return the file, open, and the tensor in it."""
        state = _state(self._folder, self.path)
        if self._state not in (None, state):
            raise StorageError(f"{self.path}: it has changed meanwhile")
        checkpoint, tensors = _opened(self._folder / self.path, state)
        if self.tensor is None:
            raise RequestError(f"expected the name of a tensor in {self.path}")
        if self.tensor not in tensors:
            other = {each.name: each.what for each in checkpoint.unread}.get(self.tensor)
            if other is not None:
                raise RequestError(f"{self.path}: {self.tensor!r} is {other}, which isn't read")
            hint = did_you_mean(self.tensor, tensors)
            raise RequestError(f"{self.path} has no tensor {self.tensor!r}{hint}")
        return checkpoint, tensors[self.tensor]

    def _check(self, stored: Stored, target: Target) -> None:
        shape, dtype = stored.entry.shape, stored.entry.dtype
        what = f"{self.tensor!r} in {self.path}"
        if shape != target.shape:
            raise RequestError(f"expected the shape of {what}, {shape}, received {target.shape}")
        if dtype != target.dtype and not (is_float(dtype) and is_float(target.dtype)):
            raise RequestError(
                f"expected the dtype of {what}, {dtype_name(dtype)}, or floats for floats, "
                f"received {dtype_name(target.dtype)}"
            )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as what JSON can hold."""
        return {"path": self.path, "tensor": self.tensor}


def _converted(values: Array, dtype: np.dtype[Any]) -> Array:
    """Return floats in another float dtype, rounded once."""
    if values.dtype == np.float64:
        return round_once(values, dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        # What is no float64 is exact in float32, from which all others are one step away.
        return values.astype(np.float32, copy=False).astype(dtype)


def _check_within(folder: Path, path: str) -> None:
    """Raise RequestError if a path leads out of a folder, before anything there is looked at."""
    try:
        outside = Path(path).is_absolute() or any(
            not Path(os.path.realpath(place)).is_relative_to(os.path.realpath(folder))
            for place in _places(folder / path)
        )
    except OSError as error:
        raise StorageError(f"{path}: cannot read: {os.strerror(error.errno or 0)}") from None
    if outside:
        raise RequestError(
            f"{path!r} isn't in the folder {folder}, and a file's word isn't enough to read it; "
            "--allow-files (in Python allow_files=True) lets it be read"
        )


def _places(path: Path) -> Iterator[Path]:
    """Yield a path and all that may be opened with it: shards can be links."""
    yield path
    if path.is_dir() or path.suffix == ".json":
        yield from (path if path.is_dir() else path.parent).iterdir()


@contextmanager
def closing_files() -> Iterator[None]:
    """Close in the end the files that tensors were taken from; they stay open for the next one."""
    try:
        yield
    finally:
        _opened.cache_clear()


def _state(folder: Path, path: str) -> State:
    """Return the state of a file. RequestError if there is none."""
    place = folder / path
    try:
        found = place.stat()
    except FileNotFoundError:
        beside = place.parent.iterdir() if place.parent.is_dir() else ()
        hint = did_you_mean(place.name, (each.name for each in beside))
        raise RequestError(f"there is no file {path!r} in {folder.resolve()}{hint}") from None
    except OSError as error:
        raise StorageError(f"{path}: cannot read: {reason(error)}") from None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


@lru_cache(maxsize=4)
def _opened(path: Path, state: State) -> tuple[Checkpoint, dict[str, Stored]]:
    """Open a file, once for all of its tensors; `state` tells it from one of the same name."""
    from initlib._checkpoint import open_checkpoint

    checkpoint = open_checkpoint(path)
    return checkpoint, {each.entry.name: each for each in checkpoint.tensors}
