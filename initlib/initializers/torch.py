"""`torch.nn.init` under its own names and arguments; torch itself is never imported.

A name fills nothing here: it makes the initializer. Which axes count for fans is up to the layout
of the tensor that is asked for, "torch" being (out, in, ...kernel).
"""

from __future__ import annotations

from typing import Any

from initlib.initializers._constants import Constant, Identity, Ones, Zeros
from initlib.initializers._orthogonal import Orthogonal
from initlib.initializers._random import RandomNormal, RandomUniform
from initlib.initializers._sparse import Dirac, Sparse
from initlib.initializers._torch import (
    KaimingNormal,
    KaimingUniform,
    TruncNormal,
    XavierNormal,
    XavierUniform,
    calculate_gain,
)

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

zeros_, ones_, eye_, orthogonal_ = Zeros, Ones, Identity, Orthogonal
kaiming_normal_, kaiming_uniform_ = KaimingNormal, KaimingUniform
xavier_normal_, xavier_uniform_ = XavierNormal, XavierUniform
dirac_, sparse_, trunc_normal_ = Dirac, Sparse, TruncNormal


def normal_(mean: float = 0.0, std: float = 1.0, seed: Any = None) -> RandomNormal:
    """Draws from a normal distribution: RandomNormal under torch's name and defaults.

    Formula: W ~ N(mean, std^2)

    Source: ``torch.nn.init.normal_``.

    Args:
        mean: mean of the values.
        std: their standard deviation, 0 or more.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong.
    """
    return RandomNormal(mean, std, seed)


def uniform_(a: float = 0.0, b: float = 1.0, seed: Any = None) -> RandomUniform:
    """Draws from a uniform distribution: RandomUniform under torch's name and defaults.

    Formula: W ~ U[a, b)

    Source: ``torch.nn.init.uniform_``.

    Args:
        a: the least value.
        b: what all values are below.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong.
    """
    return RandomUniform(a, b, seed)


def constant_(val: Any) -> Constant:
    """All elements are a given number: Constant under torch's name.

    Formula: W = val

    Source: ``torch.nn.init.constant_``.

    Args:
        val: the number.

    Raises:
        RequestError: it is none.
    """
    return Constant(val)
