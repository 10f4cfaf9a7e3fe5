"""Figures of values: all dtypes, what is not finite, what has no figure, and who computes them."""

import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import ml_dtypes
import numpy as np
import pytest
import scipy.stats

from initlib._dtypes import DTYPES, FLOATS
from initlib._moments import Moments, Tally, _engine, center_of, summarize

EPS = 2.0**-52
WIDE = ("float64", "float32", "int32", "int64", "uint32", "uint64")
SHARES = (0, 0.001, 0.05, 0.25, 1 / 3, 0.5, 0.75, 0.999, 1)


@pytest.fixture(params=["kernels", "reference"])
def by(request, monkeypatch):
    monkeypatch.setattr(_engine._kernels, "job", 1 << 60 if request.param == "kernels" else 0)


def drawn(dtype, count, scale=20.0, seed=0):
    """Draws of a normal distribution; of an unsigned or boolean dtype, their sizes."""
    values = np.random.default_rng(seed).normal(0, scale, count)
    return (values if dtype in FLOATS or dtype[0] == "i" else np.abs(values)).astype(DTYPES[dtype])


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("count", [1, 2, 63, 2048, 2049, 70_001])
@pytest.mark.parametrize("dtype", DTYPES)
def test_figures(dtype, count):
    values = drawn(dtype, count)
    found, exact = summarize(values), values.astype(np.float64)
    assert (found.size, found.finite, found.nan, found.infinite) == (count, count, 0, 0)
    assert (found.min, found.max) == (exact.min(), exact.max())
    assert found.zeros == np.count_nonzero(exact == 0)
    # SciPy's own rounding is the larger part: its sums have a relative error of some log2(n) EPS.
    room = 100 * EPS
    assert found.mean == pytest.approx(exact.mean(), abs=room * 20)
    assert found.stddev == pytest.approx(exact.std(), rel=room)
    assert found.l2 == pytest.approx(np.linalg.norm(exact), rel=room)
    if exact.min() == exact.max():
        assert (found.stddev, found.skewness, found.kurtosis) == (0, None, None)
    else:
        # A standardised fourth moment is the scale of the rounding errors in both.
        kurtosis = scipy.stats.kurtosis(exact)
        assert found.skewness == pytest.approx(scipy.stats.skew(exact), abs=room * (kurtosis + 4))
        assert found.kurtosis == pytest.approx(kurtosis, abs=room * (kurtosis + 4))


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("dtype", DTYPES)
def test_no_values(dtype):
    found = summarize(np.empty(0, DTYPES[dtype]))
    assert (found.size, found.finite, found.zeros) == (0, 0, 0)
    assert (found.min, found.max, math.isnan(found.mean)) == (math.inf, -math.inf, True)
    assert [found.stddev, found.skewness, found.kurtosis, found.l2] == [None] * 4
    assert found.quantiles((0.5,)) is None
    assert [len(part) for part in found.cells] == [0, 0, 0]
    counts, below, above = found.histogram(3, 0.0, 1.0)
    assert (counts.tolist(), below, above) == ([0, 0, 0], 0, 0)


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("dtype", [name for name in FLOATS if name != "float8_e4m3fn"])
@pytest.mark.parametrize("count", [8, 5000])
def test_what_is_not_finite_is_counted_apart(dtype, count):
    values = drawn(dtype, count, 1.0)
    values[[0, 3]], values[1], values[[4, 5]] = np.nan, np.inf, -np.inf
    found, finite = summarize(values), values[np.isfinite(values)].astype(np.float64)
    assert (found.size, found.nan, found.infinite, found.finite) == (count, 2, 3, count - 5)
    assert (found.min, found.max) == (finite.min(), finite.max())
    assert found.mean == pytest.approx(finite.mean(), abs=100 * EPS)
    assert found.stddev == pytest.approx(finite.std(), rel=100 * EPS)
    assert found.cells[2].sum() == count - 5


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("dtype", FLOATS)
def test_nothing_but_nan(dtype):
    found = summarize(np.full(3000, np.nan, DTYPES[dtype]))
    assert (found.size, found.nan, found.finite, found.stddev) == (3000, 3000, 0, None)
    assert found.quantiles((0.5,)) is None


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("dtype", FLOATS)
def test_zeros_have_no_sign(dtype):
    values = np.array([0.0, -0.0, -0.0] * 1000, DTYPES[dtype])
    found = summarize(values)
    figures = (found.min, found.max, found.mean, found.l2, *found.quantiles((0.1, 0.9)))
    assert (found.zeros, found.stddev) == (3000, 0)
    assert [str(x) for x in figures] == ["0.0"] * 6


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("count", [10, 5000])
@pytest.mark.parametrize("dtype", [name for name in DTYPES if name not in WIDE])
def test_equal_values_are_counted_together(dtype, count):
    values = drawn(dtype, count, 0.01 if dtype in FLOATS else 20.0)
    values[:4] = np.array([0.0, -0.0, 0.0, -0.0]).astype(DTYPES[dtype])
    lows, highs, counts = summarize(values).cells
    exact = np.unique(values.astype(np.float64), return_counts=True)
    assert (lows.tolist(), highs.tolist()) == (exact[0].tolist(), exact[0].tolist())
    assert counts.tolist() == exact[1].tolist()


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("value", [0.1, -3.0, 1e-44, 3e38])
def test_equal_values_have_no_spread(value):
    found = summarize(np.full(5000, value, np.float32))
    exact = float(np.float32(value))
    assert (found.mean, found.stddev, found.skewness, found.kurtosis) == (exact, 0, None, None)
    assert found.quantiles((0, 0.5, 1)) == (exact,) * 3


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("start", [0, 3000])
def test_a_small_spread_far_from_zero(start):
    """Of 1e8 and noise of 1e-3 all moments are right, even if the tensor begins with zeros."""
    noise = np.random.default_rng(1).normal(0, 1e-3, 100_000)
    values = np.concatenate([np.zeros(start), 1e8 + noise])
    tally = Tally(values.dtype, 1e8)
    for i in range(0, values.size, 7000):
        tally.add(values[i : i + 7000], i)
    found = tally.summary()
    exact = np.longdouble(values)
    if start == 0:
        # Exact, and without it the mean itself would lack digits even here.
        exact -= np.longdouble(10) ** 8
    d = exact - exact.mean()
    stddev = np.sqrt((d**2).mean())
    assert found.stddev == pytest.approx(float(stddev), rel=1e-12)
    assert found.skewness == pytest.approx(float((d**3).mean() / stddev**3), abs=1e-11)
    assert found.kurtosis == pytest.approx(float((d**4).mean() / stddev**4 - 3), rel=1e-11)


