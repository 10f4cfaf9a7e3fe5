"""The distributions, as plain data: what they draw, in which dtypes they can, and how.

Each turns its parameters into the numbers that reference and kernels compute with. Bounds are
exact: a value is never outside the support, not even after it was rounded to bfloat16 or float8.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from initlib._dtypes import dtype_name, is_float, largest
from initlib._errors import RequestError
from initlib._stream._engine import fill, fill_rows
from initlib._stream._reference import DOUBLE, SINGLE, Precision
from initlib._stream._streams import Stream

AnyDType = np.dtype[Any]
# A transform's name, and what it computes with.
Recipe = tuple[str, tuple[Any, ...]]
# Keras truncates at so many stddev.
TRUNCATION = 2


class Distribution:
    """A distribution that a stream's words are turned into: a few floats.

    Attributes:
        transform: what the engine calls the way from words to values.
    """

    __slots__ = ()
    transform: ClassVar[str]

    def check(self, dtype: AnyDType) -> None:
        """Raise RequestError if the dtype isn't a float, or can't hold the distribution."""
        self.recipe(dtype)

    def recipe(self, dtype: AnyDType) -> Recipe:
        """Return the transform and what it computes with; once for all tensors of a kind.

        By the bits of the floats: 0 and -0 are equal, but don't make the same values.
        """
        law: Any = type(self)
        numbers = [getattr(self, name) for name in law.__slots__]
        return _recipe(law, struct.pack(f"{len(numbers)}d", *numbers), dtype)

    def make(self, dtype: AnyDType) -> Recipe:
        """Return the recipe anew."""
        return self.transform, self.compute(dtype)

    def compute(self, dtype: AnyDType) -> tuple[Any, ...]:
        """Return the parameters in the precision of the computation."""
        raise NotImplementedError

    def fill(self, out: npt.NDArray[Any], start: int, stream: Stream) -> None:
        """Write elements start .. start + len(out) of the stream into `out`."""
        transform, parameters = self.recipe(out.dtype)
        fill(transform, out, start, stream, parameters)

    def fill_rows(self, out: npt.NDArray[Any], start: int, stride: int, stream: Stream) -> None:
        """Write elements start + i stride .. of the stream into row i of `out`."""
        transform, parameters = self.recipe(out.dtype)
        fill_rows(transform, out, start, stride, stream, parameters)


@lru_cache(maxsize=1024)
def _recipe(law: Any, numbers: bytes, dtype: AnyDType) -> Recipe:
    recipe: Recipe = law(*struct.unpack(f"{len(numbers) // 8}d", numbers)).make(dtype)
    return recipe


@dataclass(frozen=True, slots=True)
class Normal(Distribution):
    """Normal distribution by the Box-Muller transform (Box & Muller, 1958).

    Raises:
        RequestError: a parameter isn't finite, or stddev is negative.
    """

    transform = "normal"

    mean: float
    stddev: float

    def __post_init__(self) -> None:
        check_finite(mean=self.mean, stddev=self.stddev)
        check_stddev(self.stddev)

    def compute(self, dtype: AnyDType) -> tuple[Any, ...]:
        """Return mean and stddev in the precision of the computation."""
        precision = precision_of(dtype)
        # |z| <= sqrt(2 ln 2^(n+1)): the radius of the smallest u, 2^-(n+1).
        outermost = math.sqrt(2 * (precision.draw_bits + 1) * math.log(2))
        check_range(dtype, abs(self.mean) + outermost * self.stddev, self)
        return precision.float(self.mean), precision.float(self.stddev)


@dataclass(frozen=True, slots=True)
class TruncatedNormal(Distribution):
    """Normal distribution with the values beyond two stddev cut off, by its inverse CDF.

    `stddev` is that of the normal before the cut; what is left has 0.8796 of it.

    Raises:
        RequestError: a parameter isn't finite, or stddev is negative.
    """

    transform = "truncated"

    mean: float
    stddev: float

    def __post_init__(self) -> None:
        check_finite(mean=self.mean, stddev=self.stddev)
        check_stddev(self.stddev)

    def compute(self, dtype: AnyDType) -> tuple[Any, ...]:
        """Return mean and stddev, and the support's ends as the dtype can hold them."""
        precision = precision_of(dtype)
        reach = TRUNCATION * Fraction(self.stddev)
        low, high = Fraction(self.mean) - reach, Fraction(self.mean) + reach
        bounds = bounds_in(dtype, low, high, self, open_end=False)
        return precision.float(self.mean), precision.float(self.stddev), *bounds


