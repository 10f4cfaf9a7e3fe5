"""Orthogonal matrices: Q of the QR decomposition of a matrix of normal draws."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from initlib._arguments import as_number
from initlib._errors import RequestError
from initlib._memory import check_room
from initlib._parallel import spread
from initlib.initializers._base import Array, Target
from initlib.initializers._gram import STANDARD, Tall
from initlib.initializers._householder import orthonormalize
from initlib.initializers._random import Seeded
from initlib.initializers._rounding import as_numbers, check_values, round_once

# Elements that are made or rounded at once, which bounds the temporary arrays to a few MiB.
PIECE = 1 << 18


class Orthogonal(Seeded):
    """A matrix with orthogonal columns (or rows, where it has fewer of them), times a gain.

    Shapes of more axes are read as matrices: (...kernel, in, out) as (...kernel x in, out) and, in
    torch's layout, (out, in, ...kernel) as (out, in x ...kernel).

    Q comes from the QR decomposition, in float64, of a tall matrix of normal draws that is filled
    column by column from the stream; R's diagonal made positive, Q is unique and uniformly
    distributed (Mezzadri, "How to generate random matrices from the classical compact groups",
    2007). Other machines' last bits may differ. A matrix with at least twice as many rows as
    columns, of which there are 1,024 at most, is made in pieces; any other whole, in float64.

    Formula: W W^T = gain^2 I or W^T W = gain^2 I

    Source: Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear
    neural networks", ICLR 2014.

    Args:
        gain: factor.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong.
    """

    tolerance = 1e-6

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        super().__init__(seed)
        self.gain = as_number("gain", gain)

    def check(self, target: Target) -> None:
        """Raise RequestError if the target has no 2 axes, or its dtype is unfit."""
        if len(target.shape) < 2:
            raise RequestError(
                f"Orthogonal fills tensors of 2 axes or more, received the shape {target.shape}"
            )
        STANDARD.check(target.dtype)
        check_values(as_numbers(self.gain), target.dtype)

    def in_pieces(self, target: Target) -> bool:
        """Tell whether `fill` can make the target."""
        return type(self) is Orthogonal and not _wide(target) and _tall(target).fits

    def fill(self, out: Array, start: int, target: Target) -> None:
        """Write elements start .. start + out.size of a target that `in_pieces` allows."""
        out[:] = round_once(_tall(target).q(start, out.size) * self.gain, target.dtype)

    def whole(self, target: Target) -> Array:
        """Return the whole tensor."""
        tall = _tall(target)
        if self.in_pieces(target):
            out = np.empty(target.size, target.dtype)
            part = partial(self._fill_part, out, target)
            for _ in spread(part, range(0, out.size, PIECE)):
                pass
            return out.reshape(target.shape)
        check_room(target.size * (np.dtype(float).itemsize + target.dtype.itemsize))
        columns = np.empty((tall.columns, tall.rows))
        STANDARD.fill(columns.reshape(-1), 0, target.stream)
        orthonormalize(columns, self.gain)
        q = columns if _wide(target) else columns.T
        out = np.empty(q.shape, target.dtype)
        step = max(1, PIECE // max(q.shape[1], 1))
        for _ in spread(partial(_round, q, out, step), range(0, len(q), step)):
            pass
        return out.reshape(target.shape)

    def _fill_part(self, out: Array, target: Target, start: int) -> None:
        self.fill(out[start : start + PIECE], start, target)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as what JSON can hold."""
        return {**super().get_config(), "gain": self.gain}


def _round(q: Array, out: Array, step: int, start: int) -> None:
    out[start : start + step] = round_once(q[start : start + step], out.dtype)


def _matrix(target: Target) -> tuple[int, int]:
    """Return rows and columns of the matrix that a target is read as."""
    shape = target.shape
    if target.layout == "torch":
        return shape[0], math.prod(shape[1:])
    return math.prod(shape[:-1]), shape[-1]


def _wide(target: Target) -> bool:
    """Tell a matrix with more columns than rows, which is Q transposed."""
    rows, columns = _matrix(target)
    return columns > rows


def _tall(target: Target) -> Tall:
    """Return the matrix of draws of a target."""
    rows, columns = _matrix(target)
    return Tall(target.stream, max(rows, columns), min(rows, columns))