@pytest.mark.usefixtures("by")
def test_the_largest_float32():
    values = np.array([3.4e38, -3.4e38] * 4000, np.float32)
    found = summarize(values)
    top = float(values[0])
    assert (found.mean, found.stddev, found.skewness) == (0, pytest.approx(top, rel=EPS), 0)
    assert found.kurtosis == pytest.approx(-2, abs=100 * EPS)
    assert found.l2 == pytest.approx(top * math.sqrt(8000), rel=100 * EPS)


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("scale", [1e300, 1e-200, 1e-320])
def test_what_float64_cannot_hold_is_none(scale):
    found = summarize(np.array([1.0, -1.0, 2.0] * 1000) * scale)
    assert [found.stddev, found.skewness, found.kurtosis, found.l2] == [None] * 4
    assert (found.min, found.max) == (-scale, 2 * scale)
    assert found.quantiles((0.1, 0.9)) is None
    assert found.quantiles((0, 1)) == (-scale, 2 * scale)


@pytest.mark.usefixtures("by")
def test_a_quantile_that_is_not_known_is_none():
    # Values on both sides of those that cells tell apart.
    found = summarize(np.array([-1e-3, 1e-60, 1e-50, 0.5, 1e150, 1e160] * 100))
    for share, value in [(0, -1e-3), (0.1, -1e-3), (0.6, 0.5), (1, 1e160)]:
        assert found.quantiles((share,)) == (pytest.approx(value, rel=1 / 512),)
    for share in (0.3, 0.45, 0.75, 0.9):
        assert found.quantiles((0.1, share)) is None


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("scale", [1e-44, 1e-42, 1e-37, 1e-10, 1e36])
@pytest.mark.parametrize("mean", [0, 50])
def test_quantiles_of_all_that_float32_has(scale, mean):
    values = np.random.default_rng(2).normal(mean * scale, scale, 50_000).astype(np.float32)
    center = center_of(values[:4096])
    exact = np.quantile(values.astype(np.float64), SHARES, method="inverted_cdf")
    found = summarize(values, center).quantiles(SHARES)
    assert (np.abs(np.array(found) - exact) <= np.abs(exact - center) / 512 + 1e-60).all()


