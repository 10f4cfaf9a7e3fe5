"""Keras's initializers, as pure functions of (seed, tensor name, element index).

`keras.initializers` is the model for names, arguments and defaults; here an initializer can also
fill any part of a tensor alone (`Target`, `streams`, `materialize`). The identifiers that `get`
takes are attributes, too: ``initlib.initializers.he_normal`` is `HeNormal`, and
``initlib.initializers.torch.normal_`` what "torch.normal_" stands for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from initlib._seeds import SeedGenerator, draws_for
from initlib.initializers import jax, torch
from initlib.initializers._base import Initializer, Target
from initlib.initializers._concatenate import Concatenate
from initlib.initializers._configs import register
from initlib.initializers._constants import Constant, Identity, Ones, Zeros
from initlib.initializers._elementwise import Elementwise
from initlib.initializers._filling import (
    check,
    distribution,
    element,
    materialize,
    stream_for,
    streams,
)
from initlib.initializers._from_file import FromFile
from initlib.initializers._jax import DeltaOrthogonal, JaxOrthogonal, JaxVarianceScaling
from initlib.initializers._orthogonal import Orthogonal
from initlib.initializers._positions import Arange, RotaryInvFreq, Sinusoidal
from initlib.initializers._random import RandomNormal, RandomUniform, TruncatedNormal
from initlib.initializers._registry import (
    IDENTIFIERS,
    deserialize,
    get,
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
from initlib.initializers._sparse import Dirac, Sparse
from initlib.initializers._stft import STFT
from initlib.initializers._torch import (
    KaimingNormal,
    KaimingUniform,
    TruncNormal,
    XavierNormal,
    XavierUniform,
    calculate_gain,
)

if TYPE_CHECKING:
    from initlib.initializers._catalogue import Entry, catalogue, lookup

__all__ = [
    "IDENTIFIERS",
    "STFT",
    "Arange",
    "Concatenate",
    "Constant",
    "DeltaOrthogonal",
    "Dirac",
    "Elementwise",
    "Entry",
    "FromFile",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "JaxOrthogonal",
    "JaxVarianceScaling",
    "KaimingNormal",
    "KaimingUniform",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "RotaryInvFreq",
    "SeedGenerator",
    "Sinusoidal",
    "Sparse",
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
    "jax",
    "lookup",
    "materialize",
    "register",
    "serialize",
    "stream_for",
    "streams",
    "torch",
]


def __getattr__(name: str) -> Any:
    # People ask for the catalogue; a run that makes values does without.
    if name in ("Entry", "catalogue", "lookup"):
        return getattr(import_module("initlib.initializers._catalogue"), name)
    try:
        return IDENTIFIERS[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted({*__all__, *filter(str.isidentifier, IDENTIFIERS)})
