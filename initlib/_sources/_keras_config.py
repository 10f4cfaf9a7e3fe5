"""What a Keras model's config says of the variables in its file, without Keras."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from initlib._errors import RequestError
from initlib._formats import shorten
from initlib._sources._draft import Unknown
from initlib._sources._keras_initializers import (
    axes_of,
    forget_gate,
    is_custom,
    name_of,
    package_of,
    written,
)
from initlib._sources._keras_layers import FORGETTING, LAYERS, RENAMED, Variable

# Packages that Keras imports by itself where a config names them.
_IMPORTED = {"builtins", "keras", "keras_cv", "keras_hub", "keras_nlp"}
# The places in a class's name at which words begin.
_WORD = re.compile("(?<=[a-z])(?=[A-Z])|(?<=.)(?=[A-Z][a-z])")


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer, as messages speak of it.

    Attributes:
        name: its own.
        kind: its class.
        custom: whether the class isn't Keras's.
        whole: whether it is the model.
    """

    name: str
    kind: str
    custom: bool
    whole: bool

    def __str__(self) -> str:
        what = "the model" if self.whole else "its layer"
        return f"{what} {shorten(self.name)} ({shorten(self.kind)[1:-1]})"


@dataclass(frozen=True, slots=True)
class Walk:
    """The layers of a model by the paths of their variables in its file.

    Attributes:
        variables: initializers of each path's, in their order; `Unknown` for what can't be written.
        layers: the layers themselves.
    """

    variables: dict[str, list[Any]] = field(default_factory=dict)
    layers: dict[str, Layer] = field(default_factory=dict)

    def add(self, config: Any, path: str) -> None:
        """Add a layer, and all that are inside it."""
        if not is_object(config):
            return
        inner, kind, custom = config["config"], config["class_name"], is_custom(config)
        self.layers[path] = Layer(str(inner.get("name")), name_of(config), custom, not path)
        known = None if custom else LAYERS.get(kind)
        if known is None:
            return
        for part, variables in known.variables.items():
            equation = _equation(part, inner)
            self.variables[_join(path, part)] = [
                _initializer(each, kind, inner, equation)
                for each in variables
                if each.given is None or inner.get(each.given)
            ]
        for attribute, keys in known.children.items():
            child = next((inner[key] for key in keys if inner.get(key)), None)
            below = _join(path, attribute)
            if isinstance(child, list):
                for name, each in _numbered(child):
                    self.add(each, _join(below, name))
            else:
                self.add(child, below)

    def initializer(self, name: str, count: int) -> Any:
        """Return a variable's initializer, None where it isn't known.

        Args:
            name: of the variable in the file.
            count: of the variables beside it and itself.
        """
        path, _, index = plain(name).rpartition("/")
        known = self.variables.get(group(path))
        if known is None or len(known) != count or not index.isdecimal():
            return None
        return known[int(index)] if int(index) < count else None

    def owner(self, name: str) -> Layer:
        """Return the layer that has a variable, perhaps in a layer of its own."""
        return self.layers[self._home(name)]

    def _home(self, name: str) -> str:
        path = group(plain(name).rpartition("/")[0])
        while path not in self.layers:
            path = path.rpartition("/")[0]
        return path

    def sorted(self, names: Iterable[str]) -> list[str]:
        """Return names of variables in the order of the model's layers, which is Keras's."""
        layers = {path: place for place, path in enumerate(self.layers)}
        groups = {path: place for place, path in enumerate(self.variables)}

        def place(name: str) -> tuple[int, int, str, int]:
            path, _, index = plain(name).rpartition("/")
            of_group = groups.get(group(path), len(groups))
            number = int(index) if index.isdecimal() else -1
            return layers[self._home(name)], of_group, path, number

        return sorted(names, key=place)


def walk(config: Any) -> Walk:
    """Return the layers of a model."""
    found = Walk()
    found.add(config, "")
    return found


def plain(name: str) -> str:
    """Return a variable's name as the newest Keras writes it: older ones had more underscores."""
    parts = name.replace("_layer_checkpoint_dependencies", "layers").split("/")
    return "/".join(part.lstrip("_") for part in parts)


def group(path: str) -> str:
    """Return the path of a layer, of that of its variables."""
    return path.removesuffix("vars").rstrip("/")


def customs(config: Any) -> Iterator[str]:
    """Yield the names of all classes in a config that somebody must have registered."""
    if isinstance(config, dict):
        if isinstance(config.get("class_name"), str) and package_of(config) not in _IMPORTED:
            yield name_of(config)
        for value in config.values():
            yield from customs(value)
    elif isinstance(config, list):
        for value in config:
            yield from customs(value)


def is_object(config: Any) -> bool:
    """Tell whether this is the config of a layer, or of anything else with a class."""
    return (
        isinstance(config, dict)
        and isinstance(config.get("class_name"), str)
        and isinstance(config.get("config"), dict)
    )


def _equation(part: str, config: Mapping[str, Any]) -> str:
    """Return the einsum that a layer, or a part of an attention, takes its kernel to; or nothing.

    Letters stand for the kernel's axes: those of queries, keys and values begin with the features,
    that of the output with heads and their features.
    """
    if part == "output_dense":
        shape = config.get("output_shape")
        outputs = "cdefghij"[: len(shape) if isinstance(shape, list) else 1]
        return f"ab,ab{outputs}->{outputs}"
    return "a,abc->bc" if part.endswith("_dense") else str(config.get("equation", ""))


def _initializer(variable: Variable, kind: str, config: Mapping[str, Any], equation: str) -> Any:
    if variable.fixed:
        return variable.key
    if variable.key not in config:
        return None
    initializer = config[variable.key]
    is_bias = variable.key == "bias_initializer"
    try:
        if is_bias and kind in FORGETTING and config.get("unit_forget_bias"):
            return forget_gate(config.get("units", config.get("filters")), initializer)
        return written(initializer, None if is_bias else axes_of(equation))
    except RequestError as error:
        return Unknown(str(error))


def _numbered(configs: list[Any]) -> Iterator[tuple[str, Any]]:
    """Yield layers of a list with their names in the file: their classes', counted."""
    seen: Counter[str] = Counter()
    for config in configs:
        # An operation, such as keras.ops.add, is none of a model's layers.
        if not is_object(config) or ".ops." in f"{config.get('module')}.":
            continue
        kind = config["class_name"]
        name = _WORD.sub("_", RENAMED.get(kind, kind)).lower()
        yield f"{name}_{seen[name]}" if seen[name] else name, config
        seen[name] += 1


def _join(path: str, name: str) -> str:
    return "/".join(part for part in (path, name) if part)
