"""What initializers promise, held against integrals, and how often the judge is wrong."""

import dataclasses
import json
import math

import ml_dtypes
import numpy as np
import pytest
from scipy import stats

from initlib import _expected, initializers
from initlib._describe._figures import histogram
from initlib._description import QUANTILES
from initlib._dtypes import DTYPES, FLOATS
from initlib._expected import Judge, promise
from initlib._expected._rounded import rounded
from initlib._moments import Moments, Summary, center_of, parts, summarize
from initlib._stream import Normal, Stream, TruncatedNormal, Uniform
from initlib.initializers import Target

LAWS = [Normal(0.25, 0.5), TruncatedNormal(0.25, 0.5), Uniform(-0.5, 1.0)]
ORACLES = {
    Normal: stats.norm(0.25, 0.5),
    TruncatedNormal: stats.truncnorm(-2, 2, 0.25, 0.5),
    Uniform: stats.uniform(-0.5, 1.5),
}

MAKERS = {
    "normal": initializers.RandomNormal(0.0, 0.02),
    "truncated": initializers.TruncatedNormal(0.0, 0.02),
    "uniform": initializers.RandomUniform(-0.05, 0.05),
}


def target(shape, dtype="float32", layout="keras"):
    return Target(tuple(shape), DTYPES[dtype], Stream.seeded(0), layout)


