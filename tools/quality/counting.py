"""What a billion values say of their law, from counts and sums that fit in a few megabytes.

Values are counted by rank, the place of a float among all floats of its dtype: ranks are exact, and
so is the probability of a cell of neighbouring ranks, from the middle between its first float and
the one before to the middle after its last. So a law is tested as its dtype can hold it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy import special, stats

Array = npt.NDArray[Any]
PValues = dict[str, float]

POWERS = 6
TAILS = (3, 4, 5, 6)  # in stddev
LOW_BITS = 256  # patterns of the last 8 bits of a mantissa
# Bits of a rank that are dropped: cells of 256 floats of float32, and as wide ones of float64.
SHIFT = {2: 0, 4: 8, 8: 37}
# Cells are joined until each has this share, of floats of 16 bits and of others.
SHARE = {2: 2.0**-14, 4: 2.0**-12, 8: 2.0**-12}
# Of float32 and float64 all is counted up to so many doublings of the stddev; what is beyond joins the
# last cell.
BEYOND = 6


@njit(nogil=True, error_model="numpy")
def _count(values, bits, shift, first, mean, width, counts, sums, tails, low):
    """Count ranks, powers of (x - mean) / width and its tails, and the last bits of mantissas."""
    last = counts.shape[0] - 1
    for i in range(values.shape[0]):
        rank = np.int64(bits[i])
        if rank < 0:
            rank = -(rank & np.int64(0x7FFFFFFFFFFFFFFF if bits.itemsize == 8 else 0x7FFFFFFF))
        counts[min(max((rank >> shift) - first, 0), last)] += 1
        low[bits[i] & 0xFF] += 1
        z = (np.float64(values[i]) - mean) / width
        power = 1.0
        for k in range(sums.shape[0]):
            power *= z
            sums[k] += power
        if abs(z) > 3:
            for k in range(tails.shape[1]):
                tails[0 if z < 0 else 1, k] += abs(z) > k + 3


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
def _count_grid(values, low, step, counts):
    """Count the points low + k step."""
    for i in range(values.shape[0]):
        counts[int(np.rint((np.float64(values[i]) - low) / step))] += 1


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
    return found[: many + 1], joined[: many + 1]


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

    Args:
        law: of `scipy.stats`, frozen.
        dtype: what the values are rounded to.
    """

    def __init__(self, law: Any, dtype: Any) -> None:
        self.law, self.dtype = law, np.dtype(dtype)
        self.mean, self.stddev = float(law.mean()), float(law.std())
        self.n, self.least, self.most = 0, math.inf, -math.inf
        self.narrow, self.shift = self.dtype.itemsize == 2, SHIFT[self.dtype.itemsize]
        size, self.first = 1 << 16, -(1 << 15)
        if not self.narrow:
            scale = max(abs(self.mean), self.stddev)
            self.first = rank(-math.ldexp(scale, BEYOND), self.dtype) >> self.shift
            size = -2 * self.first
        self.counts, self.low = np.zeros(size, np.int64), np.zeros(LOW_BITS, np.int64)
        self.sums, self.tails = np.zeros(POWERS), np.zeros((2, len(TAILS)), np.int64)
        low, high = law.support()
        self.uniform = law.dist.name == "uniform"
        # A float32 uniform is a grid, whose points are told apart where it is laid through zero.
        self.step = (high - low) / 2**24 if self.uniform and self.dtype == np.float32 else 0.0
        self.grid = np.zeros(1 << 24 if self.step and low < 0 < high else 0, np.int32)

    def add(self, values: Array) -> None:
        """Count values of the dtype, a contiguous 1-D array."""
        self.n += values.size
        bits = values.view(f"i{self.dtype.itemsize}")
        if self.narrow:
            _count_narrow(bits, self.counts)
            return
        _count(
            *(values, bits, self.shift, self.first, self.mean, self.stddev),
            *(self.counts, self.sums, self.tails, self.low),
        )
        if self.grid.size:
            _count_grid(values, self.law.support()[0], self.step, self.grid)
        self.least = min(self.least, float(values.min()))
        self.most = max(self.most, float(values.max()))

    def cells(self) -> tuple[Array, Array]:
        """Return the probability of each cell and its count.

        Of 16-bit floats a cell is a number; what is nearer to one outside the support belongs to
        the last one inside.
        """
        numbers, counts = self.numbers() if self.narrow else (None, self.counts)
        if numbers is None:
            edges = (self.first + np.arange(1, counts.size)) << self.shift
            middles = (values_of(edges, self.dtype) + values_of(edges - 1, self.dtype)) / 2
        else:
            middles = (numbers[1:] + numbers[:-1]) / 2
        return np.diff(self.law.cdf(middles), prepend=0.0, append=1.0), counts

    def numbers(self) -> tuple[Array, Array]:
        """Return the 16-bit floats inside the support, and their counts."""
        numbers = values_of(np.arange(self.first + 1, -self.first), self.dtype)
        low, high = self.law.support()
        inside = np.isfinite(numbers) & (numbers >= low) & (numbers <= high)
        inside &= ~(self.uniform & (numbers == high))
        return numbers[inside], self.counts[1:][inside]

    def expected(self) -> Array:
        """Return the expectations of ((x - mean) / stddev) ^ power, powers 1 to 2 POWERS."""
        powers = range(1, 2 * POWERS + 1)
        if self.narrow:
            numbers, shares = self.numbers()[0], self.cells()[0]
            z = (numbers - self.mean) / self.stddev
            return np.array([np.sum(shares[shares > 0] * z[shares > 0] ** k) for k in powers])
        if self.law.dist.name == "norm":
            return np.array([0.0 if k % 2 else special.factorial2(k - 1) for k in powers])
        low, high = ((each - self.mean) / self.stddev for each in self.law.support())
        low, high = max(low, -40.0), min(high, 40.0)
        nodes, weights = special.roots_legendre(400)
        z = low + (high - low) / 2 * (nodes + 1)
        density = weights * self.law.pdf(self.mean + self.stddev * z)
        return np.array([density @ z**k for k in powers]) / density.sum()

    def p_values(self) -> PValues:
        """Return the p-value of each test."""
        shares, counts = self.cells()
        found = {"support": float(counts.sum() == self.n)}
        found["chi-square"] = chi_square(*_swapped(_joined(shares, counts, SHARE[self.dtype.itemsize])))
        gap = np.abs(np.cumsum(counts) / self.n - np.cumsum(shares)).max()
        found["KS"] = float(special.kolmogorov(gap * math.sqrt(self.n)))
        found |= self._moments() | self._tails(shares, counts)
        found["negative"] = of_count(*self._negative())
        if not self.narrow and not self.step:
            found["low bits"] = chi_square(self.low, np.full(LOW_BITS, 1 / LOW_BITS))
        if self.grid.size:
            found["2^24 points"] = chi_square(self.grid, np.full(self.grid.size, 2.0**-24))
            patterns = self.grid.reshape(-1, LOW_BITS).sum(axis=0, dtype=np.int64)
            found["low bits"] = chi_square(patterns, np.full(LOW_BITS, 1 / LOW_BITS))
        return found

    def _moments(self) -> PValues:
        expected = self.expected()
        sums = self.sums
        if self.narrow:
            numbers, counts = self.numbers()
            z = (numbers[counts > 0] - self.mean) / self.stddev
            sums = np.array([counts[counts > 0] @ z**k for k in range(1, POWERS + 1)])
        wanted, squares = expected[:POWERS], expected[1::2]
        scores = (sums / self.n - wanted) / np.sqrt((squares - wanted**2) / self.n)
        return {f"moment {k + 1}": float(p) for k, p in enumerate(two_sided(scores))}

    def beyond(self) -> tuple[Array, Array]:
        """Return how many values are beyond so many stddev, and how many are expected."""
        ends = np.array(TAILS) * self.stddev
        if not self.narrow:
            shares = self.law.cdf(self.mean - ends) + self.law.sf(self.mean + ends)
            return self.tails.sum(axis=0), self.n * shares
        numbers, counts = self.numbers()
        out = np.abs(numbers - self.mean)[:, None] > ends
        return counts @ out, self.n * (self.cells()[0] @ out)

    def extremes(self) -> tuple[float, float]:
        """Return the least and the largest value."""
        if not self.narrow:
            return self.least, self.most
        numbers, counts = self.numbers()
        least, most = numbers[np.flatnonzero(counts)[[0, -1]]]
        return float(least), float(most)

    def _tails(self, shares: Array, counts: Array) -> PValues:
        found = {
            f"beyond {end}": of_count(int(count), self.n, min(expected / self.n, 1.0))
            for end, count, expected in zip(TAILS, *self.beyond(), strict=True)
        }
        if self.narrow:
            above, below = np.cumsum(shares[::-1])[::-1], np.cumsum(shares)
            first, last = np.flatnonzero(counts)[[0, -1]]
            return found | {
                "largest": self._extreme(above[last], below[last]),
                "least": self._extreme(below[first], above[first]),
            }
        # Half way to the next floats; a point of a grid stands for what is up to the next one.
        low, high = (np.asarray(each, self.dtype) for each in (self.least, self.most))
        up, down = np.asarray(np.inf, self.dtype), np.asarray(-np.inf, self.dtype)

        def middle(value: Array, end: Array) -> float:
            beside = float(np.nextafter(value, end))
            return float(value) + (beside - float(value)) / 2

        if self.step:
            inner = float(high), float(low) + self.step
            outer = float(high) + self.step, float(low)
        else:
            inner, outer = (middle(high, down), middle(low, up)), (middle(high, up), middle(low, down))
        found["largest"] = self._extreme(self.law.sf(inner[0]), self.law.cdf(outer[0]))
        found["least"] = self._extreme(self.law.cdf(inner[1]), self.law.sf(outer[1]))
        return found

    def _extreme(self, beyond: float, until: float) -> float:
        """Return the p-value of an extreme, from the share as far out and that no farther."""
        with np.errstate(divide="ignore"):
            as_far = -np.expm1(self.n * np.log1p(-min(beyond, 1.0)))
            no_farther = np.exp(self.n * np.log(min(until, 1.0)))
        return min(1.0, 2 * float(min(as_far, no_farther)))

    def _negative(self) -> tuple[int, int, float]:
        if self.narrow:
            numbers, counts = self.numbers()
            return int(counts[numbers < 0].sum()), self.n, float(self.cells()[0][numbers < 0].sum())
        return int(self.counts[: -self.first].sum()), self.n, float(self.law.cdf(0.0))


def _swapped(pair: tuple[Array, Array]) -> tuple[Array, Array]:
    return pair[1], pair[0]