@pytest.mark.usefixtures("by")
def test_zeros_are_zeros_beside_small_and_large_values():
    values = np.array([0.0, -0.0, 1e-44, -1e-44, 3e38] * 1000, np.float32)
    found = summarize(values)
    assert found.quantiles((0.3, 0.5, 0.7)) == (0, 0, pytest.approx(1e-44, rel=0.03))


@pytest.mark.usefixtures("by")
def test_sums_that_float64_cannot_hold():
    found = summarize(np.array([1.7e308, 1.7e308, -1.7e308] * 1000))
    assert [found.stddev, found.skewness, found.kurtosis, found.l2] == [None] * 4
    assert not math.isfinite(found.mean)
    assert (found.min, found.max, found.nan, found.infinite) == (-1.7e308, 1.7e308, 0, 0)
    counts, below, above = found.histogram(2, -1.7e308, 1.7e308)
    assert (counts.sum(), below, above) == (3000, 0, 0)


def test_some_powers_that_float64_cannot_hold():
    found = summarize(np.array([1.0, -1.0, 3.0] * 10) * 1e110)
    assert (found.skewness, found.kurtosis) == (None, None)
    assert found.stddev == pytest.approx(1e110 * math.sqrt(8 / 3), rel=100 * EPS)


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_extremes_have_all_their_digits(dtype):
    info = np.iinfo(dtype)
    found = summarize(np.array([info.min, 1, info.max - 1] * 1000, dtype))
    assert (found.min, found.max) == (info.min, info.max - 1)
    assert type(found.min) is int


def test_booleans_of_a_damaged_file():
    found = summarize(np.array([0, 1, 2, 255], np.uint8).view(np.bool_))
    assert (found.min, found.max, found.mean, found.zeros) == (0, 1, 0.75, 1)
    assert found.counts.tolist() == [1, 3]


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("count", [1, 10, 3000, 20_000])
@pytest.mark.parametrize("dtype", [name for name in DTYPES if name not in WIDE])
def test_quantiles_of_narrow_dtypes_are_exact(dtype, count):
    values = drawn(dtype, count)
    exact = np.quantile(values.astype(np.float64), SHARES, method="inverted_cdf")
    assert summarize(values).quantiles(SHARES) == tuple(exact)


@pytest.mark.parametrize("dtype", WIDE[2:])
def test_small_whole_numbers_have_exact_quantiles(dtype):
    values = drawn(dtype, 3000, 100)
    exact = np.quantile(values, SHARES, method="inverted_cdf")
    assert summarize(values).quantiles(SHARES) == tuple(exact)


@pytest.mark.parametrize("mean", [0.0, 1.0, -1e6])
def test_quantiles_lie_in_the_cell_of_the_exact_one(mean):
    values = np.random.default_rng(2).normal(mean, 0.02, 50_000)
    center = center_of(values[:4096])
    exact = np.quantile(values, SHARES, method="inverted_cdf")
    room = np.abs(exact - center) / 512 + 4 * EPS * abs(mean)
    assert (np.abs(np.array(summarize(values, center).quantiles(SHARES)) - exact) <= room).all()


def test_cells_ascend_and_hold_their_values():
    values = np.concatenate([drawn("float32", 5000, 1e-3), [0, 0, 1e-40, -1e38]]).astype("f4")
    lows, highs, counts = summarize(values).cells
    assert (lows <= highs).all()
    assert (highs[:-1] <= lows[1:]).all()
    inside = np.searchsorted(np.sort(values), highs, "right")
    # A value that is a cell's end may belong to the next one.
    assert (np.abs(inside - np.cumsum(counts)) <= (np.isin(highs, values) * 2)).all()
    assert counts.sum() == values.size


@pytest.mark.parametrize("dtype", ["bfloat16", "int8", "float8_e5m2"])
def test_histograms_of_narrow_dtypes_are_exact(dtype):
    values = drawn(dtype, 20_000)
    counts, below, above = summarize(values).histogram(7, -30.0, 31.0)
    exact = values.astype(np.float64)
    assert counts.tolist() == np.histogram(exact, 7, (-30, 31))[0].tolist()
    assert (below, above) == ((exact < -30).sum(), (exact > 31).sum())


