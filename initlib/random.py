"""Random arrays, with the names and arguments of `keras.random`, as NumPy arrays.

For custom initializers: `seed` is an integer (the same values at each call), a `SeedGenerator` (new
values at each call) or None: while a file is generated the values then follow from its seed and the
tensor's name, elsewhere they are fresh.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from initlib._arguments import as_number, as_shape
from initlib._dtypes import as_dtype
from initlib._seeds import Seed, SeedGenerator, stream_of
from initlib._stream import Distribution, Normal, TruncatedNormal, Uniform

__all__ = ["SeedGenerator", "normal", "truncated_normal", "uniform"]


def normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Seed = None
) -> npt.NDArray[Any]:
    """Draw from the normal distribution.

    Args:
        shape: sizes of the axes.
        mean: the distribution's mean.
        stddev: its standard deviation, 0 or more.
        dtype: a floating-point dtype; None is float32.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong, or values would overflow the dtype.
    """
    distribution = Normal(as_number("mean", mean), as_number("stddev", stddev))
    return _draw(distribution, shape, dtype, seed)


def truncated_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Seed = None
) -> npt.NDArray[Any]:
    """Draw from the normal distribution with what lies beyond two stddev cut off.

    Args:
        shape: sizes of the axes.
        mean: the distribution's mean.
        stddev: standard deviation before the cut, 0 or more.
        dtype: a floating-point dtype; None is float32.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong, or the dtype holds no value of the support.
    """
    distribution = TruncatedNormal(as_number("mean", mean), as_number("stddev", stddev))
    return _draw(distribution, shape, dtype, seed)


def uniform(
    shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Seed = None
) -> npt.NDArray[Any]:
    """Draw from the uniform distribution on [minval, maxval).

    Args:
        shape: sizes of the axes.
        minval: the least value.
        maxval: what all values are below, also after rounding to the dtype.
        dtype: a floating-point dtype; None is float32.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong, or the dtype holds no value of the support.
    """
    distribution = Uniform(as_number("minval", minval), as_number("maxval", maxval))
    return _draw(distribution, shape, dtype, seed)


def _draw(distribution: Distribution, shape: Any, dtype: Any, seed: Seed) -> npt.NDArray[Any]:
    shape, dtype = as_shape(shape), as_dtype(dtype)
    distribution.check(dtype)
    out = np.empty(math.prod(shape), dtype)
    distribution.fill(out, 0, stream_of(seed))
    return out.reshape(shape)
