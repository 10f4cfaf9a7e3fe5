"""Putting numbers into a dtype: exactly for integers, rounded once for floats."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from initlib._dtypes import dtype_name, is_float, largest
from initlib._errors import RequestError

Array = npt.NDArray[Any]


def as_numbers(value: Any) -> Array:
    """Return a number, or an array or nested list of numbers, as integers or float64.

    Python integers that don't share a 64-bit type come as objects.

    Raises:
        RequestError: it holds something else.
    """
    try:
        numbers = np.asarray(value)
        if numbers.dtype.kind in "iu":
            return numbers
        if numbers.dtype.kind == "b":
            return numbers.astype(np.uint8)
        if numbers.dtype == object or not hasattr(value, "dtype"):
            # NumPy makes objects or floats, which are rounded, of integers that share no type.
            objects = np.asarray(value, object)
            if objects.size and all(isinstance(number, int) for number in objects.flat):
                objects.astype(np.float64)  # Raises OverflowError where no dtype is wide enough.
                return objects
        if numbers.dtype.kind == "f" or is_float(numbers.dtype):
            return numbers.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        pass
    raise RequestError(f"expected a number or an array of numbers, received {value!r}")


def check_values(values: Array, dtype: np.dtype[Any]) -> None:
    """Raise RequestError unless the dtype can hold the values: integers exactly, floats finitely.

    Infinities and NaN pass where a floating-point dtype has them.

    Args:
        values: what `as_numbers` returned.
        dtype: where they are to go.
    """
    if is_float(dtype):
        given, rounded = values.astype(np.float64), round_once(values, dtype).astype(np.float64)
        fits = (np.isfinite(given) == np.isfinite(rounded)) & (np.isnan(given) == np.isnan(rounded))
        limits = f"up to {largest(dtype):.6g}"
    else:
        low, high = (0, 1) if dtype == np.bool_ else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        # high + 1 is a power of two, so that floats are compared exactly.
        fits = np.asarray((values >= low) & (values < high + 1))
        if values.dtype == np.float64:
            fits &= values == np.floor(values)
        limits = f"the integers {low} to {high}"
    if not np.all(fits):
        bad = values[~fits].flat[0]
        name = dtype_name(dtype)
        raise RequestError(f"expected values that {name} can hold ({limits}), received {bad}")


def round_once(values: Array, dtype: np.dtype[Any]) -> Array:
    """Convert numbers to a dtype, floats to the nearest and ties to even.

    ml_dtypes goes from float64 to its own types by way of float32 and so rounds twice. The first
    rounding is made to odd here, after which the second comes out as if it were the only one
    (Boldo & Melquiond, "Emulation of a FMA and correctly rounded sums", 2008).
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype.type.__module__ == "numpy":
            return values.astype(dtype)
        exact = values.astype(np.float64)
        single = exact.astype(np.float32)
        back = single.astype(np.float64)
        toward_zero = single.view(np.uint32) - (np.abs(back) > np.abs(exact))
        odd = toward_zero | ((back != exact) & ~np.isnan(exact))
        rounded: Array = odd.view(np.float32).astype(dtype)
        return rounded
