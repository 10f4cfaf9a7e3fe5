"""Whether values are what their initializer promises, by tests that know how many values there are.

For n independent draws of a distribution with mean mu, standard deviation sigma and kurtosis k:

- mean: (mean - mu) / (sigma / sqrt n) is a standard normal variable.
- stddev: T = mean of (x - mu)^2 / sigma^2 has mean 1 and variance (k - 1) / n. As a gamma variable
  of the same moments, its cube root is nearly normal (Wilson & Hilferty, "The distribution of
  chi-square", PNAS 1931).
- shape: the largest distance between the two cumulative distributions (Kolmogorov & Smirnov, with
  the correction for small n of Stephens, "EDF statistics for goodness of fit and some comparisons",
  JASA 1974). Values were counted in cells, of which the ends alone are compared: that can only make
  the distance smaller.
- range: nothing is outside the support; and where that has no end, the largest of n values is no
  farther out than chance takes it.

A tensor is off if one of the four is less likely than a level which is chosen so that of all the
tests of a whole checkpoint none fails by chance, save in one of 1 / FALSE_ALARMS checkpoints.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from initlib._description import Judgement, Verdict
from initlib._expected._promises import Promise
from initlib._expected._rounded import Rounded
from initlib._moments import Summary
from initlib._stream import Normal, Truncated

# The chance that any tensor of a checkpoint is called off although all are as promised.
FALSE_ALARMS = 1e-3
# Tests of one tensor.
TESTS = 4
# Of fewer values the spread and the shape are not judged: the approximations need so many.
ENOUGH = 100
# A distribution of more kurtosis than this has rare values far out (a narrow one between two values
# of its dtype): its sums need so many times more draws.
HEAVY = 5.0
# Scores beyond this are no numbers that JSON has.
MOST = 1e300
# How far figures that don't depend on chance may be off, relative to the largest value: they are
# sums of many numbers in float64.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges the tensors of one checkpoint.

    Attributes:
        tensors: how many of them are judged.
    """

    tensors: int

    @property
    def level(self) -> float:
        """The probability below which a test fails (Bonferroni)."""
        return FALSE_ALARMS / (TESTS * max(1, self.tensors))

    def __call__(self, promise: Promise, summary: Summary) -> Judgement | None:
        """Return whether a tensor's values are as promised; None if nothing is."""
        if promise.drawn is not None:
            return self._draws(promise.drawn, summary)
        if promise.exact:
            return _exact(promise, summary)
        if promise.norm is not None:
            return _norm(promise.norm, promise.slack, summary)
        return None

    def _draws(self, drawn: Rounded, summary: Summary) -> Judgement:
        problems = _not_finite(summary)
        if not summary.finite:
            return _verdict(problems)
        z_mean, z_stddev = _z_mean(drawn, summary), _z_stddev(drawn, summary)
        z_shape = _z_shape(drawn, summary)
        if z_mean is not None and _chance(z_mean) < self.level:
            problems.append(_differs("mean", summary.mean, drawn.mean, z_mean))
        if z_stddev is not None and _chance(z_stddev) < self.level:
            problems.append(_differs("stddev", summary.stddev, drawn.stddev, z_stddev))
        if z_shape is not None and z_shape > 0 and _chance(z_shape) / 2 < self.level:
            name = drawn.name.replace("_", " ")
            problems.append(f"the values are not distributed as {name} (z = {z_shape:.1f})")
        problems += _outside(summary, drawn.low, drawn.high) or self._far_out(drawn, summary)
        return _verdict(problems, z_mean, z_stddev, z_shape)

    def _far_out(self, drawn: Rounded, summary: Summary) -> list[str]:
        """Return a problem if one of the values is too far from the mean for chance."""
        if not isinstance(drawn.law, Normal | Truncated):
            return []
        value = max(summary.min, summary.max, key=drawn.distance)
        chance = drawn.chance(value)
        if chance == 1 or -math.expm1(summary.finite * math.log1p(-chance)) >= self.level:
            return []
        distance = drawn.distance(value)
        return [f"a value of {value:.4g} is {distance:.1f} stddev from the mean"]


