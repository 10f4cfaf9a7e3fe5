"""Moments of values: counts, extremes, mean, and what follows from powers of distances from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from initlib._moments._cells import Floats
from initlib._moments._formulas import NONE, Powers, combined, corrected

# Of mean powers below this, digits may be lost where float64 ends, or all.
TINY = 2.0**-960


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Figures of some values, which can be merged with those of others.

    Attributes:
        size: how many values there are.
        nan: how many are not a number.
        infinite: how many are infinite.
        zeros: how many are 0 or -0.
        min: the least finite value, of integers an int; inf if there is none.
        max: the largest one; -inf if there is none.
        powers: of the finite values; see `_formulas.Powers`.
    """

    size: int = 0
    nan: int = 0
    infinite: int = 0
    zeros: int = 0
    min: float = math.inf
    max: float = -math.inf
    powers: Powers = NONE

    @classmethod
    def of_counts(cls, values: Floats, counts: npt.NDArray[np.int64]) -> Moments:
        """Return the moments of values of which each occurs so many times, at least once."""
        finite = np.isfinite(values)
        nan = int(counts[np.isnan(values)].sum())
        total, kept = int(counts.sum()), int(counts[finite].sum())
        values, counts = values[finite], counts[finite]
        if not values.size:
            return cls(total, nan, total - nan)
        guess = float(values[0] + np.sum(counts * (values - values[0])) / kept)
        d = values - guess
        square = d * d
        sums = (float(np.sum(counts * power)) for power in (d, square, square * d, square * square))
        return cls(
            size=total,
            nan=nan,
            infinite=total - nan - kept,
            zeros=int(counts[values == 0].sum()),
            # Adding 0 takes the sign from -0.
            min=float(values.min()) + 0.0,
            max=float(values.max()) + 0.0,
            powers=corrected(float(kept), guess, *sums),
        )

    def join(self, other: Moments) -> Moments:
        """Return the moments of the values of both, which may be of different tensors."""
        return Moments(
            size=self.size + other.size,
            nan=self.nan + other.nan,
            infinite=self.infinite + other.infinite,
            zeros=self.zeros + other.zeros,
            min=min(self.min, other.min),
            max=max(self.max, other.max),
            powers=combined(self.powers, other.powers),
        )

    @property
    def finite(self) -> int:
        """How many values are finite."""
        return self.size - self.nan - self.infinite

    @property
    def mean(self) -> float:
        """Mean of the finite values; NaN of none, not finite where float64 can't hold their sum."""
        return self.powers[1] + self.powers[2] if self.finite else math.nan

    @property
    def m2(self) -> float:
        """Sum of the squared distances from the mean."""
        return self.powers[3]

    @property
    def m3(self) -> float:
        """Sum of their cubes."""
        return self.powers[4]

    @property
    def m4(self) -> float:
        """Sum of their fourth powers."""
        return self.powers[5]

    @property
    def variance(self) -> float | None:
        """Mean squared distance from the mean; None of no values, or beyond float64's range."""
        if not self.finite:
            return None
        return 0.0 if self.min == self.max else _within_range(self.m2 / self.finite)

    @property
    def stddev(self) -> float | None:
        """Root of the variance."""
        variance = self.variance
        return None if variance is None else math.sqrt(variance)

    @property
    def skewness(self) -> float | None:
        """Third standardised moment; None where stddev is 0 or None, or beyond float64's range."""
        variance = self.variance
        cube = _within_range(variance * math.sqrt(variance)) if variance else None
        if cube is None or not math.isfinite(self.m3):
            return None
        return self.m3 / self.finite / cube

    @property
    def kurtosis(self) -> float | None:
        """Fourth standardised moment less 3; None as for the skewness."""
        variance = self.variance
        square = _within_range(variance * variance) if variance else None
        if square is None or not math.isfinite(self.m4):
            return None
        return self.m4 / self.finite / square - 3.0

    @property
    def l2(self) -> float | None:
        """Root of the sum of squares; None of no values, or beyond float64's range."""
        if not self.finite:
            return None
        if self.zeros == self.finite:
            return 0.0
        total = _within_range(self.m2 + self.finite * self.mean * self.mean)
        return None if total is None else math.sqrt(total)


def _within_range(x: float) -> float | None:
    """Return x unless digits of it, or all, were lost at an end of float64's range."""
    return x if TINY < x < math.inf else None
