"""The normal between any bounds: what it accepts, which transform makes it, and its support."""

import json
import math
import sys

import mpmath as mp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from initlib import initializers
from initlib._dtypes import DTYPES, FLOATS
from initlib._errors import RequestError
from initlib._stream import Normal, Stream, Truncated, TruncatedNormal, Uniform, _tails
from initlib._stream._ratios import RATIOS_64, WINDOWS

INF = math.inf
HUGE = sys.float_info.max
STREAM = Stream.seeded(0)


def values_of(law, dtype, count=4096):
    out = np.empty(count, FLOATS[dtype])
    law.fill(out, 0, STREAM)
    return out.astype(np.float64)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ((math.nan, 1, 0, 1), "expected a finite mean, received nan"),
        ((0, INF, 0, 1), "expected a finite stddev, received inf"),
        ((0, -1, 0, 1), "expected a stddev of 0 or more, received -1"),
        ((0, 1, 2, 1), "expected bounds with numbers between them, received [2, 1]"),
        ((0, 1, math.nan, 1), "expected bounds with numbers between them, received [nan, 1]"),
        ((0, 1, 0, math.nan), "expected bounds with numbers between them, received [0, nan]"),
        ((0, 1, INF, INF), "expected bounds with numbers between them, received [inf, inf]"),
        ((0, 1, -INF, -INF), "expected bounds with numbers between them, received [-inf, -inf]"),
        ((0, 0, 1, 2), "with a stddev of 0 all is 0, outside [1, 2]"),
        (
            (0, 0.5, 700.5, 800),
            "expected bounds that begin within 1400 stddev of the mean, received [700.5, 800] "
            "with a mean of 0 and a stddev of 0.5",
        ),
        (
            (0, 1e-300, -INF, -1e300),
            "expected bounds that begin within 1400 stddev of the mean, received [-inf, -1e+300] "
            "with a mean of 0 and a stddev of 1e-300",
        ),
    ],
)
def test_wrong_parameters(parameters, message):
    with pytest.raises(RequestError) as caught:
        Truncated(*parameters)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("law", "dtype", "message"),
    [
        (Truncated(0, 1, 0, INF), "int32", "need a floating-point dtype, received int32"),
        (Truncated(0, 1, 4.5, 4.75), "float8_e5m2", "no float8_e5m2 value lies inside Truncated("),
        (Truncated(0, 0, 0, 1e-9), "float8_e5m2", None),
        (Truncated(0.3, 0, 0.3, 0.31), "float8_e5m2", "no float8_e5m2 value lies inside"),
        (Truncated(0, 1e4, -1, INF), "float16", "reaches 70000, beyond the largest float16"),
        (Truncated(0, 1e5, -1, 7e4), "float16", "reaches 70000, beyond the largest float16"),
        (Truncated(0, 1e4, -INF, 6e4), "float16", "reaches 70000, beyond the largest float16"),
        (Truncated(HUGE, HUGE, 0, INF), "float64", "reaches inf, beyond the largest float64"),
        (Truncated(-1e308, 1e307, -INF, 0), "float64", "reaches inf, beyond the largest float64"),
        # No draw comes near these bounds.
        (Truncated(0, 1, -1e9, 1e300), "float16", None),
        (Truncated(0, 1, 0.5, 1e300), "float16", None),
        (Truncated(60000, 100, 60000, HUGE), "float16", None),
    ],
)
def test_what_a_dtype_cannot_hold(law, dtype, message):
    if message is None:
        law.check(DTYPES[dtype])
        assert np.isfinite(values_of(law, dtype)).all()
        return
    with pytest.raises(RequestError) as caught:
        law.check(DTYPES[dtype])
    assert message in str(caught.value)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("law", "other"),
    [
        (Truncated(0, 0.02, -0.04, 0.04), TruncatedNormal(0, 0.02)),
        (Truncated(0.5, 0.25, 0, 1), TruncatedNormal(0.5, 0.25)),
        (Truncated(0, 0.02, -2, 2), Normal(0, 0.02)),
        (Truncated(0, 0.02, -INF, INF), Normal(0, 0.02)),
        (Truncated(1, 0.02, -3, INF), Normal(1, 0.02)),
        (Truncated(3, 2, 0.5, 0.5), TruncatedNormal(0.5, 0)),
        (Truncated(0.5, 0, -1, 1), TruncatedNormal(0.5, 0)),
    ],
)
def test_other_laws_make_what_they_can(law, other, dtype):
    assert values_of(law, dtype).tobytes() == values_of(other, dtype).tobytes()


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_flat_density_is_uniform_but_closed(dtype):
    law, other = Truncated(0, 1e12, -1, 2), Uniform(-1, 2)
    values, uniform = values_of(law, dtype), values_of(other, dtype)
    # The open end is all that differs: in narrow dtypes some are rounded up to it.
    assert np.array_equal(values[values < 2], uniform[values < 2])
    assert (values == 2).any() == (DTYPES[dtype].itemsize <= 2)
    # Where nothing but the end is a value of the dtype.
    assert set(values_of(Truncated(0, 1e12, 1.99999999, 2), dtype)) <= {2.0} or dtype == "float64"


