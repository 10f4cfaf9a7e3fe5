"""Numbers into dtypes: exactly for integers, rounded once for floats."""

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from initlib._dtypes import DTYPES, FLOATS, INTEGERS
from initlib._errors import RequestError
from initlib.initializers._rounding import as_numbers, check_values, round_once


@pytest.mark.parametrize(
    "value",
    [1, True, 1.5, 10**30, [1, 2.5], np.float16(2), np.arange(3), ml_dtypes.bfloat16(1)],
)
def test_numbers(value):
    np.testing.assert_array_equal(
        as_numbers(value).astype(np.float64), np.asarray(value, np.float64)
    )


@pytest.mark.parametrize("value", ["1", None, 1j, [1, "a"], [[1], [1, 2]], object(), 10**400])
def test_no_numbers(value):
    with pytest.raises(RequestError, match="expected a number or an array of numbers, received"):
        as_numbers(value)


@pytest.mark.parametrize("dtype", [*INTEGERS, "bool"])
def test_integers_are_held_exactly_or_not_at_all(dtype):
    kind = DTYPES[dtype]
    low, high = (0, 1) if dtype == "bool" else (np.iinfo(kind).min, np.iinfo(kind).max)
    for value in (low, high, 1, 1.0, True, [low, high]):
        check_values(as_numbers(value), kind)
        assert round_once(as_numbers(value), kind).tolist() == value
    for value in (low - 1, high + 1, 0.5, float(high + 1), np.nan, np.inf, [low, high + 1]):
        with pytest.raises(RequestError, match=f"{dtype} can hold .the integers {low} to {high}"):
            check_values(as_numbers(value), kind)


@pytest.mark.parametrize("dtype", FLOATS)
def test_floats_may_round_but_not_overflow(dtype):
    kind = FLOATS[dtype]
    largest = float(ml_dtypes.finfo(kind).max)
    for value in (largest, -largest, 0.1, np.nan, 1 << 8, True):
        check_values(as_numbers(value), kind)
    if dtype != "float8_e4m3fn":
        check_values(as_numbers([np.inf, -np.inf, np.nan]), kind)
    if dtype != "float64":
        with pytest.raises(RequestError, match=f"{dtype} can hold .up to "):
            check_values(as_numbers([1.0, -largest * 1.1]), kind)


def test_a_dtype_without_infinity_refuses_it():
    with pytest.raises(RequestError) as caught:
        check_values(as_numbers(np.inf), FLOATS["float8_e4m3fn"])
    message = "expected values that float8_e4m3fn can hold (up to 448), received inf"
    assert str(caught.value) == message


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_rounding_happens_once(dtype):
    kind = FLOATS[dtype]
    width = np.uint16 if dtype == "bfloat16" else np.uint8
    with np.errstate(invalid="ignore"):
        every = np.arange(np.iinfo(width).max + 1).astype(width).view(kind).astype(np.float64)
    grid = np.unique(every[np.isfinite(every)])
    middles = (grid[:-1] + grid[1:]) / 2
    # Nearer to a middle than float32 can tell: rounding twice would make ties of them.
    tiny = np.abs(middles) * 2.0**-40 + 2.0**-300
    np.testing.assert_array_equal(round_once(middles - tiny, kind).astype(np.float64), grid[:-1])
    np.testing.assert_array_equal(round_once(middles + tiny, kind).astype(np.float64), grid[1:])
    # At the middles themselves the even neighbour wins, as ml_dtypes has it (they are float32s).
    expected = middles.astype(np.float32).astype(kind)
    assert round_once(middles, kind).tobytes() == expected.tobytes()
    assert round_once(grid, kind).astype(np.float64).tolist() == grid.tolist()


def test_the_example_that_rounding_twice_gets_wrong():
    value = 1 + 2.0**-8 + 2.0**-40
    nearest = min((1.0, 1 + 2.0**-7), key=lambda x: abs(Fraction(x) - Fraction(value)))
    assert float(round_once(np.array(value), FLOATS["bfloat16"])) == nearest
    assert float(np.array(value).astype(ml_dtypes.bfloat16)) != nearest


def test_signs_of_zero_and_nan_survive():
    rounded = round_once(np.array([-0.0, 0.0, np.nan]), FLOATS["bfloat16"])
    assert np.signbit(rounded[:2].astype(np.float32)).tolist() == [True, False]
    assert np.isnan(rounded[2].astype(np.float32))
