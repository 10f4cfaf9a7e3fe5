"""The one table of identifiers, and the ways from an identifier to an initializer and back."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Any

from initlib._errors import RequestError, did_you_mean
from initlib.initializers import _configs
from initlib.initializers._base import Initializer, check_config
from initlib.initializers._constants import Constant, Given, Identity, Ones, Zeros
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
)
from initlib.initializers._stft import STFT
from initlib.initializers._torch import (
    KaimingNormal,
    KaimingUniform,
    TruncNormal,
    XavierNormal,
    XavierUniform,
)

# Class and further names; class name and snake_case go without saying.
_KERAS: dict[type[Initializer], tuple[str, ...]] = {
    Zeros: ("zero",),
    Ones: ("one",),
    Constant: (),
    Identity: ("IdentityInitializer",),
    RandomNormal: ("normal",),
    RandomUniform: ("uniform",),
    TruncatedNormal: (),
    VarianceScaling: (),
    GlorotNormal: (),
    GlorotUniform: (),
    HeNormal: (),
    HeUniform: (),
    LecunNormal: (),
    LecunUniform: (),
    Orthogonal: ("OrthogonalInitializer",),
    STFT: ("STFTInitializer",),
}
# Under torch's names, where Keras has none of the same law.
_TORCH: dict[type[Initializer], tuple[str, ...]] = {
    KaimingNormal: ("kaiming_normal_",),
    KaimingUniform: ("kaiming_uniform_",),
    XavierNormal: ("xavier_normal_",),
    XavierUniform: ("xavier_uniform_",),
    TruncNormal: ("trunc_normal_",),
}
_TABLE = {**_KERAS, **_TORCH}


def _snake_case(name: str) -> str:
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


IDENTIFIERS: dict[str, type[Initializer]] = {
    identifier: cls
    for cls, others in _TABLE.items()
    for identifier in (cls.__name__, _snake_case(cls.__name__), *others)
}
_configs.PUBLIC.update({cls: ("keras.initializers", cls.__name__) for cls in _KERAS})
_configs.PUBLIC.update({cls: ("initlib.initializers", cls.__name__) for cls in _TORCH})
# An array's config is a Constant's: Keras has no class for it.
_configs.PUBLIC[Given] = _configs.PUBLIC[Constant]

# What torch and JAX call them, for a hint where someone has these names in mind.
_ELSEWHERE = {
    "eye": "identity",
}

# Top-level packages under which Keras has saved its own initializers.
_BUILT_IN_PACKAGES = {"initlib", "keras", "keras_core", "tensorflow", "tf_keras"}


@dataclass(frozen=True, slots=True)
class Entry:
    """What there is to know of a built-in initializer.

    Attributes:
        name: its class.
        aliases: other identifiers that `get` accepts.
        arguments: names and defaults of the constructor's.
        summary: one line.
        formula: one line of mathematics.
    """

    name: str
    aliases: tuple[str, ...]
    arguments: dict[str, Any]
    summary: str
    formula: str


def catalogue() -> list[Entry]:
    """Return an entry for each built-in initializer, in the table's order."""
    return [_entry(cls) for cls in _TABLE]


def lookup(identifier: str) -> Entry:
    """Return the catalogue's entry of an initializer, by any of its names.

    Raises:
        RequestError: there is none of this name.
    """
    return _entry(_find({"class_name": identifier}, {}))


def _entry(cls: type[Initializer]) -> Entry:
    paragraphs = [" ".join(p.split()) for p in (inspect.getdoc(cls) or "").split("\n\n")]
    formula = next((p for p in paragraphs if p.startswith("Formula: ")), "")
    aliases = [name for name, other in IDENTIFIERS.items() if other is cls and name != cls.__name__]
    parameters = inspect.signature(cls).parameters.values()
    return Entry(
        cls.__name__,
        tuple(aliases),
        {parameter.name: parameter.default for parameter in parameters},
        paragraphs[0],
        formula.removeprefix("Formula: "),
    )


def serialize(initializer: Any) -> Any:
    """Return an initializer's config dict, as ``keras.initializers.serialize`` does.

    Raises:
        RequestError: it is a lambda, or has no `get_config`.
    """
    return _configs.encode(initializer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the initializer that a config dict or an identifier describes.

    Args:
        config: what `serialize` returned, here or in Keras; older forms may lack all keys but
            `class_name`. None gives None.
        custom_objects: classes and functions by name, before registered and built-in ones.

    Raises:
        RequestError: the name is unknown, or the class has no such arguments.
    """
    if config is None:
        return None
    if isinstance(config, str):
        config = {"class_name": config}
    if not isinstance(config, dict) or not isinstance(config.get("class_name"), str):
        raise RequestError(f"expected a config with a 'class_name', received {config!r}")
    found = _find(config, {**_configs.REGISTERED, **(custom_objects or {})})
    arguments = config.get("config") or {}
    if not inspect.isclass(found):
        return found
    if not isinstance(arguments, dict):
        raise RequestError(f"expected a dict of arguments as 'config', received {arguments!r}")
    if hasattr(found, "from_config"):
        return found.from_config(arguments)
    check_config(found, arguments)
    return found(**arguments)


def _find(config: dict[str, Any], custom: dict[str, Any]) -> Any:
    """Return the class or function that a config names: custom ones first, as in Keras."""
    name = config["class_name"]
    if name == "function":
        name = config.get("config")
    for key in (config.get("registered_name"), name):
        if isinstance(key, str) and key in custom:
            return custom[key]
    module = config.get("module", "keras")
    if name in IDENTIFIERS and module and module.split(".")[0] in _BUILT_IN_PACKAGES:
        return IDENTIFIERS[name]
    if name in IDENTIFIERS or "module" in config:
        hint = f" of module {module}; pass a custom one in custom_objects, or register it"
    else:
        names = ", ".join(_snake_case(cls.__name__) for cls in _TABLE)
        meant = _ELSEWHERE.get(str(name).rstrip("_"), str(name))
        hint = did_you_mean(meant, [*IDENTIFIERS, *custom]) or f"; expected one of {names}"
    raise RequestError(f"unknown initializer {name!r}{hint}")


def get(identifier: Any) -> Any:
    """Return the initializer that an identifier stands for.

    Args:
        identifier: class name, snake_case or legacy alias, config dict, class, array (which then
            fills tensors of its own shape), any callable ``(shape, dtype=None)``, or None.

    Returns:
        An initializer or the callable; None for None.

    Raises:
        RequestError: it stands for none.
    """
    if identifier is None or isinstance(identifier, str | dict):
        return deserialize(identifier)
    if inspect.isclass(identifier):
        check_config(identifier, {})
        return identifier()
    if callable(identifier):
        return identifier
    if hasattr(identifier, "__array__"):
        return Given(identifier)
    raise RequestError(
        "expected an initializer's name, config, class, array or a callable, "
        f"received {identifier!r}"
    )
