"""What the plan asks of any initializer, built-in or custom, class or plain function."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from initlib._dtypes import DTYPES, dtype_name
from initlib._errors import RequestError
from initlib._seeds import SeedGenerator
from initlib._stream import Distribution, Stream
from initlib.initializers._base import Array, Initializer, Target
from initlib.initializers._constants import Constant, Same
from initlib.initializers._random import Drawn, Seeded

Custom = Callable[..., Any]


def _has(initializer: Custom, method: str) -> bool:
    """Tell whether a method is as recent as `__call__`.

    A subclass of a built-in that overrides `__call__` alone means something else by it than the
    method that it inherits.
    """
    for cls in type(initializer).__mro__:
        if method in vars(cls):
            return True
        if "__call__" in vars(cls):
            return False
    return False


def streams(initializer: Custom, target: Target) -> bool:
    """Tell whether an initializer has `fill`, and so can be written piece by piece."""
    if not _has(initializer, "fill"):
        return False
    return not isinstance(initializer, Initializer) or initializer.in_pieces(target)


def check(initializer: Custom, target: Target) -> None:
    """Raise RequestError if the initializer is known to be unfit for the target."""
    checker = getattr(initializer, "check", None)
    if checker is not None and (_has(initializer, "whole") or streams(initializer, target)):
        checker(target)


def distribution(initializer: Custom, target: Target) -> Distribution | None:
    """Return what the target's elements are drawn from, or None where that isn't known."""
    if isinstance(initializer, Drawn) and streams(initializer, target):
        return initializer.law(target)
    return None


def element(initializer: Custom, target: Target) -> Array | None:
    """Return what all of the target's elements are; None where they differ or that isn't known."""
    own = (Same.fill, Constant.fill)
    if (
        isinstance(initializer, Same)
        and type(initializer).fill in own
        and streams(initializer, target)
    ):
        return initializer.element(target)
    return None


def stream_for(initializer: Custom, seed: int, name: str) -> Stream:
    """Return the stream of a tensor.

    Args:
        initializer: if it has a seed of its own, that one counts: an integer gives the same values
            to every tensor, a SeedGenerator's is told apart by the name.
        seed: the file's seed.
        name: the tensor's name.

    Raises:
        RequestError: a seed is out of range.
    """
    attribute = "given_seed" if isinstance(initializer, Seeded) else "seed"
    own = getattr(initializer, attribute, None)
    if isinstance(own, SeedGenerator):
        return Stream.named(seed if own.initial_seed is None else own.initial_seed, name)
    if isinstance(own, int | np.integer):
        return Stream.seeded(int(own))
    return Stream.named(seed, name)


def materialize(initializer: Custom, target: Target) -> Array:
    """Return the whole tensor that an initializer makes.

    One with `fill` or `whole` gets the target; any other callable is called as Keras does it,
    ``initializer(shape, dtype=name)``. What it draws from `initlib.random` is reproducible inside
    `draws_for`.

    Raises:
        RequestError: it can't be called so, or returned another shape or dtype.
    """
    if streams(initializer, target) or _has(initializer, "whole"):
        return _checked(_whole(initializer, target), target, type(initializer).__name__)
    name = getattr(initializer, "__name__", type(initializer).__name__)
    try:
        inspect.signature(initializer).bind(target.shape, dtype="")
    except TypeError as error:
        raise RequestError(f"expected {name}(shape, dtype=None): {error}") from None
    except ValueError:
        pass  # Functions written in C may have no signature to look at.
    return _checked(initializer(target.shape, dtype=dtype_name(target.dtype)), target, name)


def _checked(made: Any, target: Target, name: str) -> Array:
    """Return what `name` made as an array, if it is the target's."""
    if made is None:
        raise RequestError(f"expected an array from {name}, which returned nothing")
    values = _as_array(made)
    for what, expected, received in (
        ("shape", target.shape, values.shape),
        ("dtype", target.dtype, values.dtype),
    ):
        if expected != received:
            hint = "; end it with .astype(dtype)" if what == "dtype" else ""
            problem = f"expected {what} {expected} from {name}, received {received}{hint}"
            raise RequestError(problem)
    return np.asarray(values, order="C")


def _whole(initializer: Any, target: Target) -> Array:
    if hasattr(initializer, "whole"):
        values: Array = initializer.whole(target)
        return values
    return Initializer.whole(initializer, target)


def _as_array(values: Any) -> Array:
    """Return what an array library made as a NumPy array."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().contiguous()
    try:
        return np.asarray(values)
    except TypeError:
        # torch gives NumPy no bfloat16 or float8: their bits go as integers.
        name = str(values.dtype).removeprefix("torch.")
        if name not in DTYPES:
            raise
        torch = sys.modules["torch"]
        integer = torch.int16 if DTYPES[name].itemsize == 2 else torch.uint8
        bits: Array = values.view(integer).numpy()
        return bits.view(DTYPES[name])
