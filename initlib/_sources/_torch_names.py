"""What torch's modules draw where names alone don't tell it: by shapes and by what lies beside."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

# Of recurrent modules: LSTM, GRU, RNN.
_RECURRENT = re.compile(r"(weight|bias)_(ih|hh)(_l\d+(_reverse)?)?")
_LINEAR = "kaiming_uniform(a=sqrt(5))"

Shapes = Mapping[str, tuple[int, ...]]


def of_torch(name: str, shapes: Shapes, ruled: Any) -> str | None:
    """Return the initializer of a torch module's parameter, None where that of its rule is right.

    Args:
        name: the parameter's.
        shapes: of all parameters by name.
        ruled: the initializer of the rule that fits the name.
    """
    module, dot, parameter = name.rpartition(".")
    rank = len(shapes[name])
    if recurrent := _RECURRENT.fullmatch(parameter):
        beside = shapes.get(f"{module}{dot}weight_hh{recurrent[3] or ''}", ())
        return _uniform(beside[1]) if len(beside) == 2 else None
    if parameter == "bias":
        weight = shapes.get(f"{module}{dot}weight", ())
        outer = module.rpartition(".")[0]
        # MultiheadAttention's output begins without a bias.
        if len(weight) < 2 or f"{outer}.in_proj_weight".removeprefix(".") in shapes:
            return None
        return _uniform(math.prod(weight[1:]))
    if parameter != "weight":
        return None
    if rank == 1:
        return None if ruled == "ones" else "ones"
    # No norm has a weight of two dimensions, and no embedding one of three.
    if ruled == "ones" or (rank > 2 and "normal" in str(ruled)):
        return _LINEAR
    return None


def _uniform(fan_in: int) -> str | None:
    bound = f"1/sqrt({fan_in})"
    return f"random_uniform(-{bound}, {bound})" if fan_in else None
