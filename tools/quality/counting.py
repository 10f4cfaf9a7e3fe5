"""What a billion values say of their law, from counts and sums that fit in a few megabytes.

Values are counted by rank, the place of a float among all floats of its dtype: ranks are exact, and
so is the probability of a cell of neighbouring ranks, from the middle between its first float and
the one before to the middle after its last. So a law is tested as its dtype can hold it.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy import special, stats

Array = npt.NDArray[Any]
PValues = dict[str, float]

POWERS = 6
TAILS = (3, 4, 5, 6)  # in stddev
ENOUGH = 5  # values of a cell that a chi-square test expects
LOW_BITS = 256  # patterns of the last 8 bits of a mantissa
# Bits of a rank that are dropped: cells of 4096 floats of float32, and as wide ones of float64.
SHIFT = {2: 0, 4: 12, 8: 41}
# Cells are joined until each has this share, of floats of 16 bits and of others.
SHARE = {2: 2.0**-14, 4: 2.0**-12, 8: 2.0**-12}
# Of float32 and float64 ranks are counted up to so many doublings of the stddev; what is beyond
# joins the last cell.
BEYOND = 6


@njit(nogil=True, error_model="numpy")
def _count(values, bits, shift, first, reach, counts, tails, low):
    """Count ranks, what is beyond `reach` around the mean, and the last bits of mantissas."""
    last = counts.shape[0] - 1
    mean, near = reach[0], reach[1]
    for i in range(values.shape[0]):
        rank = np.int64(bits[i])
        if rank < 0:
            rank = -(rank & np.int64(0x7FFFFFFFFFFFFFFF if bits.itemsize == 8 else 0x7FFFFFFF))
        counts[min(max((rank >> shift) - first, 0), last)] += 1
        low[bits[i] & 0xFF] += 1
        distance = abs(np.float64(values[i]) - mean)
        if distance > near:
            for k in range(tails.shape[0]):
                tails[k] += distance > reach[1 + k]


# In any order: sums of so many may be rounded in any.
@njit(nogil=True, fastmath=True)
def _sums(values, mean, width):
    """Return the sums of the first six powers of (x - mean) / width."""
    a = b = c = d = e = f = 0.0
    for i in range(values.shape[0]):
        z = (np.float64(values[i]) - mean) * width
        y = z * z
        a += z
        b += y
        c += y * z
        d += y * y
        e += y * y * z
        f += y * y * y
    return np.array([a, b, c, d, e, f])


@njit(nogil=True)
def _count_narrow(bits, counts):
    """Count the values of a 16-bit float, rank 0 in the middle."""
    for i in range(bits.shape[0]):
        rank = np.int64(bits[i])
        counts[32768 + (rank if rank >= 0 else -(rank & 0x7FFF))] += 1


def rank(value: float, dtype: np.dtype[Any]) -> int:
    """Return how many floats a value is above 0."""
    bits = int(np.asarray(value, dtype).view(f"i{dtype.itemsize}"))
    return bits if bits >= 0 else -(bits & (1 << 8 * dtype.itemsize - 1) - 1)


def values_of(ranks: Array, dtype: np.dtype[Any]) -> Array:
    """Return the floats of ranks, as float64."""
    bits = np.abs(ranks).astype(f"u{dtype.itemsize}")
    with np.errstate(invalid="ignore", over="ignore"):
        return np.copysign(bits.view(dtype).astype(np.float64), ranks)


@njit(nogil=True, error_model="numpy")
def _count_grid(values, step, origin, counts):
    """Count the points (k - origin) step."""
    for i in range(values.shape[0]):
        counts[int(np.rint(np.float64(values[i]) / step)) + origin] += 1


@njit
def _joined(shares, counts, least):
    """Join neighbouring cells until each has a share of `least`; what is left joins the last."""
    found, joined, many = np.zeros_like(shares), np.zeros_like(counts), 0
    for i in range(shares.size):
        found[many] += shares[i]
        joined[many] += counts[i]
        if found[many] >= least and i < shares.size - 1:
            many += 1
    if found[many] < least and many:
        found[many - 1] += found[many]
        joined[many - 1] += joined[many]
        many -= 1
    return joined[: many + 1], found[: many + 1]


def joined(counts: Array, shares: Array, least: float) -> tuple[Array, Array]:
    """Return counts and shares of neighbouring cells that are joined to have a share of `least`."""
    found: tuple[Array, Array] = _joined(shares, counts, least)
    return found


def two_sided(z: Array) -> Array:
    """Return p-values of standard normal scores."""
    return special.erfc(np.abs(z) / math.sqrt(2))


def chi_square(counts: Array, shares: Array) -> float:
    """Return the p-value of counts where these shares of all are expected."""
    expected = counts.sum() * shares
    statistic = float(np.sum((counts - expected) ** 2 / expected))
    return float(special.chdtrc(counts.size - 1, statistic))


def of_count(count: int, n: int, share: float) -> float:
    """Return the p-value of a count of n where this share is expected (binomial, both sides)."""
    at_most, at_least = stats.binom.cdf(count, n, share), stats.binom.sf(count - 1, n, share)
    return min(1.0, 2 * float(min(at_most, at_least)))


class Count:
    """Counts of the values of a law in a dtype.

    Of 16-bit floats each number is a cell, and what is nearer to one outside the support belongs to
    the last one inside.

    Args:
        law: of `scipy.stats`, frozen.
        dtype: what the values are rounded to.
    """

    def __init__(self, law: Any, dtype: Any) -> None:
        self.law, self.dtype, self.n = law, np.dtype(dtype), 0
        self.mean, self.stddev = moments_of(law)
        self.narrow, self.shift = self.dtype.itemsize == 2, SHIFT[self.dtype.itemsize]
        self.least, self.most = math.inf, -math.inf
        self.low = np.zeros(LOW_BITS, np.int64)
        self.sums, self.tails = np.zeros(POWERS), np.zeros(len(TAILS), np.int64)
        self.reach = np.array([self.mean, *(end * self.stddev for end in TAILS)])
        low, high = law.support()
        self.uniform = law.dist.name == "uniform"
        if self.narrow:
            self.first = -(1 << 15)
            numbers = values_of(np.arange(self.first, -self.first), self.dtype)
            inside = np.isfinite(numbers) & (numbers >= low) & (numbers <= high)
            inside[0] = False  # the other zero
            inside &= ~(self.uniform & (numbers == high))
            self.inside, self.numbers = inside, numbers[inside]
            middles = (self.numbers[1:] + self.numbers[:-1]) / 2
            self.counts = np.zeros(1 << 16, np.int64)
        else:
            scale = max(abs(self.mean), self.stddev)
            self.first = rank(-math.ldexp(scale, BEYOND), self.dtype) >> self.shift
            edges = np.arange(self.first + 1, -self.first) << self.shift
            middles = (values_of(edges, self.dtype) + values_of(edges - 1, self.dtype)) / 2
            self.counts = np.zeros(edges.size + 1, np.int64)
        self.shares = np.diff(law.cdf(middles), prepend=0.0, append=1.0)
        # A float32 uniform is a grid, whose points are told apart where it is laid through zero.
        # Of more values than points both ends are certain.
        from_grid = law.dist.name in ("uniform", "loguniform")
        self.points = 1 << 24 if from_grid and self.dtype == np.float32 else 0
        self.step = (high - low) / 2**24
        self.grid = np.zeros(self.points if self.uniform and low < 0 < high else 0, np.int32)

    def add(self, values: Array) -> None:
        """Count values of the dtype, a contiguous 1-D array."""
        self.n += values.size
        bits = values.view(f"i{self.dtype.itemsize}")
        if self.narrow:
            _count_narrow(bits, self.counts)
            return
        _count(
            *(values, bits, self.shift, self.first, self.reach),
            *(self.counts, self.tails, self.low),
        )
        self.sums += _sums(values, self.mean, 1 / self.stddev)
        if self.grid.size:
            origin = round(-self.law.support()[0] / self.step)
            _count_grid(values, float(np.float32(self.step)), origin, self.grid)
        self.least = min(self.least, float(values.min()))
        self.most = max(self.most, float(values.max()))

    def finish(self) -> None:
        """Derive from the counts of 16-bit floats what of others was counted beside."""
        if not self.narrow:
            return
        counts = self.counts[self.inside]
        found = np.flatnonzero(counts)
        self.least, self.most = (float(self.numbers[i]) for i in found[[0, -1]])
        z = (self.numbers[found] - self.mean) / self.stddev
        self.sums = np.array([counts[found] @ z**k for k in range(1, POWERS + 1)])
        self.tails = counts @ self._out()
        self.counts = counts

    def _out(self) -> Array:
        return np.abs(self.numbers - self.mean)[:, None] > self.reach[1:]

    def beyond(self) -> Array:
        """Return how many values are expected beyond so many stddev."""
        if self.narrow:
            return self.n * (self.shares @ self._out())
        return self.n * (
            self.law.cdf(self.mean - self.reach[1:]) + self.law.sf(self.mean + self.reach[1:])
        )

    def expected(self) -> Array:
        """Return the expectations of ((x - mean) / stddev) ^ power, powers 1 to 2 POWERS."""
        powers = range(1, 2 * POWERS + 1)
        if self.narrow:
            likely = self.shares > 0
            z = (self.numbers[likely] - self.mean) / self.stddev
            return np.array([self.shares[likely] @ z**k for k in powers])
        z, density = quadrature(self.law)
        z = (z - self.mean) / self.stddev
        return np.array([density @ z**k for k in powers])

    def p_values(self, *, low_bits: bool) -> PValues:
        """Return the p-value of each test.

        Args:
            low_bits: whether the last bits of a mantissa are even.
        """
        low, high = self.law.support()
        kept = low <= self.least and self.most <= high and self.counts.sum() == self.n
        gap = np.abs(np.cumsum(self.counts) / self.n - np.cumsum(self.shares)).max()
        found = {
            "support": float(kept),
            "chi-square": chi_square(*joined(self.counts, self.shares, SHARE[self.dtype.itemsize])),
            "KS": float(special.kolmogorov(gap * math.sqrt(self.n))),
        }
        expected = self.expected()
        wanted, squares = expected[:POWERS], expected[1::2]
        scores = (self.sums / self.n - wanted) / np.sqrt((squares - wanted**2) / self.n)
        found |= {f"moment {k + 1}": float(p) for k, p in enumerate(two_sided(scores))}
        for end, count, share in zip(TAILS, self.tails, self.beyond() / self.n, strict=True):
            if share > 0:
                found[f"beyond {end}"] = of_count(int(count), self.n, min(float(share), 1.0))
        if self.narrow or not self.points or self.n < self.points:
            found["least"], found["largest"] = self._extremes()
        if low < 0 < high:
            negative = self.numbers < 0 if self.narrow else slice(-self.first)
            share = float(self.shares[negative].sum())
            found["negative"] = of_count(int(self.counts[negative].sum()), self.n, share)
        if 0 < self.grid.size <= self.n / ENOUGH:
            found["2^24 points"] = chi_square(self.grid, np.full(self.grid.size, 2.0**-24))
            patterns = self.grid.reshape(-1, LOW_BITS).sum(axis=0, dtype=np.int64)
            found["low bits"] = chi_square(patterns, np.full(LOW_BITS, 1 / LOW_BITS))
        elif low_bits and not self.narrow:
            found["low bits"] = chi_square(self.low, np.full(LOW_BITS, 1 / LOW_BITS))
        return found

    def _extremes(self) -> tuple[float, float]:
        """Return the p-values of the least and of the largest value."""
        if self.narrow:
            below, above = np.cumsum(self.shares), np.cumsum(self.shares[::-1])[::-1]
            first, last = np.searchsorted(self.numbers, [self.least, self.most])
            return self._extreme(below[first], above[first]), self._extreme(
                above[last], below[last]
            )
        least, most = self._middles(self.least), self._middles(self.most)[::-1]
        cdf, sf = self.law.cdf, self.law.sf
        return self._extreme(cdf(least[0]), sf(least[1])), self._extreme(sf(most[0]), cdf(most[1]))

    def _middles(self, value: float) -> tuple[float, float]:
        """Return the middles between a float and the next above, and the next below."""
        near = [
            float(np.nextafter(self.dtype.type(value), self.dtype.type(end)))
            for end in (np.inf, -np.inf)
        ]
        return value + (near[0] - value) / 2, value + (near[1] - value) / 2

    def _extreme(self, beyond: float, until: float) -> float:
        """Return the p-value of an extreme, from the share as far out and that no farther."""
        with np.errstate(divide="ignore"):
            as_far = -np.expm1(self.n * np.log1p(-min(beyond, 1.0)))
            no_farther = np.exp(self.n * np.log(min(until, 1.0)))
        return min(1.0, 2 * float(min(as_far, no_farther)))


def moments_of(law: Any) -> tuple[float, float]:
    """Return mean and stddev."""
    x, density = quadrature(law)
    mean = float(density @ x)
    return mean, math.sqrt(float(density @ (x - mean) ** 2))


@cache
def _legendre() -> tuple[Array, Array]:
    nodes, weights = special.roots_legendre(400)
    return nodes, weights


def quadrature(law: Any) -> tuple[Array, Array]:
    """Return Gauss's nodes and weights for expectations under a law.

    An end that is infinite is taken as the quantile of 1e-60, 16 stddev from a normal's mean.
    """
    low, high = law.support()
    low, high = (
        law.ppf(1e-60) if low == -math.inf else low,
        law.isf(1e-60) if high == math.inf else high,
    )
    nodes, weights = _legendre()
    x = low + (high - low) / 2 * (nodes + 1)
    density = weights * law.pdf(x)
    return x, density / density.sum()
