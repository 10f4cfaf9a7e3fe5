"""Initializers of jax.nn.initializers that are none of Keras's, with JAX's arguments."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from initlib._arguments import as_axes, as_number
from initlib._errors import RequestError
from initlib._stream import Distribution
from initlib.initializers._base import Array, Target
from initlib.initializers._orthogonal import Orthogonal
from initlib.initializers._random import Drawn, Seeded
from initlib.initializers._scaling import MODES, choice, compute_fans, of_variance, positive

Axes = int | Iterable[int]

# JAX's names of distributions, and what Keras calls them.
DISTRIBUTIONS = {
    "truncated_normal": "truncated_normal",
    "normal": "untruncated_normal",
    "uniform": "uniform",
}
JAX_MODES = (*MODES, "fan_geo_avg")
# The defaults of in_axis, out_axis and batch_axis, which leave the axes to the layout.
LAYOUTS_AXES: tuple[Any, Any, Any] = (-2, -1, [])


def axes_of(in_axis: Axes, out_axis: Axes, batch_axis: Axes) -> tuple[Any, Any, Any]:
    """Return the three arguments, each an integer or a list.

    Raises:
        RequestError: one of them is neither.
    """
    named = {"in_axis": in_axis, "out_axis": out_axis, "batch_axis": batch_axis}
    first, second, third = (_axes(name, axes) for name, axes in named.items())
    return first, second, third


def _axes(name: str, axes: Any) -> Any:
    try:
        return operator.index(axes)
    except TypeError:
        if axes is None:
            raise RequestError(f"expected an axis or axes for {name}, received None") from None
        return as_axes(name, axes)


class JaxVarianceScaling(Drawn):
    """VarianceScaling with the arguments by which JAX's goes beyond Keras's.

    Axes that are neither in, out nor batch are the kernel's. The default axes are the layout's.

    Formula: Var W = scale / n, where n is fan_in, fan_out, their mean or sqrt(fan_in fan_out)

    Source: ``jax.nn.initializers.variance_scaling``.

    Args:
        scale: positive number.
        mode: what n is: "fan_in", "fan_out", "fan_avg" or "fan_geo_avg".
        distribution: "truncated_normal" (at two stddev, with the variance after the cut),
            "normal", which isn't cut, or "uniform".
        in_axis: an axis or several, whose sizes make fan_in together with the kernel's.
        out_axis: likewise for fan_out.
        batch_axis: axes that count for neither.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong.
    """

    def __init__(
        self,
        scale: float,
        mode: str,
        distribution: str,
        in_axis: Axes = -2,
        out_axis: Axes = -1,
        batch_axis: Axes = (),
        seed: Any = None,
    ) -> None:
        super().__init__(seed)
        self.scale = positive("scale", scale)
        self.mode = choice("mode", mode, JAX_MODES)
        self.distribution = choice("distribution", distribution, tuple(DISTRIBUTIONS))
        self.in_axis, self.out_axis, self.batch_axis = axes_of(in_axis, out_axis, batch_axis)

    def law(self, target: Target) -> Distribution:
        """Return the distribution of the target's elements."""
        fan_in, fan_out = self._fans(target)
        n = {
            "fan_in": fan_in,
            "fan_out": fan_out,
            "fan_avg": (fan_in + fan_out) / 2,
            "fan_geo_avg": math.sqrt(fan_in * fan_out),
        }[self.mode]
        return of_variance(DISTRIBUTIONS[self.distribution], self.scale / max(1.0, n))

    def _fans(self, target: Target) -> tuple[int, int]:
        named = self.in_axis, self.out_axis, self.batch_axis
        shape = target.shape
        if named == LAYOUTS_AXES:
            return compute_fans(shape, layout=target.layout)
        groups = [[axes] if isinstance(axes, int) else axes for axes in named]
        rank = len(shape)
        taken = [axis % rank for axes in groups for axis in axes if -rank <= axis < rank]
        if len(set(taken)) < sum(map(len, groups)):
            told = ", ".join(map(str, named))
            raise RequestError(
                f"expected distinct in, out and batch axes of the shape {shape}, received {told}"
            )
        kernel = math.prod(size for axis, size in enumerate(shape) if axis not in taken)
        fan_in, fan_out = (math.prod(shape[axis] for axis in axes) for axes in groups[:2])
        return fan_in * kernel, fan_out * kernel

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as what JSON can hold."""
        return {
            **super().get_config(),
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            "in_axis": self.in_axis,
            "out_axis": self.out_axis,
            "batch_axis": self.batch_axis,
        }


class _Columns(Seeded):
    """Base of those that are made of an orthogonal matrix with JAX's arguments."""

    tolerance = Orthogonal.tolerance

    def __init__(self, scale: float = 1.0, column_axis: int = -1, seed: Any = None) -> None:
        super().__init__(seed)
        self.scale, self.column_axis = as_number("scale", scale), column(column_axis)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as what JSON can hold."""
        config = {"scale": self.scale, "column_axis": self.column_axis}
        return {**super().get_config(), **config}


class JaxOrthogonal(_Columns):
    """Orthogonal, read as a matrix of which any axis may be the columns. It is made whole.

    Formula: W W^T = scale^2 I or W^T W = scale^2 I

    Source: ``jax.nn.initializers.orthogonal``.

    Args:
        scale: factor.
        column_axis: the axis that is the matrix's columns; all others are its rows.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong.
    """

    def check(self, target: Target) -> None:
        """Raise RequestError if the target has no such axis, or its dtype is unfit."""
        rank = len(target.shape)
        Orthogonal(self.scale, 0).check(target)
        if not -rank <= self.column_axis < rank:
            raise RequestError(
                f"expected a column_axis of the shape {target.shape}, received {self.column_axis}"
            )

    def whole(self, target: Target) -> Array:
        """Return the whole tensor."""
        others = list(target.shape)
        columns = others.pop(self.column_axis)
        moved = replace(target, shape=(*others, columns), layout="keras")
        return np.moveaxis(Orthogonal(self.scale, 0).whole(moved), -1, self.column_axis)


class DeltaOrthogonal(_Columns):
    """A convolution whose kernel is zero but for an orthogonal matrix at its center.

    Shapes are those of 1 to 3 kernel axes: (...kernel, in, out) and, in torch's layout,
    (out, in, ...kernel), with no more inputs than outputs. It is made whole.

    Formula: W[center] W[center]^T = scale^2 I, else 0; center is (kernel - 1) // 2

    Source: Xiao et al., "Dynamical isometry and a mean field theory of CNNs", ICML 2018;
    ``jax.nn.initializers.delta_orthogonal``.

    Args:
        scale: factor.
        column_axis: as in JAX, an axis of the matrix; either gives the same distribution.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong.
    """

    def __init__(self, scale: float = 1.0, column_axis: int = -1, seed: Any = None) -> None:
        super().__init__(scale, column_axis, seed)
        if not -2 <= self.column_axis < 2:
            raise RequestError(f"expected a column_axis of a matrix, received {column_axis}")

    def check(self, target: Target) -> None:
        """Raise RequestError if the target isn't such a kernel, or its dtype is unfit."""
        if not 3 <= len(target.shape) <= 5:
            raise RequestError(
                f"DeltaOrthogonal fills tensors of 3 to 5 axes, received {target.shape}"
            )
        matrix, _ = self._parts(target)
        Orthogonal(self.scale, 0).check(matrix)
        inputs, outputs = matrix.shape[:: -1 if target.layout == "torch" else 1]
        if inputs > outputs:
            raise RequestError(
                f"expected no more inputs than outputs, received {inputs} and {outputs}"
            )

    def whole(self, target: Target) -> Array:
        """Return the whole tensor."""
        matrix, kernel = self._parts(target)
        out = np.zeros(target.shape, target.dtype)
        center = tuple((size - 1) // 2 for size in kernel)
        if out.size:
            kernels = np.moveaxis(out, (0, 1), (-2, -1)) if target.layout == "torch" else out
            kernels[center] = Orthogonal(self.scale, 0).whole(matrix)
        return out

    def _parts(self, target: Target) -> tuple[Target, tuple[int, ...]]:
        """Return the matrix at the center as a target, and the kernel's sizes."""
        matrix, kernel = target.shape[-2:], target.shape[:-2]
        if target.layout == "torch":
            matrix, kernel = target.shape[:2], target.shape[2:]
        return replace(target, shape=matrix), kernel


def column(column_axis: Any) -> int:
    """Return the argument of this name. RequestError if it isn't an integer."""
    try:
        return operator.index(column_axis)
    except TypeError:
        raise RequestError(f"expected an axis for column_axis, received {column_axis!r}") from None