def _exact(promise: Promise, summary: Summary) -> Judgement:
    """Compare figures that leave nothing to chance."""
    expected, problems = promise.expected, _not_finite(summary)
    low, high = expected.low, expected.high
    if not summary.finite or low is None or high is None:
        return _verdict(problems)
    problems += _outside(summary, low, high)
    room = ROUNDING * max(abs(low), abs(high))
    for name in ("mean", "stddev"):
        value, wanted = getattr(summary, name), getattr(expected, name)
        if problems or value is None or wanted is None:
            continue
        if not abs(value - wanted) <= room:
            problems.append(f"{name} {value:.6g}, expected {wanted:.6g}")
    return _verdict(problems)


def _norm(norm: float, slack: float, summary: Summary) -> Judgement:
    """Compare the root mean square, which rounding to the dtype moves by up to `slack`."""
    problems = _not_finite(summary)
    if summary.finite and summary.l2 is not None:
        value = summary.l2 / math.sqrt(summary.finite)
        if not abs(value - norm) <= slack:
            problems.append(f"root mean square {value:.6g}, expected {norm:.6g}")
    return _verdict(problems)


def _not_finite(summary: Summary) -> list[str]:
    found = {"NaN": summary.nan, "infinite": summary.infinite}
    counts = ", ".join(f"{count:,} {name}" for name, count in found.items() if count)
    return [f"not finite: {counts}"] if counts else []


def _outside(summary: Summary, low: float, high: float) -> list[str]:
    """Return a problem if a value lies outside the support."""
    if low <= summary.min and summary.max <= high:
        return []
    value = summary.min if summary.min < low else summary.max
    if low == high:
        return [f"a value of {value:.9g}, expected {low:.9g} alone"]
    return [f"a value of {value:.9g} is outside [{low:.9g}, {high:.9g}]"]


def _z_mean(drawn: Rounded, summary: Summary) -> float | None:
    if drawn.kurtosis > HEAVY and summary.finite < ENOUGH * drawn.kurtosis:
        return None
    if not math.isfinite(summary.mean):
        return None
    z = (summary.mean - drawn.mean) / drawn.stddev * math.sqrt(summary.finite)
    return max(-MOST, min(z, MOST))


def _z_stddev(drawn: Rounded, summary: Summary) -> float | None:
    # Two values at equal distances from the mean have no spread to judge: their kurtosis is 1.
    n, kurtosis = summary.finite, drawn.kurtosis
    if (
        summary.stddev is None
        or n < ENOUGH * (kurtosis if kurtosis > HEAVY else 1)
        or kurtosis < 1 + ROUNDING
    ):
        return None
    # The squares by themselves may be beyond float64's range.
    width, shift = summary.stddev / drawn.stddev, (summary.mean - drawn.mean) / drawn.stddev
    ratio = min(width * width + shift * shift, MOST)
    # A gamma variable of mean 1 and variance v is a chi-square of 2 / v degrees over that number.
    spread = (kurtosis - 1) / n / 9
    return (math.cbrt(ratio) - (1 - spread)) / math.sqrt(spread)


def _z_shape(drawn: Rounded, summary: Summary) -> float | None:
    from scipy.special import kolmogorov, ndtri_exp

    if summary.finite < ENOUGH:
        return None
    lows, highs, counts = summary.cells
    n = summary.finite
    until = np.cumsum(counts) / n
    gaps = np.abs(until - drawn.until(highs)), np.abs(until - counts / n - drawn.below(lows))
    root = math.sqrt(n)
    scaled = float(np.maximum(*gaps).max()) * (root + 0.12 + 0.11 / root)
    # The series' first term says all where the sum underflows.
    log = math.log(kolmogorov(scaled)) if scaled < 10 else math.log(2) - 2 * scaled**2
    # A distance of 0 is certain to be reached, which no score says.
    return -float(ndtri_exp(min(log, -1e-12)))


def _chance(z: float) -> float:
    """Return the probability that a normal variable is at least so far from 0."""
    return math.erfc(abs(z) / math.sqrt(2))


def _differs(name: str, value: float | None, expected: float, z: float) -> str:
    return f"{name} {value:.4g}, expected {expected:.4g} (z = {z:+.1f})"


def _verdict(
    problems: list[str],
    z_mean: float | None = None,
    z_stddev: float | None = None,
    z_shape: float | None = None,
) -> Judgement:
    verdict: Verdict = "off" if problems else "ok"
    return Judgement(verdict, z_mean, z_stddev, z_shape, tuple(problems))
