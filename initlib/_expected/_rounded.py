"""The distributions after rounding to a dtype: moments, support and probabilities.

A billion values tell a bfloat16 normal from a real one, so where a dtype has few values in reach of
the distribution, each one's probability counts: that of the reals which are rounded to it. Where it
has many, rounding adds less than 1e-9 of the variance, and the distribution's own figures stand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from initlib._description import Family
from initlib._dtypes import largest
from initlib._expected import _truncation
from initlib._stream import Distribution, Normal, Truncated, TruncatedNormal, Uniform

Law = Normal | TruncatedNormal | Truncated | Uniform
Array = npt.NDArray[np.float64]

# A normal's values are never so many stddev from its mean: see Normal.compute.
REACH = 10.0
# A truncated normal is cut at so many stddev.
CUT = 2.0
# A shift of the mean by less than so many stddev is none.
NOTHING = 1e-12
# Up to so many values of a dtype are taken one by one.
FEW = 1 << 17


@dataclass(frozen=True, slots=True)
class Rounded:
    """A distribution in a dtype.

    Attributes:
        law: the distribution before rounding.
        name: as `initlib._description.Expected` has it.
        mean: of the rounded values.
        stddev: likewise.
        kurtosis: fourth standardised moment (3 for a normal distribution).
        low: the least value that can occur, -inf if there is no bound.
        high: the largest one.
        values: those that can occur, ascending; None where they are too many to be listed.
    """

    law: Law
    name: Family
    mean: float
    stddev: float
    kurtosis: float
    low: float
    high: float
    values: Array | None = field(default=None, repr=False, compare=False)

    def until(self, x: Array) -> Array:
        """Return the probability that a value is `x` or less."""
        if self.values is None:
            return cdf(self.law, x)
        return np.append(0.0, self._cumulated())[np.searchsorted(self.values, x, side="right")]

    def below(self, x: Array) -> Array:
        """Return the probability that a value is less than `x`."""
        if self.values is None:
            return cdf(self.law, x)
        return np.append(0.0, self._cumulated())[np.searchsorted(self.values, x, side="left")]

    def distance(self, x: float) -> float:
        """Return how many stddev from the mean the nearest real is that is rounded to `x`."""
        law = self.law
        assert isinstance(law, Normal | Truncated)  # noqa: S101
        low = high = x
        if self.values is not None:
            # The values before and after it; one at an end, or out of reach, has only one.
            below = int(np.searchsorted(self.values, x, side="left")) - 1
            above = int(np.searchsorted(self.values, x, side="right"))
            if below >= 0:
                low = (x + float(self.values[below])) / 2
            if above < self.values.size:
                high = (x + float(self.values[above])) / 2
        return max(low - law.mean, law.mean - high, 0.0) / law.stddev

    def chance(self, x: float) -> float:
        """Return the probability of a value as far from the mean as `x`, or farther."""
        distance = self.distance(x)
        if isinstance(self.law, Truncated):
            return _truncation.chance(self.law, distance)
        return math.erfc(distance / math.sqrt(2))

    def _cumulated(self) -> Array:
        assert self.values is not None  # noqa: S101
        return _cumulated(self.law, self.values)


def cdf(law: Distribution, x: Array) -> Array:
    """Return the probability of the reals up to `x`."""
    from scipy.special import ndtr

    if isinstance(law, Truncated):
        return _truncation.cdf(law, x)
    if isinstance(law, Uniform):
        with np.errstate(over="ignore"):
            return np.clip((x - law.low) / (law.high - law.low), 0.0, 1.0)
    assert isinstance(law, Normal | TruncatedNormal)  # noqa: S101
    z = (x - law.mean) / law.stddev
    if isinstance(law, Normal):
        return np.asarray(ndtr(z))
    inside = np.asarray(ndtr(np.clip(z, -CUT, CUT)))
    return (inside - ndtr(-CUT)) / (ndtr(CUT) - ndtr(-CUT))


@lru_cache(maxsize=256)
def rounded(law: Law, dtype: np.dtype[Any]) -> Rounded:
    """Return a distribution as values of a float dtype have it."""
    own = _before_rounding(law)
    if own.stddev == 0:
        return own
    if isinstance(law, Normal):
        reach = min(REACH * law.stddev, largest(dtype) - abs(law.mean))
        first, last = law.mean - reach, law.mean + reach
    elif isinstance(law, Truncated):
        first, last = map(float, law.bounds(dtype))
        own = replace(own, low=max(own.low, first) if math.isfinite(own.low) else own.low)
        own = replace(own, high=min(own.high, last) if math.isfinite(own.high) else own.high)
        low, high = _truncation.reach(law)
        first, last = max(first, low), min(last, high)
    else:
        *_, first, last = map(float, law.recipe(dtype)[1])
        own = replace(own, low=first, high=last)
    values = _values(dtype, first, last)
    if values is None:
        return own
    shares = np.diff(_cumulated(law, values), prepend=0.0)
    distances = values - own.mean
    shift = float(shares @ distances)
    # Of values on both sides alike, what is left of the sum is an error of rounding.
    mean = own.mean if abs(shift) < NOTHING * own.stddev else own.mean + shift
    distances = values - mean
    variance, fourth = (float(shares @ distances**power) for power in (2, 4))
    kurtosis = fourth / variance**2 if variance else 0.0
    bounds = own.low, own.high
    return Rounded(law, own.name, mean, math.sqrt(variance), kurtosis, *bounds, values)


def _before_rounding(law: Law) -> Rounded:
    """Return a distribution's own figures."""
    if isinstance(law, Uniform):
        mean, stddev = law.low + (law.high - law.low) / 2, (law.high - law.low) / math.sqrt(12)
        return Rounded(law, "uniform", mean, stddev, 1.8, law.low, law.high)
    if isinstance(law, Normal):
        return Rounded(law, "normal", law.mean, law.stddev, 3.0, -math.inf, math.inf)
    if isinstance(law, Truncated):
        figures = _truncation.moments(law)
        return Rounded(law, "truncated_normal", *figures, law.low, law.high)
    # Moments of a standard normal within [-c, c], by parts:
    # E z^2 = 1 - 2 c pdf(c) / P, and E z^4 = 3 E z^2 - 2 c^3 pdf(c) / P.
    edge = 2 * math.exp(-(CUT**2) / 2) / math.sqrt(2 * math.pi) / math.erf(CUT / math.sqrt(2))
    second = 1 - CUT * edge
    fourth = 3 * second - CUT**3 * edge
    stddev = law.stddev * math.sqrt(second)
    low, high = law.mean - CUT * law.stddev, law.mean + CUT * law.stddev
    return Rounded(law, "truncated_normal", law.mean, stddev, fourth / second**2, low, high)


def _cumulated(law: Distribution, values: Array) -> Array:
    """Return the probability of each value and those below it; the last takes what is left."""
    middles = values[:-1] + np.diff(values) / 2
    return np.append(cdf(law, middles), 1.0)


def _values(dtype: np.dtype[Any], first: float, last: float) -> Array | None:
    """Return the dtype's values from `first` to `last`, or None if they are more than a few."""
    integer = np.dtype(f"i{dtype.itemsize}")
    ends = np.array([first, last], dtype).view(integer)
    begin, end = (_rank(int(bits), integer) for bits in ends)
    if end - begin >= FEW:
        return None
    ranks = np.arange(begin, end + 1, dtype=np.int64)
    smallest = np.int64(np.iinfo(integer).min)
    # Rank 0 is 0; that of a negative number is the one of its magnitude, negative.
    bits = np.where(ranks < 0, smallest - ranks, ranks).astype(integer)
    return bits.view(dtype).astype(np.float64)


def _rank(bits: int, integer: np.dtype[Any]) -> int:
    """Return how many values above 0 a float is, from its bits as a signed integer."""
    return bits if bits >= 0 else int(np.iinfo(integer).min) - bits
