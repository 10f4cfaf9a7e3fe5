"""Compiled kernels: figures of values by Numba, equal bit for bit to `_reference`.

Without `fastmath` LLVM reorders no sum, so sums go over lanes: in the innermost loops each lane has
its own place, and those loops become vector instructions. Every integer is given its machine type
by name, because Numba widens mixed expressions to int64 or float64.
"""

from __future__ import annotations

import math

import numpy as np
from numba import float64, int64, uint32, uint64

from initlib._moments import _formulas
from initlib._moments._cells import CELLS, HALF, LEAST, MANTISSA
from initlib._moments._formulas import NONE
from initlib._moments._reference import BLOCK, FIGURES, LANES
from initlib._native._building import array_at, bits_of, inline

_combined = inline(_formulas.combined)
_corrected = inline(_formulas.corrected)

SHIFT = 52 - MANTISSA
LOWEST = (1023 + LEAST) << MANTISSA


@inline
def _load(values, block):
    """Bring values into a block, and fill it up with the first of them."""
    count = values.shape[0]
    for i in range(count):
        block[i] = float64(values[i])
    for i in range(count, BLOCK):
        block[i] = block[0]
    return count


@inline
def _keep_finite(block, count):
    """Move the finite values together; return counts of them, of NaN and of infinities."""
    kept = nan = 0
    for i in range(count):
        x = block[i]
        if math.isfinite(x):
            block[kept] = x
            kept += 1
        elif x != x:
            nan += 1
    for i in range(kept, BLOCK):
        block[i] = block[0]
    return kept, nan, count - kept - nan


@inline
def _pairs(lanes):
    """Return the sum of the lanes, which it overwrites."""
    half = LANES // 2
    while half:
        for j in range(half):
            lanes[j] += lanes[half + j]
        half //= 2
    return lanes[0]


@inline
def _survey(block, s, low, high):
    """Return the sum of distances from the first value; leave extremes in `low` and `high`."""
    first = block[0]
    for j in range(LANES):
        s[j] = 0.0
        low[j] = high[j] = first
    for i in range(0, BLOCK, LANES):
        for j in range(LANES):
            x = block[i + j]
            s[j] += x - first
            low[j] = x if x < low[j] else low[j]
            high[j] = x if x > high[j] else high[j]
    return _pairs(s)


@inline
def _zeros(block, count):
    zeros = 0
    for i in range(count):
        zeros += block[i] == 0.0
    return zeros


@inline
def _powers(block, count, guess, s1, s2, s3, s4):
    """Return the powers of the distances from a guess of their mean."""
    for i in range(count, BLOCK):
        block[i] = guess
    for j in range(LANES):
        s1[j] = s2[j] = s3[j] = s4[j] = 0.0
    for i in range(0, BLOCK, LANES):
        for j in range(LANES):
            d = block[i + j] - guess
            square = d * d
            s1[j] += d
            s2[j] += square
            s3[j] += square * d
            s4[j] += square * square
    return _corrected(float64(count), guess, _pairs(s1), _pairs(s2), _pairs(s3), _pairs(s4))


@inline
def _count(block, count, center, cells, table):
    """Count values by cell: all cells first, which becomes vector instructions."""
    for i in range(count):
        bits = bits_of(block[i] - center)
        step = int64((bits & uint64(0x7FFFFFFFFFFFFFFF)) >> uint64(SHIFT)) - int64(LOWEST)
        step = min(max(step, int64(0)), int64(HALF - 1))
        cells[i] = uint32(int64(HALF) - step if int64(bits) < 0 else int64(HALF) + step)
    for i in range(count):
        table[cells[i]] += uint32(1)


def count_values(address, size, center, table_address, room, cells_address, figures_address):
    """Add values to a table of CELLS, and write their figures: three counts, extremes, powers.

    It works in a room of ROOM floats, and on as many cells as a block has values. Both start with a
    cache line, for vectors across two take longer.
    """
    table, cells = array_at(table_address, 0, CELLS), array_at(cells_address, 0, BLOCK)
    block = array_at(room, 0, BLOCK)
    s1, s2 = array_at(room, BLOCK, LANES), array_at(room, BLOCK + LANES, LANES)
    s3, s4 = array_at(room, BLOCK + 2 * LANES, LANES), array_at(room, BLOCK + 3 * LANES, LANES)
    nan = infinite = zeros = 0
    low, high, powers = np.inf, -np.inf, NONE
    for start in range(0, size, BLOCK):
        count = _load(array_at(address, start, min(BLOCK, size - start)), block)
        total = _survey(block, s1, s2, s3)
        if not math.isfinite(total):
            count, nans, infinities = _keep_finite(block, count)
            nan, infinite = nan + nans, infinite + infinities
            if count == 0:
                continue
            total = _survey(block, s1, s2, s3)
            total = total if math.isfinite(total) else 0.0
        for j in range(LANES):
            low, high = min(low, s2[j]), max(high, s3[j])
        zeros += _zeros(block, count)
        _count(block, count, center, cells, table)
        guess = block[0] + total / float64(count)
        powers = _combined(powers, _powers(block, count, guess, s1, s2, s3, s4))
    figures = array_at(figures_address, 0, FIGURES)
    figures[0], figures[1], figures[2] = float64(nan), float64(infinite), float64(zeros)
    # Adding 0 takes the sign from -0.
    figures[3], figures[4] = low + 0.0, high + 0.0
    for i, power in enumerate(powers):
        figures[5 + i] = power


def count_patterns(address, size, table_address):
    """Add bit patterns of one or two bytes to a table that has a place for each."""
    patterns, table = array_at(address, 0, size), array_at(table_address, 0, CELLS)
    for i in range(size):
        table[patterns[i]] += uint32(1)