def test_histograms_share_out_what_was_counted_together():
    values = drawn("float32", 100_000, 1.0)
    counts, below, above = summarize(values).histogram(20, -2.0, 2.5)
    assert counts.sum() + below + above == pytest.approx(100_000, abs=1e-6)
    exact = np.histogram(values, 20, (-2, 2.5))[0]
    # Both edges of a bin may cut a cell, which holds 1/512 of its distance times the density.
    assert np.abs(counts - exact).max() <= 2 * 100_000 * 0.4 * 2.5 / 512


def test_both_ends_of_a_histogram_belong_to_it():
    counts, below, above = summarize(np.array([1, 2, 3, 4, 5], np.int32)).histogram(3, 2.0, 4.0)
    assert (counts.tolist(), below, above) == ([1, 1, 1], 1, 1)


@pytest.mark.parametrize("ends", [(1.0, 1.0), (2.0, 1.0), (math.nan, 1.0)])
def test_a_histogram_of_no_width(ends):
    with pytest.raises(ValueError, match="expected low < high, got "):
        summarize(np.ones(3)).histogram(2, *ends)


@pytest.mark.parametrize(
    ("values", "center"),
    [
        (np.random.default_rng(3).normal(0, 0.02, 4096), 0.0),
        (np.random.default_rng(3).uniform(0, 1, 4096), 0.0),
        (np.zeros(100), 0.0),
        (np.ones(100), 1.0),
        (np.array([np.nan, np.inf, 5.0, 5.0, 5.1]), 5.0),
        (np.array([np.nan]), 0.0),
        (np.empty(0), 0.0),
        (np.array([1.7e308, -1.7e308]), 0.0),
        (np.array([1000, 1001, 1002], np.int64), 1001.0),
        (np.ones(100, ml_dtypes.bfloat16), 0.0),
        (np.ones(100, np.int8), 0.0),
    ],
)
def test_centers(values, center):
    assert center_of(values) == center


def test_summaries_of_different_tensors_do_not_merge():
    ones = np.ones(3)
    with pytest.raises(ValueError, match="one dtype around one center"):
        summarize(ones, 1.0).merge(summarize(ones))
    with pytest.raises(ValueError, match="one dtype around one center"):
        summarize(ones).merge(summarize(np.ones(3, np.float32)))


def test_moments_of_different_tensors_join():
    a, b = drawn("bfloat16", 3000), drawn("float64", 5000, 3.0)
    joined = summarize(a).join(summarize(b)).join(Moments())
    both = np.concatenate([a.astype(np.float64), b])
    assert (joined.size, joined.min, joined.max) == (8000, both.min(), both.max())
    assert joined.stddev == pytest.approx(both.std(), rel=100 * EPS)
    assert joined.kurtosis == pytest.approx(scipy.stats.kurtosis(both), abs=1e-12)


def outcome(summary):
    """All of a summary that can differ, to the last bit."""
    figures = [getattr(summary, name) for name in Moments.__slots__]
    return repr(figures), summary.counted.tobytes(), summary.counts.tobytes()


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float8_e4m3fn", "int64"])
def test_threads_make_no_difference(dtype):
    values = drawn(dtype, 300_000)
    pieces = list(enumerate(np.array_split(values, 37)))
    alone, together = Tally(values.dtype), Tally(values.dtype)
    for index, piece in pieces:
        alone.add(piece, index)
    with ThreadPoolExecutor(4) as executor:
        list(executor.map(lambda pair: together.add(pair[1], pair[0]), reversed(pieces)))
    assert outcome(alone.summary()) == outcome(together.summary())


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_counts_beyond_a_table(dtype, monkeypatch):
    values = drawn(dtype, 60_000)
    expected = summarize(values)
    monkeypatch.setattr(_engine, "FULL", 25_000)
    tally = Tally(values.dtype)
    for index, piece in enumerate(np.array_split(values, 6)):
        tally.add(piece, index)
    found = tally.summary()
    assert found.counted.tobytes() == expected.counted.tobytes()
    assert found.counts.tobytes() == expected.counts.tobytes()


def test_tables_are_clean_when_they_are_used_again():
    for count in (20_000, 0, 10_000):
        for dtype in ("float32", "bfloat16", "int8"):
            assert summarize(drawn(dtype, count)).counts.sum() == count
    assert not any(table.any() for table in _engine._tables)


def test_small_jobs_do_without_numba():
    program = (
        "import sys, numpy as np; from initlib import _moments; _moments.prepare(1000);"
        "_moments.summarize(np.ones(1000)); print(*sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"llvmlite", "numba", "scipy"}.isdisjoint(run.stdout.split())
