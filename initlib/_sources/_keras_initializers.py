"""Initializers as Keras's configs have them, written as a manifest has them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from initlib import initializers
from initlib._errors import RequestError
from initlib._formats import shorten

# What a call can say in so many characters is easier to read than a config.
LONGEST = 200

Axes = tuple[list[int], list[int]]


def written(config: Any, axes: Axes | None = None) -> str:
    """Return an initializer's config as a call where that is short, else as JSON.

    A seed that is drawn anew each time is left out: it is the manifest's, and the tensor's name.

    Args:
        config: a dict or an identifier; None is what a layer draws if nothing is said.
        axes: of inputs and of outputs, by which a layer scales if its config names none.

    Raises:
        RequestError: it is none of Keras's, or has arguments that Keras's hasn't.
    """
    if config is None:
        return "glorot_uniform"
    if isinstance(config, dict) and (is_custom(config) or config.get("class_name") == "function"):
        raise RequestError(f"its initializer {shorten(name_of(config))} is custom")
    found = initializers.deserialize(config)
    entry = initializers.lookup(type(found).__name__)
    if entry.group != "Keras":
        raise RequestError(f"its initializer {shorten(name_of(config))} is none of Keras's")
    given = found.get_config()
    if axes and None in (given.get("input_axes", 0), given.get("output_axes", 0)):
        given["input_axes"], given["output_axes"] = axes
    arguments = {
        name: given[name]
        for name, default in entry.arguments.items()
        if name in given and given[name] != default
    }
    if isinstance(arguments.get("seed"), dict):
        del arguments["seed"]
    text = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    if len(text) > LONGEST or "{" in text:
        return json.dumps({"class_name": entry.name, "config": arguments})
    return f"{entry.identifier}({text})" if text else entry.identifier


def axes_of(equation: str) -> Axes | None:
    """Return which axes of an einsum's second operand are inputs and which outputs.

    Those that are in the result are outputs, as Keras has it from 3.15 on.
    """
    found = re.search(r",(\w+)->(.*)", equation)
    if found is None:
        return None
    kernel, result = found.groups()
    outputs = [axis for axis, letter in enumerate(kernel) if letter in result]
    return [axis for axis in range(len(kernel)) if axis not in outputs], outputs


def name_of(config: Any) -> str:
    """Return what a config calls its class or function."""
    if not isinstance(config, dict):
        return str(config)
    if config.get("class_name") == "function":
        return str(config.get("config"))
    return str(config.get("registered_name") or config.get("class_name"))


def is_custom(config: Mapping[str, Any]) -> bool:
    """Tell whether what a config describes is somebody's own; old files don't name modules."""
    return package_of(config) not in ("keras", "builtins")


def package_of(config: Mapping[str, Any]) -> str:
    """Return the package that a class or function is in."""
    return str(config.get("module", "keras")).split(".")[0]


def forget_gate(units: Any, bias: Any) -> str:
    """Return the initializer of an LSTM's bias whose forget gate begins at one.

    Args:
        units: of the layer; for its gates i, f, c and o in this order.
        bias: the config of the initializer of the others.
    """
    call = written(bias)
    if call == "ones":
        return call
    if call.startswith("{") or not isinstance(units, int):
        raise RequestError("no manifest can have its initializer in a part")
    part = call if call.endswith(")") else f"{call}()"
    return f"concatenate([{units}, {units}, {2 * units}], [{part}, ones(), {part}])"
