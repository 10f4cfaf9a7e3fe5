"""Cells that values are counted in, and where they lie.

Values of 16 bits and less are counted by bit pattern: nothing is lost but the sign of zeros. Wider
ones are counted by sign, exponent and upper nine bits of the mantissa of their distance from a
center, which is near most of them: a cell is at most 1/512 as wide as it is distant from the
center.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from initlib._dtypes import is_float

Floats = npt.NDArray[np.float64]
Cells = npt.NDArray[np.int32]

MANTISSA = 9  # bits
# Exponents from LEAST on reach from 2^-150 to 2^130: beyond all distances between float32's values,
# subnormal ones too. All of float64's would take eight times the table, and going over it longer
# than counting. Lesser distances share the cell HALF, and greater ones the last cell.
LEAST, EXPONENTS = -150, 280
HALF = EXPONENTS << MANTISSA  # of the cells are below the center
CELLS = 2 * HALF


def narrow(dtype: np.dtype[Any]) -> bool:
    """Tell a dtype whose values are counted by bit pattern."""
    return dtype.itemsize <= 2


def points(patterns: npt.NDArray[Any], dtype: np.dtype[Any]) -> Floats:
    """Return the values that have these bit patterns."""
    if dtype == np.bool_:
        # A damaged file may have other bytes than 0 and 1.
        return np.asarray(patterns != 0, np.float64)
    with np.errstate(invalid="ignore"):
        values = patterns.astype(f"u{dtype.itemsize}").view(dtype)
        return np.asarray(values, np.float64)


def unified(patterns: Cells, dtype: np.dtype[Any]) -> Cells:
    """Return one bit pattern for all that have the same value."""
    if dtype == np.bool_:
        return np.asarray(patterns != 0, np.int32)
    if is_float(dtype):
        # -0 is 0: two cells of one value would be as far apart as they hold values.
        return np.where(patterns == 1 << 8 * dtype.itemsize - 1, 0, patterns).astype(np.int32)
    return patterns


def edges(cells: Cells, dtype: np.dtype[Any], center: float) -> tuple[Floats, Floats]:
    """Return the least and the largest value that each cell of a dtype can hold."""
    if narrow(dtype):
        values = points(cells, dtype)
        return values, values
    signed = cells.astype(np.int64) - HALF
    step = np.abs(signed)
    inner, outer = _distance(step), _distance(step + 1)
    # The cell around the center has both signs. Only float64 has values so near to each other.
    middle = step == 0
    inner[middle] = -outer[middle] if dtype == np.float64 else 0.0
    outer[middle] = -inner[middle]
    outer[step == HALF - 1] = np.inf
    if dtype.kind in "iu":
        # Of whole numbers, a cell ends before the next one.
        inner, outer = np.ceil(inner), np.maximum(np.ceil(outer) - 1, 0)
    below = signed < 0
    return center + np.where(below, -outer, inner), center + np.where(below, -inner, outer)


def unclear(cells: Cells) -> npt.NDArray[np.bool_]:
    """Tell the cells that are much wider than they are distant from the center."""
    step = np.abs(cells.astype(np.int64) - HALF)
    return np.asarray((step == 0) | (step == HALF - 1))


def _distance(step: npt.NDArray[np.int64]) -> Floats:
    """Return the least distance from the center in the cells that are so many steps away."""
    fraction = (step & ((1 << MANTISSA) - 1)) / (1 << MANTISSA)
    return np.asarray(np.ldexp(1.0 + fraction, (step >> MANTISSA) + LEAST))


def united(cells: Cells, counts: npt.NDArray[np.int64]) -> tuple[Cells, npt.NDArray[np.int64]]:
    """Return each cell once, in ascending order, with the sum of its counts."""
    order = np.argsort(cells, kind="stable")
    cells, counts = cells[order], counts[order]
    first = np.flatnonzero(np.diff(cells, prepend=-1))
    return cells[first], np.add.reduceat(counts, first) if cells.size else counts


def parts(bins: int, low: float, high: float) -> Floats:
    """Return the limits of `bins` parts of equal width, of any range that float64 has."""
    share = np.arange(bins + 1) / bins
    limits: Floats = low * (1 - share) + high * share
    return limits
