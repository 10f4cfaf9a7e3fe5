"""Keras's initializers, as pure functions of (seed, tensor name, element index).

`keras.initializers` is the model for names, arguments and defaults; here an initializer can also
fill any part of a tensor alone (`Target`, `streams`, `materialize`). The identifiers that `get`
takes are attributes, too: ``initlib.initializers.he_normal`` is `HeNormal`.
"""

from __future__ import annotations

from initlib._seeds import SeedGenerator, draws_for
from initlib.initializers._base import Initializer, Target
from initlib.initializers._configs import register
from initlib.initializers._constants import Constant, Identity, Ones, Zeros
from initlib.initializers._filling import (
    check,
    distribution,
    element,
    materialize,
    stream_for,
    streams,
)
from initlib.initializers._orthogonal import Orthogonal
from initlib.initializers._random import RandomNormal, RandomUniform, TruncatedNormal
from initlib.initializers._registry import (
    IDENTIFIERS,
    Entry,
    catalogue,
    deserialize,
    get,
    lookup,
    serialize,
)
from initlib.initializers._scaling import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
    compute_fans,
)
from initlib.initializers._stft import STFT
from initlib.initializers._torch import (
    KaimingNormal,
    KaimingUniform,
    TruncNormal,
    XavierNormal,
    XavierUniform,
    calculate_gain,
)

__all__ = [
    "IDENTIFIERS",
    "STFT",
    "Constant",
    "Entry",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "KaimingNormal",
    "KaimingUniform",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "SeedGenerator",
    "Target",
    "TruncNormal",
    "TruncatedNormal",
    "VarianceScaling",
    "XavierNormal",
    "XavierUniform",
    "Zeros",
    "calculate_gain",
    "catalogue",
    "check",
    "compute_fans",
    "deserialize",
    "distribution",
    "draws_for",
    "element",
    "get",
    "lookup",
    "materialize",
    "register",
    "serialize",
    "stream_for",
    "streams",
]


def __getattr__(name: str) -> type[Initializer]:
    try:
        return IDENTIFIERS[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted({*__all__, *IDENTIFIERS})
