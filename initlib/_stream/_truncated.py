"""The normal distribution truncated at any bounds: which transform makes its values, and with what.

Where another law has the same values it makes them, by its quicker transform.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from initlib._dtypes import largest
from initlib._errors import RequestError
from initlib._stream._distributions import (
    TRUNCATION,
    AnyDType,
    Distribution,
    Normal,
    Recipe,
    TruncatedNormal,
    Uniform,
    bounds_in,
    check_finite,
    check_range,
    check_stddev,
    precision_of,
)
from initlib._stream._tails import constants

# The nearer bound may be so many stddev from the mean.
FARTHEST = 1400
# No draw of a normal, of 32 bits or of 53, is so many stddev from its mean.
REACH = {32: 7, 53: 9}
# Where the logarithm of the density changes by no more than this, it is flat.
FLAT = Fraction(1, 1 << 60)
# What stands for an infinite bound: beyond all float64 numbers and their sums with draws.
_INFINITE = 1 << 1100


@dataclass(frozen=True, slots=True)
class Truncated(Distribution):
    """Normal distribution of which only what lies in [low, high] is left, by its inverse CDF.

    `mean` and `stddev` are those before the cut. A bound may be infinite.

    Raises:
        RequestError: a parameter is no number or of a wrong range, or nothing is left.
    """

    mean: float
    stddev: float
    low: float
    high: float

    def __post_init__(self) -> None:
        check_finite(mean=self.mean, stddev=self.stddev)
        check_stddev(self.stddev)
        bounds = f"[{self.low}, {self.high}]"
        if not self.low <= self.high or math.inf in (self.low, -self.high):
            raise RequestError(f"expected bounds with numbers between them, received {bounds}")
        if self.low == self.high:
            return
        if self.stddev == 0:
            if not self.low <= self.mean <= self.high:
                raise RequestError(f"with a stddev of 0 all is {self.mean}, outside {bounds}")
        elif self.near > FARTHEST and not self._flat:
            raise RequestError(
                f"expected bounds that begin within {FARTHEST} stddev of the mean, received "
                f"{bounds} with a mean of {self.mean} and a stddev of {self.stddev}"
            )

    @property
    def alpha(self) -> Fraction:
        """How many stddev above the mean the lower bound is."""
        return (_exact(self.low) - Fraction(self.mean)) / Fraction(self.stddev)

    @property
    def beta(self) -> Fraction:
        """How many stddev above the mean the upper bound is."""
        return (_exact(self.high) - Fraction(self.mean)) / Fraction(self.stddev)

    @property
    def near(self) -> Fraction:
        """How many stddev from the mean the nearest value is."""
        alpha, beta = self.alpha, self.beta
        return Fraction(0) if alpha < 0 < beta else min(abs(alpha), abs(beta))

    @property
    def _flat(self) -> bool:
        return max(self.alpha**2, self.beta**2) - self.near**2 <= FLAT

    def make(self, dtype: AnyDType) -> Recipe:
        """Return the recipe of the law that makes the values, anew."""
        first, last = self.bounds(dtype)
        if self.low == self.high:
            return TruncatedNormal(self.low, 0.0).make(dtype)
        if self.stddev == 0:
            value = min(max(float(dtype.type(self.mean)), float(first)), float(last))
            return TruncatedNormal(value, 0.0).make(dtype)
        if self.alpha == -TRUNCATION and self.beta == TRUNCATION:
            return TruncatedNormal(self.mean, self.stddev).make(dtype)
        if self._is_whole(dtype, first, last):
            return Normal(self.mean, self.stddev).make(dtype)
        if self._flat:
            uniform = Uniform(self.low, self.high)
            return uniform.transform, (*uniform.grid(dtype), first, last)
        return "inverse", (self._numbers(dtype, float(first), float(last)),)

    def bounds(self, dtype: AnyDType) -> tuple[Any, Any]:
        """Return the outermost values of the dtype inside, in the precision of the computation.

        Raises:
            RequestError: there are none, or a value may be drawn that the dtype can't hold.
        """
        reach, limit = REACH[precision_of(dtype).draw_bits], Fraction(largest(dtype))
        low, high, mean = _exact(self.low), _exact(self.high), Fraction(self.mean)
        if low < high:
            # A bound that no draw comes near may be anything.
            farthest = 0 if self.stddev == 0 else (self.near + reach) * Fraction(self.stddev)
            drawn = max(low, mean - farthest), min(high, mean + farthest)
            check_range(dtype, max(map(abs, drawn)), self)
            low, high = max(low, -limit), min(high, limit)
        return bounds_in(dtype, low, high, self, open_end=False)

    def _is_whole(self, dtype: AnyDType, first: Any, last: Any) -> bool:
        """Tell whether no draw of the whole distribution comes near the bounds."""
        precision = precision_of(dtype)
        mean, stddev = float(precision.float(self.mean)), float(precision.float(self.stddev))
        if not math.isfinite(stddev):
            return False
        center, reach = Fraction(mean), REACH[precision.draw_bits] * Fraction(stddev)
        return Fraction(float(first)) <= center - reach and center + reach <= Fraction(float(last))

    def _numbers(self, dtype: AnyDType, first: float, last: float) -> Any:
        """Return what the transform "inverse" computes with."""
        precision, alpha, beta = precision_of(dtype), self.alpha, self.beta
        numbers, polynomials = constants(alpha, beta, precision.draw_bits, precision.ratios)
        anchor = self.mean if alpha < 0 < beta else self.low if alpha >= 0 else self.high
        table = np.array([*numbers, anchor, self.stddev, first, last, *polynomials])
        table.flags.writeable = False
        return table


def _exact(bound: float) -> Fraction:
    return (
        Fraction(bound)
        if math.isfinite(bound)
        else Fraction(_INFINITE if bound > 0 else -_INFINITE)
    )
