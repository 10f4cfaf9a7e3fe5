"""Initializers that draw nothing: zeros, ones, constants, the identity matrix."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from initlib._arguments import as_number
from initlib._errors import RequestError
from initlib.initializers._base import Array, Initializer, Target
from initlib.initializers._configs import decode, encode
from initlib.initializers._rounding import as_numbers, check_values, round_once


class Unseeded(Initializer):
    """Base of the initializers that draw nothing."""

    # Without it, a call would take a fresh seed and so move Python's `random` on.
    seed = 0


class Same(Unseeded):
    """Base of those whose elements are all the same, or at least can be."""

    def element(self, target: Target) -> Array | None:
        """Return what all elements are, as an array without axes; None if they differ."""
        raise NotImplementedError

    def fill(self, out: Array, start: int, target: Target) -> None:
        """Write elements start .. start + out.size of the target into `out`."""
        out[:] = self.element(target)


class Zeros(Same):
    """All elements are 0.

    Formula: W = 0
    """

    def element(self, target: Target) -> Array | None:
        """Return what all elements are."""
        return np.zeros((), target.dtype)


class Ones(Same):
    """All elements are 1.

    Formula: W = 1
    """

    def element(self, target: Target) -> Array | None:
        """Return what all elements are."""
        return np.ones((), target.dtype)


class Constant(Same):
    """All elements are a given number, or those of a given array.

    Formula: W = value

    Args:
        value: a number, or an array (or nested list) of numbers that broadcasts to the shape.
            Integer dtypes and bool must hold it exactly; floats hold it rounded.

    Raises:
        RequestError: the value is something else.
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value
        self._numbers = as_numbers(value)

    def check(self, target: Target) -> None:
        """Raise RequestError if shape or dtype can't hold the value."""
        shape = self._numbers.shape
        try:
            fits = np.broadcast_shapes(shape, target.shape) == target.shape
        except ValueError:
            fits = False
        if not fits:
            raise RequestError(
                f"expected a value that broadcasts to the shape {target.shape}, "
                f"received one of shape {shape}"
            )
        check_values(self._numbers, target.dtype)

    def element(self, target: Target) -> Array | None:
        """Return what all elements are, if the value is one number."""
        one = self._numbers.size == 1
        return round_once(self._numbers, target.dtype).reshape(()) if one else None

    def fill(self, out: Array, start: int, target: Target) -> None:
        """Write elements start .. start + out.size of the target into `out`."""
        if self._numbers.size == 1:
            super().fill(out, start, target)
        else:
            part = np.broadcast_to(self._numbers, target.shape).flat[start : start + out.size]
            out[:] = round_once(part, target.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; arrays as Keras writes them."""
        return {"value": encode(self.value)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make an initializer from what `get_config` returned, here or in Keras."""
        return super().from_config({key: decode(value) for key, value in config.items()})


class Given(Constant):
    """What `get` makes of an array: a tensor of the same shape and values.

    Formula: W = value
    """

    def check(self, target: Target) -> None:
        """Raise RequestError if the target's shape is another one, or its dtype too narrow."""
        if target.shape != self._numbers.shape:
            raise RequestError(
                f"expected the shape of the given array, {self._numbers.shape}, "
                f"received {target.shape}"
            )
        super().check(target)


class Identity(Unseeded):
    """The identity matrix, times a gain.

    Formula: W[i, j] = gain if i = j else 0

    Args:
        gain: number on the diagonal.

    Raises:
        RequestError: the gain isn't a number.
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = as_number("gain", gain)

    def check(self, target: Target) -> None:
        """Raise RequestError if the target isn't a matrix, or its dtype can't hold the gain."""
        if len(target.shape) != 2:
            raise RequestError(f"Identity fills 2-dimensional tensors, received {target.shape}")
        check_values(as_numbers(self.gain), target.dtype)

    def fill(self, out: Array, start: int, target: Target) -> None:
        """Write elements start .. start + out.size of the target into `out`."""
        rows, columns = target.shape
        out.fill(0)
        # Diagonal elements are columns + 1 apart; the last row that has one ends them.
        step = columns + 1
        end = min(rows, columns) * step - start
        out[-start % step : max(0, end) : step] = round_once(as_numbers(self.gain), target.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments. Keras leaves the gain out, and reads it."""
        return {"gain": self.gain}