@dataclass(frozen=True, slots=True)
class Uniform(Distribution):
    """Uniform distribution on [low, high), on a grid of 2^24 points (float64: 2^53).

    Raises:
        RequestError: an end isn't finite, or low is above high.
    """

    transform = "uniform"

    low: float
    high: float

    def __post_init__(self) -> None:
        check_finite(low=self.low, high=self.high)
        if self.low > self.high:
            raise RequestError(f"expected low <= high, received [{self.low}, {self.high})")

    def compute(self, dtype: AnyDType) -> tuple[Any, ...]:
        """Return base, origin and step of value = base + (k - origin) step, and the bounds.

        Where the interval spans zero the grid is laid through it (base 0), and where it doesn't,
        from the end nearer to zero: so no digits cancel.
        """
        low, high = Fraction(self.low), Fraction(self.high)
        bounds = bounds_in(dtype, low, high, self, open_end=True)
        return *self.grid(dtype), *bounds

    def grid(self, dtype: AnyDType) -> tuple[Any, ...]:
        """Return base, origin and step."""
        precision = precision_of(dtype)
        low, high = Fraction(self.low), Fraction(self.high)
        points = 1 << precision.uniform_bits
        step = (high - low) / points
        if low > 0 or step == 0:
            base, origin = self.low, 0
        elif high < 0:
            base, origin = self.high, points
        else:
            base, origin = 0.0, round(-low / step)
        integer = np.int64 if precision is DOUBLE else np.int32
        return precision.float(base), integer(origin), precision.float(float(step))


def check_finite(**parameters: float) -> None:
    for name, value in parameters.items():
        if not math.isfinite(value):
            raise RequestError(f"expected a finite {name}, received {value}")


def check_stddev(stddev: float) -> None:
    if stddev < 0:
        raise RequestError(f"expected a stddev of 0 or more, received {stddev}")


def check_range(dtype: AnyDType, reach: float | Fraction, what: object) -> None:
    if not reach <= largest(dtype):
        reach = float(reach) if reach < 2**1024 else math.inf
        limit = f"the largest {dtype_name(dtype)}, {largest(dtype):.6g}"
        raise RequestError(f"{what} reaches {reach:.6g}, beyond {limit}")


def precision_of(dtype: AnyDType) -> Precision:
    if not is_float(dtype):
        raise RequestError(
            f"random values need a floating-point dtype, received {dtype_name(dtype)}"
        )
    return DOUBLE if dtype == np.float64 else SINGLE


def bounds_in(
    dtype: AnyDType, low: Fraction, high: Fraction, what: object, *, open_end: bool
) -> tuple[Any, Any]:
    """Return the outermost values of the dtype inside [low, high] or, `open_end`, [low, high)."""
    precision = precision_of(dtype)
    check_range(dtype, max(abs(low), abs(high)), what)
    first, last = dtype.type(float(low)), dtype.type(float(high))
    if low < high:
        up, down = dtype.type(largest(dtype)), dtype.type(-largest(dtype))
        if Fraction(float(first)) < low:
            first = np.nextafter(first, up)
        if Fraction(float(last)) > high or (open_end and Fraction(float(last)) == high):
            last = np.nextafter(last, down)
        if first > last:
            raise RequestError(f"no {dtype_name(dtype)} value lies inside {what}")
    return precision.float(first), precision.float(last)
