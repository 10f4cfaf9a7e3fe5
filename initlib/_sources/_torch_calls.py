"""What the functions of torch.nn.init make of a tensor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from initlib._sources._laws import Computed, Law, State, Structure, number
from initlib.initializers import calculate_gain


def state_of_call(
    name: str, tensor: torch.Tensor, arguments: Mapping[str, Any], draws: int
) -> State:
    """Return what is known of a tensor after a call.

    Args:
        name: the function's.
        tensor: what it was called for.
        arguments: the others, by their names.
        draws: tells these draws from others.
    """
    shape = tuple(tensor.shape)
    match name:
        case "constant_":
            return Law("constant", (float(arguments["val"]),))
        case "zeros_" | "ones_":
            return Law("constant", (float(name == "ones_"),))
        case "normal_":
            return Law("normal", (arguments["mean"], arguments["std"]), draws=draws)
        case "uniform_":
            return Law("uniform", (arguments["a"], arguments["b"]), draws=draws)
        case "trunc_normal_":
            numbers = tuple(arguments[each] for each in ("mean", "std", "a", "b"))
            return Law("trunc_normal", numbers, draws=draws)
        case "kaiming_normal_" | "kaiming_uniform_" | "xavier_normal_" | "xavier_uniform_":
            return _by_fans(name, shape, arguments, draws)
        case "orthogonal_":
            return Structure(_written("orthogonal", arguments, {"gain": 1}), shape)
        case "eye_":
            return Structure("identity", shape)
        case "dirac_":
            return Structure(_written("dirac", arguments, {"groups": 1}), shape)
        case "sparse_":
            return Structure(_written("sparse", arguments, {"sparsity": None, "std": 0.01}), shape)
    return Computed(name)


def _by_fans(name: str, shape: tuple[int, ...], arguments: Mapping[str, Any], draws: int) -> State:
    """Return the law whose spread follows from the shape."""
    fan_out, fan_in = (size * math.prod(shape[2:]) for size in shape[:2])
    if name.startswith("xavier"):
        gain, fan = arguments["gain"], (fan_in + fan_out) / 2
        defaults: dict[str, Any] = {"gain": 1.0}
    else:
        gain = calculate_gain(arguments["nonlinearity"], arguments["a"])
        fan = fan_in if arguments["mode"] == "fan_in" else fan_out
        defaults = {"a": 0, "mode": "fan_in", "nonlinearity": "leaky_relu"}
    written = _written(name.rstrip("_"), arguments, defaults)
    stddev = gain / math.sqrt(fan) if fan else 0.0
    kind, limit = ("normal", None) if "normal" in name else ("uniform", math.sqrt(3) * stddev)
    numbers = (0.0, stddev) if limit is None else (-limit, limit)
    return Law(kind, numbers, written, shape, draws)


def _written(name: str, arguments: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """Return a call with the arguments that differ from their defaults."""
    given = (
        f"{key}={value!r}" if isinstance(value, str) else f"{key}={number(value)}"
        for key, default in defaults.items()
        for value in [arguments[key]]
        if value != default
    )
    text = ", ".join(given)
    return f"{name}({text})" if text else name
