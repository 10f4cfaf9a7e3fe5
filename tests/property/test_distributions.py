"""Each random initializer, in each dtype, draws from the distribution that it promises.

Narrow dtypes hold few numbers, so their exact distribution is known: each number has the
probability of what rounds to it. All tolerances are multiples of the sampling error.
"""

import math
from functools import cache

import numpy as np
import pytest
from scipy import stats

from initlib import initializers
from initlib._dtypes import FLOATS
from initlib._stream import Stream, prepare
from initlib.initializers import Target

SHAPE = (200, 600)
COUNT = SHAPE[0] * SHAPE[1]


def truncated(variance):
    """Truncated at two stddev, with this variance after the cut."""
    return stats.truncnorm(-2, 2, scale=math.sqrt(variance) / stats.truncnorm(-2, 2).std())


def symmetric(variance):
    """Uniform with this variance around 0."""
    limit = math.sqrt(3 * variance)
    return stats.uniform(-limit, 2 * limit)


# What the formulas say of a matrix of 200 inputs and 600 outputs.
CASES = {
    "normal": (initializers.RandomNormal(0.25, 0.5, seed=1), stats.norm(0.25, 0.5)),
    "truncated": (
        initializers.TruncatedNormal(0.25, 0.5, seed=2),
        stats.truncnorm(-2, 2, 0.25, 0.5),
    ),
    "uniform": (initializers.RandomUniform(-0.25, 0.75, seed=3), stats.uniform(-0.25, 1)),
    "uniform-away": (initializers.RandomUniform(1, 3, seed=4), stats.uniform(1, 2)),
    "scaling-truncated": (initializers.VarianceScaling(3, "fan_out", seed=5), truncated(3 / 600)),
    "scaling-normal": (
        initializers.VarianceScaling(3, "fan_avg", "untruncated_normal", seed=6),
        stats.norm(0, math.sqrt(3 / 400)),
    ),
    "scaling-uniform": (
        initializers.VarianceScaling(3, "fan_in", "uniform", seed=7),
        symmetric(3 / 200),
    ),
    "glorot-normal": (initializers.GlorotNormal(8), truncated(2 / 800)),
    "glorot-uniform": (initializers.GlorotUniform(9), symmetric(2 / 800)),
    "he-normal": (initializers.HeNormal(10), truncated(2 / 200)),
    "he-uniform": (initializers.HeUniform(11), symmetric(2 / 200)),
    "lecun-normal": (initializers.LecunNormal(12), truncated(1 / 200)),
    "lecun-uniform": (initializers.LecunUniform(13), symmetric(1 / 200)),
}
each_case = pytest.mark.parametrize("name", CASES)
each_dtype = pytest.mark.parametrize("dtype", FLOATS)


@cache
def drawn(name, dtype):
    """Return the values, widened to float64 without error."""
    return CASES[name][0](SHAPE, dtype).astype(np.float64).reshape(-1)


def numbers_inside(law, dtype):
    """Return the numbers of a narrow dtype inside a law's support, in order."""
    unsigned = np.dtype(f"u{FLOATS[dtype].itemsize}")
    bits = np.arange(1 << 8 * unsigned.itemsize, dtype=unsigned)
    with np.errstate(invalid="ignore"):
        numbers = bits.view(FLOATS[dtype]).astype(np.float64)
    numbers = np.unique(numbers[np.isfinite(numbers)])
    low, high = law.support()
    inside = (numbers >= low) & (numbers <= high)
    # A uniform's upper end is open.
    return numbers[inside & (numbers < high)] if law.dist.name == "uniform" else numbers[inside]


def rounded_law(law, dtype):
    """Return the numbers of a narrow dtype and their probabilities.

    What is nearer to a number outside the support belongs to the last one inside.
    """
    numbers = numbers_inside(law, dtype)
    middles = (numbers[:-1] + numbers[1:]) / 2
    return numbers, np.diff(law.cdf(middles), prepend=0, append=1)


def exact_moments(law):
    """Return the expectations of ((x - mean) / std) ^ power, powers 1 to 8."""
    mean, std = law.mean(), law.std()
    return np.array([law.expect(lambda x, p=p: ((x - mean) / std) ** p) for p in range(1, 9)])


def rounded_moments(law, dtype):
    """Return them for x rounded to a narrow dtype."""
    numbers, probabilities = rounded_law(law, dtype)
    # bfloat16 reaches so far that powers of its numbers overflow.
    numbers, probabilities = numbers[probabilities > 0], probabilities[probabilities > 0]
    standard = (numbers - law.mean()) / law.std()
    return np.array([np.sum(probabilities * standard**p) for p in range(1, 9)])


