"""How far the elements of one array are from those of another."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from initlib._compare import Array, bits
from initlib._dtypes import is_float
from initlib.initializers._rounding import round_once

# Magnitudes between these can be squared and summed up as they are.
SMALL, LARGE = 1e-140, 1e140


@dataclass(frozen=True, slots=True)
class Distance:
    """How far elements of B are from A's, in one run of them or in several.

    Attributes:
        start: the run's first element.
        differing: how many differ: in their bits or, if the dtypes differ, in their values.
        first: index of the first of these, None if there is none.
        odd: how many of them have a difference that isn't a finite number.
        largest: of the other differences' magnitudes; an integer between integers of one dtype.
        norm: root of the sum of their squares.
        reference: root of the sum of squares of A's finite elements.
        rounded: whether each element of B is A's, rounded to B's dtype.
    """

    start: int
    differing: int = 0
    first: int | None = None
    odd: int = 0
    largest: float = 0
    norm: float = 0.0
    reference: float = 0.0
    rounded: bool = True


def distance(a: Array, b: Array, start: int) -> Distance:
    """Return how far `b` is from `a`, arrays of one size whose first element's index is `start`."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    exact = a.dtype == b.dtype and not is_float(a.dtype)
    unlike = bits(a) != bits(b) if a.dtype == b.dtype else _unequal(x, y)
    with np.errstate(over="ignore", invalid="ignore"):
        gaps = _integer_gaps(a, b) if exact else np.abs(x - y)
    differing, odd = int(np.count_nonzero(unlike)), 0
    if not (finite := np.isfinite(gaps)).all():
        # Infinities of one sign are equal, though their difference is NaN.
        odd = int(np.count_nonzero(unlike & ~finite))
        gaps = gaps[finite]
    return Distance(
        start,
        differing,
        start + int(unlike.argmax()) if differing else None,
        odd,
        gaps.max(initial=0).item(),
        norm(gaps.astype(np.float64, copy=False)),
        reference(x),
        _is_rounded(a, b, unlike),
    )


def merged(parts: Iterable[Distance]) -> Distance:
    """Return the distances of several runs of one tensor as one."""
    ordered = sorted(parts, key=lambda part: part.start)
    return Distance(
        ordered[0].start,
        sum(part.differing for part in ordered),
        next((part.first for part in ordered if part.first is not None), None),
        sum(part.odd for part in ordered),
        max(part.largest for part in ordered),
        math.hypot(*(part.norm for part in ordered)),
        math.hypot(*(part.reference for part in ordered)),
        all(part.rounded for part in ordered),
    )


def reference(values: Array) -> float:
    """Return the root of the sum of squares of the finite ones among values."""
    x = values.astype(np.float64, copy=False)
    finite = np.isfinite(x)
    return norm(x if finite.all() else x[finite])


def norm(values: npt.NDArray[np.float64]) -> float:
    """Return the root of the sum of squares, also where squares would overflow or vanish."""
    largest = float(max(values.max(initial=0.0), -values.min(initial=0.0)))
    if not largest:
        return 0.0
    scale = 1.0 if SMALL < largest < LARGE else largest
    scaled = values if scale == 1.0 else values / scale
    # Without BLAS, whose sums depend on the number of its threads.
    return scale * math.sqrt(float(np.einsum("i,i->", scaled, scaled)))


def _unequal(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Tell where values differ; NaN is NaN."""
    unequal: npt.NDArray[np.bool_] = (x != y) & ~(np.isnan(x) & np.isnan(y))
    return unequal


def _integer_gaps(a: Array, b: Array) -> npt.NDArray[np.uint64]:
    """Return the exact distances between integers of one dtype."""
    # Modulo 2**64 a difference of up to 2**64 - 1 comes out right.
    low, high = (each.astype(np.uint64) for each in (np.minimum(a, b), np.maximum(a, b)))
    return high - low


def _is_rounded(a: Array, b: Array, unlike: npt.NDArray[np.bool_]) -> bool:
    if a.dtype == b.dtype or not is_float(b.dtype):
        return not unlike.any()
    rounded = round_once(a, b.dtype).astype(np.float64)
    return not _unequal(rounded, b.astype(np.float64)).any()
