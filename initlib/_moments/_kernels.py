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
from initlib._moments._cells import HALF, LEAST, MANTISSA
from initlib._moments._formulas import NONE
from initlib._moments._reference import BLOCK, LANES
from initlib._stream._building import bits_of, inline, kernel, run_kernel

_combined = inline(_formulas.combined)
_corrected = inline(_formulas.corrected)

SHIFT = 52 - MANTISSA
LINE = 64  # bytes
LOWEST = (1023 + LEAST) << MANTISSA


@inline
def _room(count):
    """Return room for floats that starts with a cache line: vectors across two take longer."""
    room = np.empty(count + LINE // 8)
    skip = -int64(room.ctypes.data) % LINE // 8
    return room[skip : skip + count]


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


@kernel
def count_values(values, center, table):
    block, cells = _room(BLOCK), _room(BLOCK // 2).view(np.uint32)
    s1, s2, s3, s4 = _room(LANES), _room(LANES), _room(LANES), _room(LANES)
    nan = infinite = zeros = 0
    low, high, powers = np.inf, -np.inf, NONE
    for start in range(0, values.shape[0], BLOCK):
        count = _load(values[start : start + BLOCK], block)
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
    # Adding 0 takes the sign from -0.
    return nan, infinite, zeros, low + 0.0, high + 0.0, powers


@kernel
def count_patterns(patterns, table):
    for i in range(patterns.shape[0]):
        table[patterns[i]] += uint32(1)


def call(name, *arguments):
    """Call a kernel by its name."""
    return run_kernel(KERNELS, name, *arguments)


KERNELS = {"count_values": count_values, "count_patterns": count_patterns}
