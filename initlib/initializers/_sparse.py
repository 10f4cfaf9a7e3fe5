"""Initializers of torch's whose tensors are mostly zeros."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from initlib._arguments import as_number
from initlib._errors import RequestError
from initlib._stream import Normal, Stream, Uniform
from initlib.initializers._base import PIECE, Array, Target
from initlib.initializers._constants import Unseeded
from initlib.initializers._random import Seeded

# The draws, of binary64, by which rows are chosen: from here on, where no tensor's values get to.
CHOICES = 1 << 62
# On which two of them are never alike by more than chance, as integers over 2^53.
_CHOICE = Uniform(0.0, 1.0)


class Dirac(Unseeded):
    """A convolution that passes on as many of its input channels as it can, in each of its groups.

    Shapes are those of 1 to 3 kernel axes: (...kernel, in / groups, out) and, in torch's layout,
    (out, in / groups, ...kernel).

    Formula: W[g out / groups + d, d, center] = 1, else 0; center is kernel // 2

    Source: ``torch.nn.init.dirac_``.

    Args:
        groups: of the convolution; they share out its output channels.

    Raises:
        RequestError: groups isn't an integer of 1 or more.
    """

    def __init__(self, groups: int = 1) -> None:
        try:
            self.groups = operator.index(groups)
        except TypeError:
            self.groups = 0
        if self.groups < 1:
            raise RequestError(f"expected an integer of 1 or more for groups, received {groups!r}")

    def check(self, target: Target) -> None:
        """Raise RequestError if the target isn't a kernel, or its outputs can't be grouped."""
        if not 3 <= len(target.shape) <= 5:
            raise RequestError(f"Dirac fills tensors of 3 to 5 axes, received {target.shape}")
        outputs = target.shape[0 if target.layout == "torch" else -1]
        if outputs % self.groups:
            raise RequestError(
                f"expected output channels that {self.groups} groups can share, received {outputs}"
            )

    def fill(self, out: Array, start: int, target: Target) -> None:
        """Write elements start .. start + out.size of the target into `out`."""
        out.fill(0)
        ones = self._ones(target) - start
        out[ones[(ones >= 0) & (ones < out.size)]] = 1

    def _ones(self, target: Target) -> Array:
        """Return the indices of the elements that are 1."""
        if target.layout == "torch":
            outputs, inputs, *kernel = target.shape
        else:
            *kernel, inputs, outputs = target.shape
        center = 0
        for size in kernel:
            center = center * size + size // 2
        channels = np.arange(outputs)
        sources = channels % max(outputs // self.groups, 1)
        channels, sources = channels[sources < inputs], sources[sources < inputs]
        if target.layout == "torch":
            return (channels * inputs + sources) * math.prod(kernel) + center
        return (center * inputs + sources) * outputs + channels

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as what JSON can hold."""
        return {"groups": self.groups}


class Sparse(Seeded):
    """A matrix of normal draws, of which the same share of each column is zero, in random rows.

    Columns are the matrix's own, whatever the layout. It is made whole.

    Formula: W ~ N(0, std^2), but ceil(sparsity * rows) elements of each column are 0

    Source: Martens, "Deep learning via Hessian-free optimization", ICML 2010;
    ``torch.nn.init.sparse_``.

    Args:
        sparsity: the share of each column that is zero, from 0 to 1.
        std: standard deviation of the others.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong.
    """

    def __init__(self, sparsity: float, std: float = 0.01, seed: Any = None) -> None:
        super().__init__(seed)
        self.sparsity, self.std = as_number("sparsity", sparsity), as_number("std", std)
        if not 0 <= self.sparsity <= 1:
            raise RequestError(f"expected a sparsity from 0 to 1, received {sparsity!r}")
        self._values = Normal(0.0, self.std)

    def check(self, target: Target) -> None:
        """Raise RequestError if the target isn't a matrix, or its dtype is unfit."""
        if len(target.shape) != 2:
            raise RequestError(f"Sparse fills 2-dimensional tensors, received {target.shape}")
        self._values.check(target.dtype)

    def whole(self, target: Target) -> Array:
        """Return the whole tensor."""
        rows, columns = target.shape
        out = np.empty(target.size, target.dtype)
        self._values.fill(out, 0, target.stream)
        matrix, zeros = out.reshape(target.shape), math.ceil(self.sparsity * rows)
        step = max(1, PIECE // max(rows, 1))
        for first in range(0, columns if zeros else 0, step):
            block = matrix[:, first : first + step]
            np.put_along_axis(block, _chosen(target.stream, first, block.shape, zeros), 0, axis=0)
        return matrix

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as what JSON can hold."""
        return {**super().get_config(), "sparsity": self.sparsity, "std": self.std}


def _chosen(stream: Stream, first: int, shape: tuple[int, int], count: int) -> Array:
    """Return `count` rows of each of the columns from the `first` on: those of the least draws."""
    rows, columns = shape
    draws = np.empty(rows * columns)
    _CHOICE.fill(draws, CHOICES + first * rows, stream)
    return np.argsort(draws.reshape(columns, rows), axis=1, kind="stable")[:, :count].T
