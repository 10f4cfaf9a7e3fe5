"""A checkpoint that needs no storage: its tensors are made when they are asked for."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, TextIO

import numpy as np

from initlib import _manifest, _parallel, _stream
from initlib._checkpoint import open_checkpoint
from initlib._dtypes import dtype_name
from initlib._errors import RequestError, did_you_mean
from initlib._formats import CODES
from initlib._make import whole
from initlib._manifest import Manifest
from initlib._open._fill import Array, fill_selection
from initlib._open._frameworks import Convert, converter
from initlib._open._selection import Selection, select
from initlib._plan import Plan, TensorPlan, make_plan
from initlib._provenance import own
from initlib._remote import path_of
from initlib._workers import thread_count

Source = str | os.PathLike[str] | Mapping[str, Any] | TextIO


def open(  # noqa: A001 (as safe_open and the builtin are called)
    source: Source,
    framework: str = "numpy",
    *,
    device: Any = None,
    seed: int | None = None,
    dtype: Any = None,
    only: str | Sequence[str] = (),
    threads: int | None = None,
    allow_code: bool = False,
    allow_files: bool = False,
) -> Weights:
    """Return the checkpoint that a manifest describes, without making it.

    It has the methods of ``safetensors.safe_open``. Every value is the one that `generate` writes,
    bit for bit, and is made when it is asked for, in time and memory that go by what was asked for.
    Tensors that can't be made in pieces (such as square orthogonal ones) are made whole for the
    first of their slices, and the last one of them is kept.

    Args:
        source: a manifest, as `generate` takes it, or a checkpoint that initgen made, of which
            nothing but its own manifest is read.
        framework: "numpy" ("np"), "torch" ("pt") or "jax" ("flax"): whose tensors to return.
        device: where to put them, as the framework calls it; None is its default.
        seed: replaces the manifest's seed.
        dtype: replaces the manifest's default dtype, by its name or as NumPy's.
        only: a glob or globs of tensor names: others are left out.
        threads: how many to use for what is large; None is one for each core.
        allow_code: let the manifest's custom initializers run.
        allow_files: let tensors be taken from files outside of its folder that a checkpoint says
            they come from.

    Raises:
        RequestError: the manifest or another argument is wrong, or the framework isn't installed;
            a ManifestError says where.
        StorageError: the source can't be read.
    """
    convert = converter(framework, device)
    count = thread_count(threads)
    manifest, own = _manifest_of(source, seed, dtype)
    globs = (only,) if isinstance(only, str) else tuple(only)
    within = _is_checkpoint(source) and not allow_files
    plan = make_plan(manifest, only=globs or own, allow_code=allow_code, within=within)
    return Weights(plan, convert, count)


def weights_of(
    source: Source | Weights,
    *,
    seed: int | None = None,
    dtype: Any = None,
    threads: int | None = None,
    allow_code: bool = False,
) -> Weights:
    """Return what is open already, or `open` a manifest or a checkpoint.

    Raises:
        RequestError: as `open` does; or it is open, and is to have another seed or dtype.
        StorageError: as `open` does.
    """
    if not isinstance(source, Weights):
        return open(source, seed=seed, dtype=dtype, threads=threads, allow_code=allow_code)
    if (seed, dtype) != (None, None):
        raise RequestError("a seed or a dtype is for initlib.open, which has opened these already")
    return source


class Weights:
    """The tensors of a manifest, made when they are asked for; any thread may do so.

    `initlib.open` returns it. It is a context manager for the sake of code that is written for
    files: nothing needs to be closed.
    """

    def __init__(self, plan: Plan, convert: Convert, threads: int) -> None:
        self._tensors = {tensor.entry.name: tensor for tensor in plan.tensors}
        self._metadata = {"format": "pt", **plan.manifest.metadata}
        self._convert, self._threads = convert, threads
        self._lock = threading.Lock()
        self._made = 0
        self._whole: tuple[TensorPlan | None, Array] = (None, np.empty(0))

    def keys(self) -> list[str]:
        """Return the names of all tensors, sorted."""
        return sorted(self._tensors)

    def offset_keys(self) -> list[str]:
        """Return the names of all tensors in the manifest's order."""
        return list(self._tensors)

    def metadata(self) -> dict[str, str]:
        """Return the strings that a file's metadata has beside the provenance."""
        return dict(self._metadata)

    def get_tensor(self, name: str) -> Any:
        """Return a tensor.

        Raises:
            RequestError: there is none of this name, or it can't be made.
        """
        return self.get_slice(name)[...]

    def get_tensors(self) -> dict[str, Any]:
        """Return all tensors by their names.

        Raises:
            RequestError: one of them can't be made.
        """
        return {name: self.get_tensor(name) for name in self.offset_keys()}

    def get_slice(self, name: str) -> TensorSlice:
        """Return what gives parts of a tensor when it is indexed.

        Raises:
            RequestError: there is none of this name.
        """
        if name not in self._tensors:
            hint = did_you_mean(str(name), self._tensors)
            raise RequestError(f"no tensor is called {name!r}{hint}")
        return TensorSlice(self, self._tensors[name])

    def _part(self, tensor: TensorPlan, index: Any) -> Any:
        """Return what `index` selects of a tensor."""
        selection = _selected(tensor, index)
        made = np.empty(selection.shape, tensor.entry.dtype)
        self._read(tensor, index, selection, made)
        return self._convert(made)

    def _read(self, tensor: TensorPlan, index: Any, selection: Selection, out: Array) -> None:
        """Write what `index` selects of a tensor into `out`, which is contiguous."""
        with _parallel.threads(self._threads):
            if not tensor.streams:
                out[...] = self._kept(tensor)[index]
            elif out.size:
                self._prepare(out.size)
                fill_selection(tensor, selection, out.reshape(-1))

    def _prepare(self, values: int) -> None:
        """Let kernels be loaded, and compiled, once so many values were made that it pays."""
        with self._lock:
            self._made += values
            _stream.prepare(self._made)

    def _kept(self, tensor: TensorPlan) -> Array:
        """Return a tensor that can't be made in pieces."""
        with self._lock:
            if self._whole[0] is not tensor:
                self._whole = tensor, whole(tensor)
            return self._whole[1]

    def __enter__(self) -> Weights:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass


class TensorSlice:
    """A tensor that isn't there yet: indexing it makes the part that is asked for.

    Indices are NumPy's basic ones: integers, slices of any step, an ellipsis and None.
    """

    def __init__(self, weights: Weights, tensor: TensorPlan) -> None:
        self._weights, self._tensor = weights, tensor

    def get_shape(self) -> list[int]:
        """Return the sizes of the whole tensor's axes."""
        return list(self._tensor.entry.shape)

    def get_dtype(self) -> str:
        """Return the dtype by safetensors' name, such as "F32" or "BF16"."""
        return CODES[self._tensor.entry.dtype]

    def __getitem__(self, index: Any) -> Any:
        """Return a part of the tensor.

        Raises:
            IndexError: the index is out of bounds, or none.
            RequestError: the part can't be made.
        """
        return self._weights._part(self._tensor, index)

    def read_into(self, index: Any, out: Array) -> None:
        """Write a part of the tensor into memory that is there already.

        Args:
            index: as in ``tensor[index]``.
            out: a NumPy array in C order that can be written to, of the part's shape and the
                tensor's dtype.

        Raises:
            IndexError: the index is out of bounds, or none.
            RequestError: `out` is another array, or the part can't be made.
        """
        selection, entry = _selected(self._tensor, index), self._tensor.entry
        fits = isinstance(out, np.ndarray) and out.flags.carray
        if not fits or (out.shape, out.dtype) != (selection.shape, entry.dtype):
            dtype = dtype_name(entry.dtype)
            expected = f"a writable NumPy array of {dtype} in C order of shape {selection.shape}"
            raise RequestError(f"{entry.name!r}: expected {expected}")
        self._weights._read(self._tensor, index, selection, out)

    def __iter__(self) -> Iterator[Any]:
        """Yield what each index of the first axis selects."""
        shape = self._tensor.entry.shape
        if not shape:
            raise TypeError(f"{self._tensor.entry.name!r} has no axis to go along")
        return (self[i] for i in range(shape[0]))


def _selected(tensor: TensorPlan, index: Any) -> Selection:
    try:
        return select(index, tensor.entry.shape)
    except IndexError as error:
        raise IndexError(f"{tensor.entry.name!r}: {error}") from None


def _manifest_of(source: Source, seed: int | None, dtype: Any) -> tuple[Manifest, tuple[str, ...]]:
    """Return the manifest, and which of its tensors a checkpoint has that was made of a part.

    Raises:
        RequestError: it is wrong, or the checkpoint has none.
        StorageError: the source can't be read.
    """
    if not _is_checkpoint(source):
        return _manifest.read(source, seed=seed, dtype=dtype), ()
    path = path_of(source)  # type: ignore[arg-type]
    with open_checkpoint(path) as checkpoint:
        try:
            found = own(checkpoint)
        except ValueError as error:
            raise RequestError(f"{path}: {error}") from error
        if found is None:
            raise RequestError(f"{path} has no manifest of its own: initgen didn't make it")
    manifest = _manifest.read(found.manifest, seed=seed, dtype=dtype)
    folder = (path if path.is_dir() else path.parent).resolve()
    return replace(manifest, folder=folder), found.only


def _is_checkpoint(source: Source) -> bool:
    """Tell whether a source is a checkpoint; that is what any folder is taken for."""
    if not isinstance(source, str | os.PathLike):
        return False
    return not _manifest.is_manifest(source) or path_of(source).is_dir()