def values_of(law, dtype, count, seed=0):
    out = np.empty(count, DTYPES[dtype])
    law.fill(out, 0, Stream.seeded(seed))
    return out


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_moments_before_rounding_are_those_of_scipy(law):
    found, oracle = rounded(law, DTYPES["float64"]), ORACLES[type(law)]
    assert found.values is None
    assert found.mean == pytest.approx(oracle.mean(), rel=1e-12)
    assert found.stddev == pytest.approx(oracle.std(), rel=1e-12)
    assert found.kurtosis == pytest.approx(float(oracle.stats(moments="k")) + 3, rel=1e-9)
    x = np.linspace(-1.5, 2, 50)
    np.testing.assert_allclose(found.until(x), oracle.cdf(x), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"])
@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_moments_after_rounding_are_integrals(law, dtype):
    found, oracle = rounded(law, DTYPES[dtype]), ORACLES[type(law)]
    # All values of the dtype, by another way, and the reals between their middles.
    bits = np.arange(1 << 8 * DTYPES[dtype].itemsize, dtype=f"u{DTYPES[dtype].itemsize}")
    with np.errstate(invalid="ignore"):
        every = bits.view(DTYPES[dtype]).astype(np.float64)
    every = np.unique(every[np.isfinite(every)])
    every = every[(every >= found.low) & (every <= found.high)]
    middles = np.concatenate([[-np.inf], (every[1:] + every[:-1]) / 2, [np.inf]])
    shares = np.diff(oracle.cdf(middles))
    mean = np.sum(shares * every)
    variance = np.sum(shares * (every - mean) ** 2)
    assert found.mean == pytest.approx(mean, abs=1e-14)
    assert found.stddev == pytest.approx(math.sqrt(variance), rel=1e-12)
    fourth = np.sum(shares * (every - mean) ** 4)
    assert found.kurtosis == pytest.approx(fourth / variance**2, rel=1e-9)
    np.testing.assert_allclose(found.until(every), np.cumsum(shares), atol=1e-14)
    np.testing.assert_allclose(found.below(every), np.cumsum(shares) - shares, atol=1e-14)


def test_a_dtype_with_few_values_in_reach_is_looked_at_value_by_value():
    # float32 has steps of 8 near 1e8.
    found = rounded(Normal(1e8, 16.0), DTYPES["float32"])
    assert set(np.diff(found.values)) == {8.0}
    assert found.stddev == pytest.approx(math.sqrt(16**2 + 8**2 / 12), rel=1e-6)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_support_is_what_can_occur(law, dtype):
    found = rounded(law, DTYPES[dtype])
    values = values_of(law, dtype, 1 << 16).astype(np.float64)
    assert found.low <= values.min()
    assert values.max() <= found.high
    if found.values is not None:
        assert np.isin(values, found.values).all()


def test_promises_of_what_is_not_drawn():
    zeros = promise(initializers.Zeros(), target([3])).expected
    assert (zeros.distribution, zeros.mean, zeros.low, zeros.high) == ("constant", 0, 0, 0)
    tenth = promise(initializers.Constant(0.1), target([3], "bfloat16")).expected
    assert tenth.mean == float(ml_dtypes.bfloat16(0.1))
    several = promise(initializers.Constant([1, 2, 4]), target([2, 3])).expected
    assert (several.mean, several.low, several.high) == (pytest.approx(7 / 3), 1, 4)
    assert several.stddev == pytest.approx(np.std([1, 2, 4]))
    identity = promise(initializers.Identity(2.0), target([4, 6])).expected
    matrix = 2 * np.eye(4, 6)
    assert (identity.mean, identity.stddev) == (matrix.mean(), pytest.approx(matrix.std()))
    assert promise(None, target([3]), "my.py:f").expected.mean is None
    assert promise(initializers.Constant(math.inf), target([3])).expected.mean is None
    assert promise(initializers.Zeros(), target([0])).expected.mean is None


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "initializer",
    [
        initializers.Zeros(),
        initializers.Constant(0.3),
        initializers.Constant(np.arange(5.0) / 4),
        initializers.Identity(0.7),
        initializers.Orthogonal(gain=1.5, seed=1),
        initializers.RandomNormal(mean=1.0, stddev=0.0, seed=1),
        initializers.RandomUniform(0.5, 0.5, seed=1),
        initializers.HeNormal(seed=1),
        initializers.GlorotUniform(seed=1),
    ],
    ids=lambda i: type(i).__name__,
)
def test_what_initializers_make_is_as_promised(initializer, dtype):
    for shape in ([40, 5], [5, 5]):
        values = initializer(shape, dtype=dtype)
        found = promise(initializer, target(shape, dtype))
        assert Judge(1)(found, summarize(values.reshape(-1))).problems == ()


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda x: x * 1.05, "stddev"),
        (lambda x: x + 0.001, "mean"),
        (lambda x: np.where(np.arange(x.size) == 7, np.nan, x), "not finite: 1 NaN"),
        (lambda x: np.where(np.arange(x.size) == 7, 3.0, x), "a value of 3 is"),
        (lambda x: np.sign(x) * np.abs(x).mean() * 1.2533, "not distributed as"),
    ],
)
@pytest.mark.parametrize("name", MAKERS)
def test_what_is_wrong_is_told(name, spoil, problem):
    values = values_of(MAKERS[name].law(target([1])), "float32", 100_000)
    found = promise(MAKERS[name], target([100_000]))
    assert Judge(1000)(found, summarize(values)).problems == ()
    spoiled = spoil(values).astype(np.float32)
    judgement = Judge(1000)(found, summarize(spoiled))
    assert judgement.verdict == "off"
    assert any(problem in each for each in judgement.problems)


def test_constants_are_compared_value_by_value():
    ones = np.ones(1000, np.float32)
    found = promise(initializers.Ones(), target([1000]))
    assert Judge(1)(found, summarize(ones)).verdict == "ok"
    ones[500] = np.nextafter(np.float32(1), np.float32(2))
    assert Judge(1)(found, summarize(ones)).problems == ("a value of 1.00000012, expected 1 alone",)


