"""What an initializer is: the base class, and the tensor that it is asked to fill."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from initlib._arguments import as_shape
from initlib._dtypes import as_dtype
from initlib._errors import RequestError, did_you_mean
from initlib._seeds import stream_of
from initlib._stream import Stream

Array = npt.NDArray[Any]

# Elements that are made at once, which bounds temporary arrays to a few MiB.
PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Target:
    """A tensor to be filled.

    Attributes:
        shape: sizes of its axes.
        dtype: one of initlib's dtypes.
        stream: where random values come from; others ignore it.
        layout: "keras" for (...kernel, in, out), "torch" for (out, in, ...kernel).
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    stream: Stream
    layout: str = "keras"

    @property
    def size(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)


class Initializer:
    """Base of all initializers, with the interface of ``keras.initializers.Initializer``.

    A custom one needs nothing but ``__call__(self, shape, dtype=None)`` that returns an array; with
    `get_config` it can be written to a manifest or a Keras model. One that defines the method below
    instead (or as well) is filled piece by piece like the built-in ones, in any order and by many
    threads:

        fill(self, out, start, target): write elements start .. start + out.size, in C order, into
        `out`, a 1-D contiguous array of target.dtype; the result depends on nothing else.
    """

    # How far values made on other machines may be off; None where they are equal bit by bit.
    tolerance: ClassVar[float | None] = None

    def __call__(self, shape: Any, dtype: Any = None) -> Array:
        """Return a new array.

        Args:
            shape: sizes of its axes.
            dtype: its dtype; None is float32.

        Raises:
            RequestError: an argument is wrong, or this initializer can't fill such an array.
            NotImplementedError: the class has neither `__call__` nor `fill` of its own.
        """
        target = Target(as_shape(shape), as_dtype(dtype), self._stream())
        self.check(target)
        return self.whole(target)

    def _stream(self) -> Stream:
        """Return the stream for a call, which knows of no tensor."""
        return stream_of(getattr(self, "seed", None))

    def in_pieces(self, target: Target) -> bool:
        """Tell whether `fill`, if there is one, can make the target."""
        return True

    def check(self, target: Target) -> None:
        """Raise RequestError if the target can't be filled; `fill` and `whole` rely on it."""

    def whole(self, target: Target) -> Array:
        """Return the whole tensor as an array of the target's shape and dtype."""
        fill = getattr(self, "fill", None)
        if fill is None:
            name = type(self).__name__
            raise NotImplementedError(f"{name} implements neither `__call__` nor `fill`")
        out = np.zeros(target.size, target.dtype)
        fill(out, 0, target)
        return out.reshape(target.shape)

    def __repr__(self) -> str:
        arguments = (f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({', '.join(arguments)})"

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as what JSON can hold."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make an initializer from what `get_config` returned.

        Raises:
            RequestError: the constructor has no such argument, or needs one that isn't there.
        """
        check_config(cls, config)
        return cls(**config)

    def clone(self) -> Self:
        """Return a new initializer of the same config."""
        return self.from_config(self.get_config())


def pieces(out: Array, start: int) -> Iterator[tuple[Array, Array]]:
    """Yield parts of what `fill` is given, and with each the indices of its elements."""
    for i in range(0, out.size, PIECE):
        piece = out[i : i + PIECE]
        yield piece, np.arange(start + i, start + i + piece.size)


@lru_cache(maxsize=256)
def _signature(maker: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(maker)


def check_config(maker: Callable[..., Any], config: dict[str, Any]) -> None:
    """Raise RequestError if a class or function can't be called with these keyword arguments."""
    signature = _signature(maker)
    try:
        signature.bind(**config)
    except TypeError as error:
        known = list(signature.parameters)
        unknown = [key for key in config if key not in known]
        if not unknown:
            raise RequestError(f"{maker.__name__}: {error}") from None
        expected = f"expected {', '.join(known)}" if known else "it takes none"
        hint = did_you_mean(unknown[0], known) or f"; {expected}"
        raise RequestError(f"{maker.__name__} has no argument {unknown[0]!r}{hint}") from None
