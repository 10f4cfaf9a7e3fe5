"""Moments and probabilities of a normal distribution truncated at any bounds.

All goes by the distance from what is nearest to the mean, in stddev: far out in a tail the textbook
formulas are differences of nearly equal numbers.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt

from initlib._stream import Truncated

Array = npt.NDArray[np.float64]

# Where the density is exp(-60) of what it is nearest to the mean, nothing is left.
_NOTHING = 60.0
# So many nodes give all digits.
_NODES = 160
# Where the logarithm of the density changes by less, it is as good as flat.
_FLAT = 1e-8


def reach(law: Truncated) -> tuple[float, float]:
    """Return between which numbers practically all draws are."""
    low, high = (distance * law.stddev for distance in _inside(law))
    return _anchor(law) + low, _anchor(law) + high


def moments(law: Truncated) -> tuple[float, float, float]:
    """Return mean, stddev and kurtosis, by Gauss's quadrature; of a constant no more than these."""
    if law.stddev == 0 or law.low == law.high:
        return _anchor(law), 0.0, 0.0
    low, high = _inside(law)
    nodes, weights = _gauss()
    x = low + (high - low) / 2 * (nodes + 1)
    weights = weights * np.exp(-np.abs(x) * (float(law.near) + np.abs(x) / 2))
    weights = weights / weights.sum()
    mean = 0.0 if low == -high else float(weights @ x)
    variance, fourth = (float(weights @ (x - mean) ** power) for power in (2, 4))
    stddev = math.sqrt(variance) * law.stddev
    return _anchor(law) + mean * law.stddev, stddev, fourth / variance**2


def cdf(law: Truncated, x: Array) -> Array:
    """Return the probability of the reals up to `x`."""
    low, high = _ends(law)
    d = np.clip(_distances(law, x), low, high)
    near = float(law.near)
    if max(low**2, high**2) / 2 + near * max(-low, high) < _FLAT:
        return np.asarray((d - low) / (high - low))
    below, until, above = (_signed(near, np.asarray(each)) for each in (low, d, high))
    return np.asarray((until - below) / (above - below))


def chance(law: Truncated, distance: float) -> float:
    """Return the probability that a value is so many stddev from the mean or more."""
    low, high = _ends(law)
    near = float(law.near)
    inside = float(_signed(near, np.asarray(high)) - _signed(near, np.asarray(low)))
    beyond = math.exp(float(_log_tail(near, np.asarray(max(distance - near, 0.0)))))
    return min(1.0, (2 if low < 0 < high else 1) * beyond / inside)


def _anchor(law: Truncated) -> float:
    """Return the number inside the bounds that is nearest to the mean."""
    return min(max(law.mean, law.low), law.high)


def _distances(law: Truncated, x: Array) -> Array:
    """Return how many stddev numbers are above the anchor."""
    with np.errstate(over="ignore"):
        return np.asarray((x - _anchor(law)) / law.stddev)


def _ends(law: Truncated) -> tuple[float, float]:
    """Return the distances of the bounds."""
    low, high = _distances(law, np.array([law.low, law.high])).tolist()
    return low, high


def _inside(law: Truncated) -> tuple[float, float]:
    """Return between which distances practically all draws are."""
    low, high = _ends(law)
    near = float(law.near)
    farthest = 2 * _NOTHING / (near + math.sqrt(near**2 + 2 * _NOTHING))
    return max(low, -farthest), min(high, farthest)


def _log_tail(near: float, d: Array) -> Array:
    """Return ln Q(near + d) / Q(near) for d >= 0, where Q is the probability beyond."""
    from scipy.special import erfcx

    with np.errstate(divide="ignore", over="ignore"):
        ratio = erfcx((near + d) / math.sqrt(2)) / erfcx(near / math.sqrt(2))
        return np.asarray(np.log(ratio) - d * (near + d / 2))


def _signed(near: float, d: Array) -> Array:
    """Return 1 - Q(near + |d|) / Q(near) with the sign of d."""
    return np.asarray(np.copysign(-np.expm1(_log_tail(near, np.abs(d))), d))


@cache
def _gauss() -> tuple[Array, Array]:
    from scipy.special import roots_legendre

    nodes, weights = roots_legendre(_NODES)
    return nodes, weights
