"""`jax.nn.initializers` under its own names and arguments; JAX itself is never imported.

A name makes an initializer, one of Keras's where that draws the same. There is no `dtype`, which
comes with the tensor. Where in_axis, out_axis and batch_axis are JAX's defaults, the layout of the
tensor that is asked for says what they are: "keras" as in JAX, or "torch".
"""

from __future__ import annotations

from typing import Any

from initlib._arguments import as_number
from initlib.initializers._base import Initializer
from initlib.initializers._constants import Constant, Ones, Zeros
from initlib.initializers._jax import (
    DISTRIBUTIONS,
    JAX_MODES,
    LAYOUTS_AXES,
    Axes,
    DeltaOrthogonal,
    JaxOrthogonal,
    JaxVarianceScaling,
    axes_of,
    column,
)
from initlib.initializers._orthogonal import Orthogonal
from initlib.initializers._random import RandomNormal, RandomUniform, TruncatedNormal
from initlib.initializers._scaling import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
    choice,
)
from initlib.initializers._torch import TruncNormal

__all__ = [
    "constant",
    "delta_orthogonal",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "ones",
    "orthogonal",
    "truncated_normal",
    "uniform",
    "variance_scaling",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]

zeros, ones, constant, delta_orthogonal = Zeros, Ones, Constant, DeltaOrthogonal


def normal(stddev: float = 1e-2, seed: Any = None) -> RandomNormal:
    """Draws from a normal distribution: RandomNormal with JAX's default.

    Formula: W ~ N(0, stddev^2)

    Source: ``jax.nn.initializers.normal``.

    Args:
        stddev: standard deviation, 0 or more.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong.
    """
    return RandomNormal(0.0, stddev, seed)


def uniform(scale: float = 1e-2, seed: Any = None) -> RandomUniform:
    """Draws from a uniform distribution from 0 on: RandomUniform with JAX's argument.

    Formula: W ~ U[0, scale)

    Source: ``jax.nn.initializers.uniform``.

    Args:
        scale: what all values are below.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong.
    """
    return RandomUniform(0.0, scale, seed)


def truncated_normal(
    stddev: float = 1e-2, lower: float = -2.0, upper: float = 2.0, seed: Any = None
) -> TruncatedNormal | TruncNormal:
    """Draws from a normal distribution cut at two stddev, or elsewhere, with JAX's defaults.

    Formula: W ~ N(0, stddev^2) given lower stddev <= W <= upper stddev

    Source: ``jax.nn.initializers.truncated_normal``.

    Args:
        stddev: standard deviation before the cut, 0 or more.
        lower: the least value, in units of stddev.
        upper: the largest value, likewise.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong.
    """
    if (lower, upper) == (-2, 2):
        return TruncatedNormal(0.0, stddev, seed)
    stddev = as_number("stddev", stddev)
    a, b = as_number("lower", lower) * stddev, as_number("upper", upper) * stddev
    return TruncNormal(0.0, stddev, a, b, seed)


def variance_scaling(
    scale: float,
    mode: str,
    distribution: str,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
    seed: Any = None,
) -> VarianceScaling | JaxVarianceScaling:
    """Draws with a variance in inverse proportion to the weight's inputs, outputs or both.

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
    axes = axes_of(in_axis, out_axis, batch_axis)
    choice("mode", mode, JAX_MODES)
    choice("distribution", distribution, tuple(DISTRIBUTIONS))
    if axes == LAYOUTS_AXES and mode != "fan_geo_avg":
        return VarianceScaling(scale, mode, DISTRIBUTIONS[distribution], seed)
    return JaxVarianceScaling(scale, mode, distribution, *axes, seed)


def glorot_normal(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), seed: Any = None
) -> Initializer:
    """Truncated normal for layers whose inputs and outputs keep their variance, with JAX's axes.

    Formula: stddev = sqrt(2 / (fan_in + fan_out))

    Source: ``jax.nn.initializers.glorot_normal``; for the arguments see `variance_scaling`.
    """
    return _case(GlorotNormal, axes_of(in_axis, out_axis, batch_axis), seed)


def glorot_uniform(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), seed: Any = None
) -> Initializer:
    """Uniform for layers whose inputs and outputs keep their variance, with JAX's axes.

    Formula: W ~ U[-limit, limit), limit = sqrt(6 / (fan_in + fan_out))

    Source: ``jax.nn.initializers.glorot_uniform``; for the arguments see `variance_scaling`.
    """
    return _case(GlorotUniform, axes_of(in_axis, out_axis, batch_axis), seed)


def he_normal(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), seed: Any = None
) -> Initializer:
    """Truncated normal for layers followed by a rectifier, with JAX's axes.

    Formula: stddev = sqrt(2 / fan_in)

    Source: ``jax.nn.initializers.he_normal``; for the arguments see `variance_scaling`.
    """
    return _case(HeNormal, axes_of(in_axis, out_axis, batch_axis), seed)


def he_uniform(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), seed: Any = None
) -> Initializer:
    """Uniform for layers followed by a rectifier, with JAX's axes.

    Formula: W ~ U[-limit, limit), limit = sqrt(6 / fan_in)

    Source: ``jax.nn.initializers.he_uniform``; for the arguments see `variance_scaling`.
    """
    return _case(HeUniform, axes_of(in_axis, out_axis, batch_axis), seed)


def lecun_normal(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), seed: Any = None
) -> Initializer:
    """Truncated normal for inputs of variance 1, with JAX's axes.

    Formula: stddev = sqrt(1 / fan_in)

    Source: ``jax.nn.initializers.lecun_normal``; for the arguments see `variance_scaling`.
    """
    return _case(LecunNormal, axes_of(in_axis, out_axis, batch_axis), seed)


def lecun_uniform(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), seed: Any = None
) -> Initializer:
    """Uniform for inputs of variance 1, with JAX's axes.

    Formula: W ~ U[-limit, limit), limit = sqrt(3 / fan_in)

    Source: ``jax.nn.initializers.lecun_uniform``; for the arguments see `variance_scaling`.
    """
    return _case(LecunUniform, axes_of(in_axis, out_axis, batch_axis), seed)


xavier_normal, xavier_uniform = glorot_normal, glorot_uniform
kaiming_normal, kaiming_uniform = he_normal, he_uniform


def _case(cls: Any, axes: tuple[Any, Any, Any], seed: Any) -> Initializer:
    """Return one of Keras's named cases, or with axes of its own what it is a case of."""
    if axes == LAYOUTS_AXES:
        made: Initializer = cls(seed)
        return made
    scale, mode, distribution = cls.case
    return JaxVarianceScaling(scale, mode, distribution, *axes, seed)


def orthogonal(
    scale: float = 1.0, column_axis: int = -1, seed: Any = None
) -> Orthogonal | JaxOrthogonal:
    """A matrix with orthogonal columns or rows, times a scale: Orthogonal with JAX's arguments.

    Formula: W W^T = scale^2 I or W^T W = scale^2 I

    Source: ``jax.nn.initializers.orthogonal``.

    Args:
        scale: factor.
        column_axis: the axis that is the matrix's columns, all others being its rows; -1 leaves
            that to the layout.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong.
    """
    if column(column_axis) == -1:
        return Orthogonal(scale, seed)
    return JaxOrthogonal(scale, column_axis, seed)