def test_orthogonal_matrices_have_their_norm():
    values = initializers.Orthogonal(seed=1)((64, 32)).reshape(-1)
    found = promise(initializers.Orthogonal(), target([64, 32]))
    assert Judge(1)(found, summarize(values)).verdict == "ok"
    values[3] += 0.01
    assert "root mean square" in Judge(1)(found, summarize(values)).problems[0]


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_of_a_billion_values_rounding_is_known(name):
    # Counts in exact proportion: what chance would add to the moments of a billion is its error.
    law, dtype, n = TruncatedNormal(0.0, 0.02), DTYPES[name], 10**9
    own = rounded(law, dtype)
    counts = np.rint(n * np.diff(own.until(own.values), prepend=0.0)).astype(np.int64)
    patterns = own.values.astype(dtype).view(f"u{dtype.itemsize}").astype(np.int32)
    kept = counts > 0
    summary = Summary.of(Moments(), dtype, 0.0, patterns[kept], counts[kept])
    made = initializers.TruncatedNormal(0.0, 0.02)
    judgement = Judge(1)(promise(made, target([n], name)), summary)
    assert judgement.problems == ()
    assert abs(judgement.z_mean) < 0.1
    assert abs(judgement.z_stddev) < 0.1
    # As draws that nobody rounded they would be off, but for bfloat16.
    unrounded = Judge(1)(promise(made, target([n], "float64")), summary)
    assert (abs(unrounded.z_stddev) > 5) == (name != "bfloat16")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float8_e4m3fn"])
@pytest.mark.parametrize("count", [3, 100, 1000])
@pytest.mark.parametrize("name", MAKERS)
def test_false_alarms_are_as_rare_as_stated(monkeypatch, name, count, dtype):
    # One test in a hundred may fail, so of the four of a tensor up to four: often enough to count.
    monkeypatch.setattr(_expected._judging, "FALSE_ALARMS", 0.04)
    found, judge, trials = promise(MAKERS[name], target([count], dtype)), Judge(1), 500
    alarms = 0
    law = MAKERS[name].law(target([count]))
    values = values_of(law, dtype, trials * count, seed=count).reshape(trials, count)
    for row in values:
        alarms += judge(found, summarize(row)).verdict == "off"
    assert alarms <= 0.04 * trials + 4 * math.sqrt(0.04 * trials)


def test_a_checkpoint_is_called_off_as_rarely_as_stated():
    # Of a thousand checkpoints of ten tensors one may be.
    alarms, tensors, count = 0, 10, 128
    found, judge = promise(MAKERS["normal"], target([count])), Judge(tensors)
    values = values_of(MAKERS["normal"].law(target([1])), "float32", 1000 * tensors * count, seed=5)
    for checkpoint in values.reshape(1000, tensors, count):
        alarms += any(judge(found, summarize(row)).verdict == "off" for row in checkpoint)
    assert alarms <= 1 + 4 * math.sqrt(1)


@pytest.mark.parametrize("stddev", [0.05, 0.02, 1e-4, 2e-6, 1e-8])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_false_alarms_where_many_values_are_zero(monkeypatch, dtype, stddev):
    # Half of what is rounded to zero has a sign; with this many values each step of a dtype counts.
    monkeypatch.setattr(_expected._judging, "FALSE_ALARMS", 0.04)
    trials, count = 20, 200_000
    made = initializers.RandomNormal(0.0, stddev)
    found, judge = promise(made, target([count], dtype)), Judge(1)
    values = values_of(made.law(target([count])), dtype, trials * count).reshape(trials, count)
    alarms = sum(judge(found, summarize(row)).verdict == "off" for row in values)
    assert alarms <= 0.04 * trials + 4 * math.sqrt(0.04 * trials)


