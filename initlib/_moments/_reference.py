"""Figures of values by NumPy: what the kernels compute, bit for bit.

Values are taken in blocks. Of each, the mean comes first and the powers of the distances from it
second; then blocks are combined in their order. Sums go over 64 lanes, each from its start to its
end, and over the lanes in pairs, which a compiler can do without reordering anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from initlib._moments._cells import CELLS, HALF, LEAST, MANTISSA, Cells, Floats
from initlib._moments._formulas import NONE, Powers, combined, corrected

BLOCK = 2048
LANES = 64
# Blocks that are computed together, which bounds the temporary arrays to a few of 512 KiB.
TOGETHER = 32

# Counts of NaN, of infinities and of zeros; least and largest finite value; powers.
Figures = tuple[int, int, int, float, float, Powers]

# What a kernel needs: floats to write them to, and to work in.
FIGURES = 5 + len(NONE)
ROOM = BLOCK + 4 * LANES


def count_patterns(patterns: npt.NDArray[Any], table: npt.NDArray[np.uint32]) -> None:
    """Count bit patterns of one or two bytes."""
    table += np.bincount(patterns, minlength=table.size).astype(np.uint32)


def count_values(values: npt.NDArray[Any], center: float, table: npt.NDArray[np.uint32]) -> Figures:
    """Count the finite values by cell; return their figures."""
    figures, cells = measure(values, center)
    table += np.bincount(cells, minlength=CELLS).astype(np.uint32)
    return figures


def measure(values: npt.NDArray[Any], center: float) -> tuple[Figures, Cells]:
    """Return the figures of values of more than 16 bits, and the cells of the finite ones."""
    nan = infinite = zeros = 0
    low, high, powers = np.inf, -np.inf, NONE
    cells = []
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, values.size, BLOCK * TOGETHER):
            piece = values[start : start + BLOCK * TOGETHER].astype(np.float64)
            finite = np.isfinite(piece)
            count = int(np.count_nonzero(finite))
            if count < piece.size:
                nans = int(np.count_nonzero(np.isnan(piece)))
                nan, infinite = nan + nans, infinite + piece.size - count - nans
            for rows in _rows(piece, finite, count):
                low, high = min(low, float(rows.min())), max(high, float(rows.max()))
                zeros += rows.size - int(np.count_nonzero(rows))
                cells.append(cells_of(rows, center).reshape(-1))
                for block in _powers(rows):
                    powers = combined(powers, block)
    whole = np.concatenate(cells) if cells else np.empty(0, np.int32)
    # Adding 0 takes the sign from -0.
    return (nan, infinite, zeros, low + 0.0, high + 0.0, powers), whole


def _rows(piece: Floats, finite: npt.NDArray[np.bool_], count: int) -> Iterator[Floats]:
    """Yield blocks of the finite values: many of the same length together."""
    if count == piece.size:
        whole = count - count % BLOCK
        if whole:
            yield piece[:whole].reshape(-1, BLOCK)
        if whole < count:
            yield piece[None, whole:]
        return
    for start in range(0, piece.size, BLOCK):
        kept = piece[start : start + BLOCK][finite[start : start + BLOCK]]
        if kept.size:
            yield kept[None]


def _powers(rows: Floats) -> Iterator[Powers]:
    """Yield the powers of each row."""
    count, first = rows.shape[1], rows[:, :1]
    total = _sum(rows - first)
    # Where the sum is beyond float64 that of the distances will be, too, and nothing is known.
    guess = first[:, 0] + np.where(np.isfinite(total), total, 0.0) / count
    # One array for all: what takes time with few values is the number of calls.
    powers = np.empty((4, *rows.shape))
    d, square = powers[:2]
    np.subtract(rows, guess[:, None], out=d)
    np.multiply(d, d, out=square)
    np.multiply(square, powers[:2], out=powers[2:])
    for block in zip(guess.tolist(), *_sum(powers).tolist(), strict=True):
        yield corrected(float(count), *block)


def _sum(values: Floats) -> Floats:
    """Return sums over the last axis, in the order that the kernels keep."""
    count = values.shape[-1]
    short = -count % LANES
    if short:
        # Adding 0 changes no sum.
        values, given = np.zeros((*values.shape[:-1], count + short)), values
        values[..., :count] = given
    parts = values.reshape(*values.shape[:-1], -1, LANES)
    lanes = np.add.reduce(parts, axis=-2, initial=0.0)
    half = LANES // 2
    while half:
        lanes = lanes[..., :half] + lanes[..., half:]
        half //= 2
    return lanes[..., 0]


def cells_of(values: Floats, center: float) -> Cells:
    """Return the cells of finite values."""
    bits = (values - center).view(np.int64)
    step = ((bits & ((1 << 63) - 1)) >> (52 - MANTISSA)) - ((1023 + LEAST) << MANTISSA)
    step = np.clip(step, 0, HALF - 1)
    return np.where(bits < 0, HALF - step, HALF + step).astype(np.int32)
