"""Figures are those of exact arithmetic, however values are split and whoever computes them."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from initlib._dtypes import DTYPES
from initlib._moments import Moments, Tally, _engine, center_of, summarize

EPS = 2.0**-52
WIDE = ("float64", "float32", "int32", "int64", "uint32", "uint64")
CENTERS = st.one_of(st.just(0.0), st.floats(-1e6, 1e6))
SHARES = st.lists(st.floats(0, 1), min_size=1, max_size=5)
# Relative errors of a sum over 2048 / 64 places of a lane and 6 pairs, of the terms in it, and of
# combining a block with those before it; generously, but a wrong digit before the twelfth shows.
ROOM = 256 * EPS


@st.composite
def arrays(draw, dtype, most=6000):
    """Draws of a distribution, or any bit patterns at all, some of them repeated."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.one_of(st.integers(0, 5), st.integers(0, most)))
    kind = draw(st.sampled_from(["normal", "patterns", "few"]))
    if kind == "normal":
        mean, scale = draw(st.sampled_from([(0, 1), (100, 1), (1e6, 1e-2), (0, 1e-30)]))
        values = rng.normal(mean, scale, count)
        return as_dtype(values, dtype)
    values = rng.integers(0, 256, count * DTYPES[dtype].itemsize, np.uint8).view(DTYPES[dtype])
    if kind == "few" and count:
        values = values[rng.integers(0, min(count, 3), count)]
    return values


def as_dtype(values, dtype):
    """Cast as far as the dtype goes."""
    if DTYPES[dtype].kind in "iu":
        info = np.iinfo(dtype)
        values = np.clip(values, float(info.min), float(info.max) * (1 - EPS))
    with np.errstate(over="ignore"):
        return values.astype(DTYPES[dtype])


def outcome(summary):
    """All of a summary that can differ, to the last bit."""
    figures = [getattr(summary, name) for name in Moments.__slots__]
    return repr(figures), summary.counted.tobytes(), summary.counts.tobytes()


def test_there_are_kernels(monkeypatch):
    """Or else the reference would be held against itself."""
    monkeypatch.setattr(_engine._kernels, "job", 1 << 60)
    for dtype in DTYPES.values():
        assert _engine._kernels.get(_engine.kernel(dtype)) is not None


def computed(by, values, center, few=0):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_engine._kernels, "job", 1 << 60 if by == "kernels" else 0)
        patch.setattr(_engine, "FEW", few)
        return outcome(summarize(values, center))


@pytest.mark.parametrize("dtype", DTYPES)
def test_kernel_equals_reference(dtype):
    @settings(max_examples=60)
    @given(arrays(dtype), CENTERS)
    @example(as_dtype(np.array([1.7e308, -1e308, -1e308] * 9), dtype), 0.0)
    def check(values, center):
        by_kernel = computed("kernels", values, center)
        assert by_kernel == computed("reference", values, center)
        assert by_kernel == computed("reference", values, center, few=1 << 13)

    check()


@pytest.mark.parametrize("dtype", WIDE)
def test_long_runs_are_equal(dtype):
    rng = np.random.default_rng(5)
    values = as_dtype(rng.normal(3, 40, 300_001), dtype)
    assert computed("kernels", values, 3.0) == computed("reference", values, 3.0)
    if DTYPES[dtype].kind == "f":
        values[rng.integers(0, values.size, 20)] = np.nan
        values[70_000:75_000] = -np.inf
        assert computed("kernels", values, 3.0) == computed("reference", values, 3.0)


def exact(values):
    """Mean and central powers of values, as fractions."""
    numbers = [Fraction(x) for x in values.tolist()]
    mean = sum(numbers, Fraction()) / len(numbers)
    return mean, *(sum(((x - mean) ** k for x in numbers), Fraction()) for k in (2, 3, 4))


def assert_moments(found, values):
    """Compare with exact arithmetic.

    Cubes are compared on the scale of sqrt(m2 m4), the most that they can be, and the mean on that
    of the spread, but for its own last digit.
    """
    mean, m2, m3, m4 = exact(values)
    assert abs(Fraction(found.mean) - mean) <= EPS * abs(mean) + ROOM * Fraction(
        math.sqrt(float(m2) / values.size)
    )
    assert abs(Fraction(found.m2) - m2) <= ROOM * m2
    assert abs(Fraction(found.m3) - m3) <= ROOM * Fraction(math.sqrt(float(m2) * float(m4)))
    assert abs(Fraction(found.m4) - m4) <= ROOM * m4


