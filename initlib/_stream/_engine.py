"""Where values are made: by the NumPy reference or by the compiled kernels, which nobody can tell.

Numba takes half a second to import and about a second to compile a kernel that isn't in its cache,
time in which the reference makes some ten million values. So kernels are used from the first job
on that is large enough to be worth it.
"""

from __future__ import annotations

import importlib
import os
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from initlib._dtypes import dtype_name
from initlib._stream import _reference
from initlib._stream._streams import Stream

# Below so many values the reference is done before Numba is imported.
WORTH_COMPILING = 1 << 23
# The reference works in pieces of so many values, which bounds its temporary arrays to a few MiB.
PIECE = 1 << 16

_kernels: ModuleType | None = None


def prepare(values: int) -> None:
    """Load the kernels if a job of so many values is worth it; they then serve every later call.

    Where Numba is told not to compile, the reference serves.
    """
    global _kernels
    disabled = os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"
    if _kernels is None and values >= WORTH_COMPILING and not disabled:
        _kernels = importlib.import_module("initlib._stream._kernels")


def fill(
    transform: str,
    out: npt.NDArray[Any],
    start: int,
    stream: Stream,
    parameters: tuple[Any, ...],
) -> None:
    """Write values start .. start + len(out) of a stream into `out`.

    Args:
        transform: "normal", "truncated" or "uniform".
        out: 1-D contiguous array of a float dtype.
        start: index of the first value, in elements.
        stream: where the words come from.
        parameters: the transform's own, in the precision it is computed in.
    """
    prepare(out.size)
    per_block = 2 if out.dtype == np.float64 else 4
    block, skip = divmod(start, per_block)
    if skip:
        # Kernels make whole blocks: a part of one is made aside and copied.
        edge = np.empty(per_block, out.dtype)
        _fill_blocks(transform, edge, block, stream, parameters)
        part = edge[skip : skip + out.size]
        out[: part.size] = part
        out, block = out[part.size :], block + 1
    whole = out.size - out.size % per_block
    if whole:
        _fill_blocks(transform, out[:whole], block, stream, parameters)
    if whole < out.size:
        edge = np.empty(per_block, out.dtype)
        _fill_blocks(transform, edge, block + whole // per_block, stream, parameters)
        out[whole:] = edge[: out.size - whole]


def _fill_blocks(
    transform: str,
    out: npt.NDArray[Any],
    block: int,
    stream: Stream,
    parameters: tuple[Any, ...],
) -> None:
    """Fill whole blocks by the kernel if it is loaded, else by the reference."""
    if _kernels is not None:
        _kernels.fill(
            transform, dtype_name(out.dtype), out, block, stream.key, stream.high, parameters
        )
        return
    per_block = 2 if out.dtype == np.float64 else 4
    for i in range(0, out.size, PIECE):
        piece = out[i : i + PIECE]
        _reference.fill(
            transform, piece, block + i // per_block, stream.key, stream.high, parameters
        )