@pytest.mark.parametrize("bits", [32, 53])
def test_one_more_step_and_it_is_not_the_normal(bits):
    dtype, reach = ("float64", 9) if bits == 53 else ("float32", 7)
    assert Truncated(0, 1, -reach, reach).recipe(DTYPES[dtype])[0] == "normal"
    inside = np.nextafter(DTYPES[dtype].type(reach), DTYPES[dtype].type(0))
    assert Truncated(0, 1, -reach, float(inside)).recipe(DTYPES[dtype])[0] == "inverse"
    # Adding a mean that is rounded may not take values out of the bounds.
    coarse = Truncated(1e8 + 3, 1, 1e8 - 5, 1e8 + 11)
    values = values_of(coarse, "float32")
    assert values.min() >= 1e8 - 5
    assert values.max() <= 1e8 + 11


def test_constants_stay_inside():
    # 0.1 is rounded down in float16, and outside.
    assert float(np.float16(0.1)) < 0.1 < values_of(Truncated(0.1, 0, 0.1, 1), "float16").min()
    assert set(values_of(Truncated(5, 1, 0.1, 0.1), "float16")) == {float(np.float16(0.1))}


def test_a_draw_that_all_dtypes_share():
    law = Truncated(0, 1, -1, 3)
    wide = values_of(law, "float32")
    for dtype in ("float16", "bfloat16"):
        np.testing.assert_array_equal(wide.astype(FLOATS[dtype]), values_of(law, dtype))


@pytest.mark.parametrize("dtype", FLOATS)
@given(
    mean=st.floats(-100, 100),
    stddev=st.floats(1e-6, 1e3),
    low=st.one_of(st.just(-INF), st.floats(-100, 100)),
    width=st.one_of(st.just(INF), st.floats(1e-3, 100)),
)
def test_nothing_is_outside(dtype, mean, stddev, low, width):
    high = INF if width == INF else (0.0 if low == -INF else low) + width
    try:
        law = Truncated(mean, stddev, low, high)
        law.check(DTYPES[dtype])
    except RequestError:
        assume(False)
    values = values_of(law, dtype, 64)
    assert low <= values.min()
    assert values.max() <= high
    assert np.isfinite(values).all()


@pytest.mark.parametrize("z", ["0", "0.001", "1", "5", "11.99", "12", "30", "1400"])
def test_tails(z):
    exact = mp.mpf(z)
    with mp.workdps(120), _tails.decimal.localcontext(_tails._CONTEXT):
        found = mp.mpf(str(_tails.beyond(_tails.Fraction(z))))
        wanted = mp.erfc(mp.mpf(z) / mp.sqrt(2))
        # Of 20 digits that narrow bounds cancel 17 are needed.
        assert abs(found / wanted - 1) < mp.mpf(10) ** -70, exact


@pytest.mark.parametrize("w", [0.0, *WINDOWS, 1e-3, 1.4999, 100.0, 5000.0, 980_000.0])
def test_polynomials_have_no_terms_that_cancel(w):
    slope, coefficients = _tails._rise(w, RATIOS_64)
    assert 1.5 < slope < 2
    assert min(coefficients) > 0
    assert coefficients[-1] == 1


def test_what_laws_compute_with_is_not_written_to():
    (numbers,) = Truncated(0, 1, -1, 3).recipe(DTYPES["float32"])[1]
    with pytest.raises(ValueError, match="read-only"):
        numbers[0] = 1


@pytest.mark.parametrize(
    ("bounds", "written"),
    [((-1, 2), (-1.0, 2.0)), ((None, 2), (None, 2.0)), ((-INF, INF), (None, None))],
)
def test_configs_are_json_also_without_bounds(bounds, written):
    made = initializers.TruncNormal(0.5, 2, *bounds, seed=3)
    config = json.loads(json.dumps(initializers.serialize(made), allow_nan=False))
    assert (config["config"]["a"], config["config"]["b"]) == written
    again = initializers.get(config)
    assert (again.a, again.b) == (made.a, made.b)
    np.testing.assert_array_equal(again((5, 7)), made((5, 7)))


def test_defaults_are_torch_s():
    made = initializers.get("trunc_normal_")
    assert (made.mean, made.std, made.a, made.b) == (0, 1, -2, 2)
    truncated = initializers.TruncatedNormal(0, 1, seed=1)
    assert np.array_equal(initializers.TruncNormal(seed=1)((9, 9)), truncated((9, 9)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mean": "0"}, "expected a number for mean, received '0'"),
        ({"std": None}, "expected a number for std, received None"),
        ({"a": "x"}, "expected a number for a, received 'x'"),
        ({"a": 3}, "expected bounds with numbers between them, received [3.0, 2.0]"),
        ({"std": 1e-4, "a": 1}, "expected bounds that begin within 1400 stddev of the mean"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(RequestError) as caught:
        initializers.TruncNormal(**arguments)
    assert str(caught.value).startswith(message)