@settings(max_examples=100)
@given(
    st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=40),
    st.sampled_from(["float64", "float32"]),
)
@example([1e8, 1e8 + 8, 1e8 + 16], "float32")
@example([1.0, 1.0, 1.0000001192092896], "float32")
@example([0.0] * 30 + [1e30], "float64")
def test_moments_of_few_values(values, dtype):
    # float32's least distances would vanish in their fourth powers, were they not in float64.
    values = np.array(values, dtype)
    assert_moments(summarize(values), values)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mean", [0.0, 3.0, 100.0])
def test_moments_of_blocks(dtype, mean):
    values = as_dtype(np.random.default_rng(6).normal(mean, 2, 9000), dtype)
    assert_moments(summarize(values, mean), values.astype(np.float64))


def test_moments_of_distant_blocks():
    """Each block is near a mean of its own."""
    rng = np.random.default_rng(7)
    values = np.concatenate([rng.normal(mean, 1e-3, 2048) for mean in (0, 1e8, -5, 1e8, 1e3)])
    assert_moments(summarize(values), values)


def assert_near(a, b):
    """Compare moments of the same values, split in different ways."""
    for name in ("size", "nan", "infinite", "zeros", "min", "max"):
        assert getattr(a, name) == getattr(b, name)
    if all(map(math.isfinite, (*a.powers, *b.powers))):
        least = 2.0**-900  # below, digits are lost
        assert abs(a.m2 - b.m2) <= 2 * ROOM * a.m2 + least
        assert abs(a.m3 - b.m3) <= 2 * ROOM * math.sqrt(a.m2) * math.sqrt(a.m4) + least
        assert abs(a.m4 - b.m4) <= 2 * ROOM * a.m4 + least
        spread = math.sqrt(a.m2 / a.finite) if a.finite else 0
        assert a.finite == 0 or abs(a.mean - b.mean) <= EPS * abs(a.mean) + ROOM * spread + least


@pytest.mark.parametrize("dtype", DTYPES)
def test_splits_make_no_difference(dtype):
    @settings(max_examples=40)
    @given(arrays(dtype), CENTERS, st.lists(st.integers(0, 6000), max_size=4), SHARES)
    def check(values, center, cuts, shares):
        whole = summarize(values, center)
        pieces = np.split(values, sorted(min(cut, values.size) for cut in cuts))
        merged, tally = summarize(pieces[0], center), Tally(values.dtype, center)
        for index, piece in enumerate(pieces):
            merged = merged.merge(summarize(piece, center)) if index else merged
            tally.add(piece, index)
        for found in (merged, tally.summary()):
            assert_near(whole, found)
            assert found.counted.tobytes() == whole.counted.tobytes()
            assert found.counts.tobytes() == whole.counts.tobytes()
            assert found.quantiles(shares) == whole.quantiles(shares)
            if dtype not in WIDE:
                assert outcome(found) == outcome(whole)

    check()


@pytest.mark.parametrize("dtype", DTYPES)
def test_quantiles(dtype):
    @settings(max_examples=60)
    @given(arrays(dtype), SHARES)
    def check(values, shares):
        with np.errstate(invalid="ignore"):
            finite = values.astype(np.float64)
        finite = finite[np.isfinite(finite)]
        center = center_of(values[:4096])
        found = summarize(values, center).quantiles(shares)
        if not finite.size:
            assert found is None
            return
        right = np.quantile(finite, shares, method="inverted_cdf")
        with np.errstate(over="ignore"):
            distance = np.abs(right - center)
        if dtype not in WIDE:
            assert found == tuple(right)
            return
        if found is None:
            assert dtype == "float64"
            assert ((distance <= 2.0**-149) | (distance >= 2.0**129)).any()
            return
        # Centers and ends of cells are rounded to float64.
        room = distance / 512 + 4 * EPS * (abs(center) + np.abs(right))
        assert (np.abs(np.array(found) - right) <= room).all()

    check()


@settings(max_examples=100)
@given(
    st.sampled_from((*WIDE[:2], "bfloat16", "int32")).flatmap(arrays),
    st.integers(1, 50),
    st.floats(-100, 100),
    st.floats(0.1, 100),
)
def test_histograms_lose_nothing(values, bins, low, width):
    found = summarize(values)
    counts, below, above = found.histogram(bins, low, low + width)
    assert (counts >= 0).all()
    assert below + counts.sum() + above == pytest.approx(found.finite, rel=ROOM)
