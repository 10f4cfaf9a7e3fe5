"""Where values are made: by the NumPy reference or by the compiled kernels, which nobody can tell.

The reference makes some thirty million values a second. Kernels make a thousand million, once they
are there.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from initlib._dtypes import dtype_name
from initlib._native import Kernel, Loader
from initlib._stream import _reference
from initlib._stream._streams import Stream

# Below so many values the reference is done before a kernel is loaded, or compiled.
_kernels = Loader(loading=1 << 20, compiling=1 << 23)
# The reference works in pieces of so many values, which bounds its temporary arrays to a few MiB.
PIECE = 1 << 16
# The reference has made many rows of so many blocks before a kernel was called for each of them.
SHORT = 8

# What kernels take a dtype for. Numba has no bfloat16 or float8, and only the type of an integer
# tells a kernel which of them it stands for.
STORED = {
    "float64": "float64",
    "float32": "float32",
    "bfloat16": "uint16",
    "float16": "int16",
    "float8_e4m3fn": "uint8",
    "float8_e5m2": "int8",
}


def prepare(values: int) -> None:
    """Say how many values will be asked for: of enough, all of them come from kernels."""
    _kernels.prepare(values)


@cache
def kernel(transform: str, dtype: str) -> Kernel:
    """Return the kernel of a transform for a dtype."""
    width = 64 if dtype == "float64" else 32
    real, integer = f"float{width}", f"int{width}"
    parameters = {
        "normal": (real, real),
        "truncated": (real, real, real, real),
        "uniform": (real, integer, real, real, real),
        "inverse": ("float64*",),
    }[transform]
    words = ("uint32",) * 4
    types = (f"{STORED[dtype]}*", "int64", "uint64", *words, *parameters)
    return Kernel("initlib._stream._kernels", f"{transform}{width}", types)


def fill(
    transform: str,
    out: npt.NDArray[Any],
    start: int,
    stream: Stream,
    parameters: tuple[Any, ...],
) -> None:
    """Write values start .. start + len(out) of a stream into `out`.

    Args:
        transform: "normal", "truncated", "uniform" or "inverse".
        out: 1-D array of a float dtype; the quickest if it is contiguous.
        start: index of the first value, in elements.
        stream: where the words come from.
        parameters: the transform's own, in the precision it is computed in; of an array, kernels
            get the address.
    """
    prepare(out.size)
    if not out.flags.carray:
        # Kernels get an address alone, and write all that follows.
        copy = np.empty(out.size, out.dtype)
        fill(transform, copy, start, stream, parameters)
        out[...] = copy
        return
    per_block = _per_block(out.dtype)
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


def fill_rows(
    transform: str,
    out: npt.NDArray[Any],
    start: int,
    stride: int,
    stream: Stream,
    parameters: tuple[Any, ...],
) -> None:
    """Write values start + i stride .. of a stream into row i of `out`; otherwise as `fill`.

    Args:
        transform: as in `fill`.
        out: 2-D array of a float dtype.
        start: index of the first row's first value.
        stride: from there to the next row's, which may be negative.
        stream: where the words come from.
        parameters: the transform's own.
    """
    count, run = out.shape
    per_block = _per_block(out.dtype)
    # So many rows further a row begins at the same place of a block.
    period = per_block // math.gcd(stride, per_block)
    step = stride * period // per_block
    for first in range(min(period, count)):
        block, skip = divmod(start + first * stride, per_block)
        along = -(-(skip + run) // per_block)
        several = max(1, PIECE // (along * per_block))
        rows = out[first::period]
        for i in range(0, len(rows), several):
            part = rows[i : i + several]
            made = np.empty((len(part), along * per_block), out.dtype)
            blocks = [block + row * step for row in range(i, i + len(part))]
            _fill_rows(transform, made, blocks, stream, parameters)
            part[...] = made[:, skip : skip + run]


def _fill_rows(
    transform: str,
    out: npt.NDArray[Any],
    firsts: list[int],
    stream: Stream,
    parameters: tuple[Any, ...],
) -> None:
    """Fill rows of whole blocks, of which each begins with one of `firsts`."""
    along = out.shape[1] // _per_block(out.dtype)
    function = _kernels.get(kernel(transform, dtype_name(out.dtype))) if along > SHORT else None
    if function is None:
        blocks = np.array(firsts, np.uint64)[:, np.newaxis] + np.arange(along, dtype=np.uint64)
        key, high = stream.key, stream.high
        _reference.fill(transform, out.reshape(-1), blocks.reshape(-1), key, high, parameters)
        return
    numbers = [p.ctypes.data if p.ndim else p.item() for p in parameters]
    address, width, size = out.ctypes.data, out.shape[1], out.strides[0]
    for first in firsts:
        function(address, width, first, *stream.high, *stream.key, *numbers)
        address += size


def _fill_blocks(
    transform: str,
    out: npt.NDArray[Any],
    block: int,
    stream: Stream,
    parameters: tuple[Any, ...],
) -> None:
    """Fill whole blocks by the kernel if it is worth it, else by the reference."""
    function = _kernels.get(kernel(transform, dtype_name(out.dtype)))
    if function is not None:
        numbers = (p.ctypes.data if p.ndim else p.item() for p in parameters)
        function(out.ctypes.data, out.size, block, *stream.high, *stream.key, *numbers)
        return
    per_block = _per_block(out.dtype)
    for i in range(0, out.size, PIECE):
        piece = out[i : i + PIECE]
        blocks = np.arange(piece.size // per_block, dtype=np.uint64)
        blocks += np.uint64(block + i // per_block)
        _reference.fill(transform, piece, blocks, stream.key, stream.high, parameters)


def _per_block(dtype: np.dtype[Any]) -> int:
    """Return how many values a block of four words makes."""
    return 2 if dtype == np.float64 else 4