@each_case
def test_mean_stddev_skewness_and_kurtosis(name):
    law = CASES[name][1]
    exact = exact_moments(law)
    for dtype in FLOATS:
        # Rounding to 24 bits or more changes them by less than 2^-24 of themselves.
        narrow = FLOATS[dtype].itemsize <= 2
        expected = rounded_moments(law, dtype) if narrow else exact
        standard = (drawn(name, dtype) - law.mean()) / law.std()
        for power in range(1, 5):
            error = math.sqrt((expected[2 * power - 1] - expected[power - 1] ** 2) / COUNT)
            # 4.5 standard errors: 1 in 150,000, for some 300 fixed draws.
            assert abs(np.mean(standard**power) - expected[power - 1]) < 4.5 * error, (dtype, power)


@each_case
@each_dtype
def test_support_is_kept(name, dtype):
    low, high = CASES[name][1].support()
    values = drawn(name, dtype)
    assert np.all(np.isfinite(values))
    assert values.min() >= low
    assert values.max() <= high
    if CASES[name][1].dist.name == "uniform":
        assert values.max() < high


@each_case
@each_dtype
def test_kolmogorov_smirnov(name, dtype):
    law, values = CASES[name][1], np.sort(drawn(name, dtype))
    if FLOATS[dtype].itemsize > 2:
        points = law.ppf(np.linspace(0, 1, 4001)[1:-1])
    else:
        # Between two numbers of the dtype both distribution functions are what they would be
        # without rounding; elsewhere only the rounding would show.
        numbers = numbers_inside(law, dtype)
        points = (numbers[:-1] + numbers[1:]) / 2
    distance = np.max(np.abs(np.searchsorted(values, points) / COUNT - law.cdf(points)))
    # P(D sqrt(n) > 2.4) = 2 exp(-2 2.4^2) = 2e-5.
    assert distance * math.sqrt(COUNT) < 2.4


@each_case
@pytest.mark.parametrize("dtype", [name for name in FLOATS if FLOATS[name].itemsize == 1])
def test_every_number_of_float8_has_its_share(name, dtype):
    numbers, probabilities = rounded_law(CASES[name][1], dtype)
    counts = np.bincount(
        np.searchsorted(numbers, drawn(name, dtype)), minlength=len(numbers)
    ).astype(float)
    likely = probabilities * COUNT > 10
    error = np.sqrt(COUNT * probabilities * (1 - probabilities))
    assert np.count_nonzero(likely) > 5
    assert np.all(np.abs(counts - probabilities * COUNT)[likely] < 5 * error[likely])


def test_neighbours_are_independent():
    # Lags of a block's words, of blocks, and of a row.
    values = CASES["normal"][0](SHAPE, "float64").reshape(-1)
    standard = (values - 0.25) / 0.5
    for lag in (1, 2, 3, 4, 5, 8, SHAPE[1]):
        for power in (1, 2):
            x = standard**power - (power == 2)
            product = np.mean(x[:-lag] * x[lag:])
            # The product's variance is that of x, squared: 1 for x, 2^2 for x^2 - 1.
            assert abs(product) < 4.5 * power / math.sqrt(COUNT - lag), (lag, power)


def test_64_mebi_truncated_normals():
    # As many as once held values of 1000 sigma, and a kurtosis of 28,122 (PyTorch #145498).
    count, piece = 1 << 26, 1 << 21
    law = stats.truncnorm(-2, 2)
    initializer = initializers.TruncatedNormal(0.0, 0.02, seed=42)
    target = Target((count,), np.dtype("float32"), Stream.seeded(42))
    prepare(count)
    out, wide, sums, extremes = np.empty(piece, np.float32), np.empty(piece), np.zeros(4), []
    for start in range(0, count, piece):
        initializer.fill(out, start, target)
        extremes += [out.min(), out.max()]
        np.divide(out, 0.02, out=wide)
        sums[0] += wide.sum()
        np.square(wide, out=wide)
        sums[1:4] += wide.sum(), np.dot(wide, wide), np.dot(wide, wide * wide)
    # Within 2^-18 of two stddev 29 are to be expected on each side.
    limit = np.float32(0.04)
    assert limit >= max(extremes) > limit * (1 - 2.0**-18)
    assert -limit <= min(extremes) < -limit * (1 - 2.0**-18)
    m = {power: law.moment(power) for power in (2, 4, 6, 8, 10, 12)}
    for power, total in zip((2, 4, 6), sums[1:], strict=True):
        error = math.sqrt((m[2 * power] - m[power] ** 2) / count)
        assert abs(total / count - m[power]) < 4.5 * error
    assert abs(sums[0] / count) < 4.5 * law.std() / math.sqrt(count)
    variance, fourth = sums[1] / count, sums[2] / count
    kurtosis = fourth / variance**2
    # Delta method: the influence of one value on fourth / variance^2.
    a, b = 1 / m[2] ** 2, -2 * m[4] / m[2] ** 3
    spread = a**2 * (m[8] - m[4] ** 2) + 2 * a * b * (m[6] - m[2] * m[4])
    spread += b**2 * (m[4] - m[2] ** 2)
    assert abs(kurtosis - m[4] / m[2] ** 2) < 4.5 * math.sqrt(spread / count)
