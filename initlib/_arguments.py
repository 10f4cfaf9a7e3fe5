"""Reading the arguments that initializers and random functions share: shapes and numbers."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

from initlib._errors import RequestError


def as_shape(shape: Any) -> tuple[int, ...]:
    """Return a shape as a tuple of ints.

    Raises:
        RequestError: it is not a sequence of integers of 0 or more.
    """
    try:
        sizes = tuple(operator.index(size) for size in shape)
    except TypeError:
        sizes = (-1,)
    if any(size < 0 for size in sizes):
        raise RequestError(f"expected a shape of integers of 0 or more, received {shape!r}")
    return sizes


def as_number(name: str, value: Any) -> float:
    """Return an argument as a float: a Python number, or a scalar of an array library.

    Raises:
        RequestError: it is anything else; a string that looks like a number is one, too.
    """
    try:
        return float(value + 0)
    except (TypeError, ValueError, OverflowError):
        raise RequestError(f"expected a number for {name}, received {value!r}") from None


def as_axes(name: str, axes: Iterable[int] | None) -> list[int] | None:
    """Return an optional list of axes, as a list.

    Raises:
        RequestError: it is not a list of integers.
    """
    if axes is None:
        return None
    try:
        return [operator.index(axis) for axis in axes]
    except TypeError:
        raise RequestError(f"expected a list of axes for {name}, received {axes!r}") from None