@pytest.mark.parametrize(
    ("mean", "stddev", "dtype"),
    [
        (1.0, 0.01, "float8_e5m2"),
        (1.0, 0.02, "float8_e5m2"),
        (-1.0, 0.02, "float8_e4m3fn"),
        (0.97, 0.02, "float8_e4m3fn"),
        (0.0, 1e-4, "float8_e4m3fn"),
        (100.0, 0.3, "bfloat16"),
    ],
)
def test_false_alarms_where_a_dtype_has_few_values_in_reach(monkeypatch, mean, stddev, dtype):
    monkeypatch.setattr(_expected._judging, "FALSE_ALARMS", 0.04)
    trials, count = 1000, 3
    made = initializers.RandomNormal(mean, stddev)
    found, judge = promise(made, target([count], dtype)), Judge(1)
    values = values_of(made.law(target([count])), dtype, trials * count).reshape(trials, count)
    alarms = sum(judge(found, summarize(row)).verdict == "off" for row in values)
    assert alarms <= 0.04 * trials + 4 * math.sqrt(0.04 * trials)


@pytest.mark.parametrize(
    ("dtype", "stddev"),
    [
        *(("float64", stddev) for stddev in (1e300, 1e160, 1e80, 1e39, 1e-45, 1e-160, 1e-300)),
        *(("float32", stddev) for stddev in (1e37, 1e-37, 1e-40, 1e-43)),
    ],
)
@pytest.mark.parametrize("mean", [0, 10])
def test_the_ends_of_a_range(dtype, stddev, mean):
    made = initializers.RandomNormal(mean * stddev, stddev, seed=1)
    values, wanted = made([20_000], dtype=dtype), target([20_000], dtype)
    summary = summarize(values, center_of(values[:4096]))
    assert Judge(1)(promise(made, wanted), summary).problems == ()
    judgement = Judge(1)(promise(initializers.RandomNormal(0.0, 3 * stddev), wanted), summary)
    assert judgement.verdict == "off"
    json.dumps(dataclasses.asdict(judgement), allow_nan=False)


def test_a_width_that_nothing_can_be_divided_by():
    found = rounded(Uniform(-1e-315, 1e-315), DTYPES["float64"])
    assert found.until(np.array([-0.5, 0.0, 0.5])).tolist() == [0, 0.5, 1]


def test_constants_that_have_no_stddev():
    made = initializers.Constant(np.array([1e200, -1e200]))
    values = made([100, 2], dtype="float64").reshape(-1)
    found = promise(made, target([100, 2], "float64"))
    assert (found.expected.stddev, found.expected.high) == (None, 1e200)
    assert Judge(1)(found, summarize(values)).problems == ()


def test_how_far_a_value_is_from_the_mean():
    # Around 1, this dtype has the steps 1/8 below and 1/4 above.
    found = rounded(Normal(1.0, 0.05), DTYPES["float8_e5m2"])
    distances = [found.distance(x) for x in (0.75, 0.875, 1.0, 1.25, 1.5)]
    assert distances == pytest.approx([3.75, 1.25, 0, 2.5, 7.5])
    found = rounded(Normal(0.9, 0.05), DTYPES["float8_e5m2"])
    assert [found.distance(x) for x in (0.875, 1.0)] == pytest.approx([0, 0.75])


def test_a_distribution_that_a_dtype_has_one_value_for():
    made = initializers.RandomNormal(100.0, 0.001, seed=1)
    values = made([64, 96], dtype="float8_e4m3fn").reshape(-1)
    found = promise(made, target([64, 96], "float8_e4m3fn"))
    assert Judge(1)(found, summarize(values)).problems == ()


def test_values_on_the_edges_of_a_histogram_are_expected_where_they_are_counted():
    made = initializers.RandomNormal(seed=1)
    values = made([64, 96], dtype="float8_e4m3fn").reshape(-1)
    summary, wanted = summarize(values), promise(made, target([64, 96], "float8_e4m3fn"))
    found = histogram(summary, summary.quantiles(QUANTILES), wanted)
    limits = parts(len(found.counts), found.low, found.high)
    counts, _ = np.histogram(values.astype(np.float64), bins=limits)
    np.testing.assert_array_equal(found.counts, counts)
    errors = np.sqrt(np.asarray(found.expected) + 1)
    assert (np.abs(np.asarray(found.counts) - found.expected) < 5 * errors).all()
