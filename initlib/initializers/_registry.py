"""The one table of identifiers, and the ways from an identifier to an initializer and back."""

from __future__ import annotations

import inspect
import re
import reprlib
from collections.abc import Callable
from typing import Any

from initlib._errors import RequestError, did_you_mean
from initlib.initializers import _configs, _models, jax, torch
from initlib.initializers._base import Initializer, check_config
from initlib.initializers._concatenate import Concatenate
from initlib.initializers._constants import Constant, Given, Identity, Ones, Zeros
from initlib.initializers._elementwise import Elementwise
from initlib.initializers._from_file import FromFile
from initlib.initializers._jax import DeltaOrthogonal, JaxOrthogonal, JaxVarianceScaling
from initlib.initializers._orthogonal import Orthogonal
from initlib.initializers._positions import Arange, RotaryInvFreq, Sinusoidal
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
from initlib.initializers._sparse import Dirac, Sparse
from initlib.initializers._stft import STFT
from initlib.initializers._torch import (
    KaimingNormal,
    KaimingUniform,
    TruncNormal,
    XavierNormal,
    XavierUniform,
)

# A class, or a function that makes one of these with other arguments.
Maker = Callable[..., Initializer]
Table = dict[Maker, tuple[str, ...]]

# Class or function, and further names. Of classes, snake_case goes without saying, and all that
# torch.py and jax.py name has its name there as well.
_KERAS: Table = {
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
_TORCH: Table = {
    KaimingNormal: (),
    KaimingUniform: (),
    XavierNormal: (),
    XavierUniform: (),
    Dirac: (),
    Sparse: (),
    TruncNormal: (),
    torch.normal_: (),
    torch.uniform_: (),
    torch.constant_: (),
}
_JAX: Table = {
    jax.normal: (),
    jax.uniform: (),
    jax.truncated_normal: (),
    jax.variance_scaling: (),
    jax.glorot_normal: (),
    jax.glorot_uniform: (),
    jax.he_normal: (),
    jax.he_uniform: (),
    jax.lecun_normal: (),
    jax.lecun_uniform: (),
    jax.orthogonal: (),
    DeltaOrthogonal: (),
}
_MODELS: Table = {
    _models.scaled_normal: ("gpt2_residual", "scaled_init"),
    _models.small_init: (),
    _models.wang_init: (),
    _models.mup_input: (),
    _models.mup_hidden: (),
    _models.mup_output: (),
    _models.lora_a: (),
    _models.lora_a_gaussian: (),
    _models.lora_b: (),
    Arange: (),
    RotaryInvFreq: (),
    Sinusoidal: (),
    FromFile: (),
}
# Of other initializers.
_COMPOUND: Table = {Concatenate: (), Elementwise: ()}
# What functions make of arguments that no other class has.
_HIDDEN: Table = {JaxVarianceScaling: (), JaxOrthogonal: ()}
# All that the catalogue lists, by whose they are.
GROUPS = {"Keras": _KERAS, "torch": _TORCH, "JAX": _JAX, "models": _MODELS, "compound": _COMPOUND}


def _snake_case(name: str) -> str:
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def identifier_of(maker: Maker) -> str:
    """Return the name by which manifests know a class or function."""
    if inspect.isclass(maker):
        return _snake_case(maker.__name__)
    return f"jax.{maker.__name__}" if maker.__module__ == jax.__name__ else maker.__name__


def _identifiers() -> dict[str, Maker]:
    """Return who has which name. Where two would have one, it is the first's."""
    found: dict[str, Maker] = {}
    for table in (*GROUPS.values(), _HIDDEN):
        for maker, others in table.items():
            own = (maker.__name__,) if inspect.isclass(maker) else ()
            for each in (*own, identifier_of(maker), *others):
                found.setdefault(each, maker)
    for name in (each for each in torch.__all__ if each.endswith("_")):
        for each in (name, f"torch.{name}", f"torch.{name[:-1]}", name[:-1]):
            found.setdefault(each, getattr(torch, name))
    for name in jax.__all__:
        found[f"jax.{name}"] = getattr(jax, name)
    return found


IDENTIFIERS = _identifiers()
_FUNCTIONS = [maker for maker in IDENTIFIERS.values() if not inspect.isclass(maker)]
for _maker in IDENTIFIERS.values():
    if inspect.isclass(_maker):
        _package = "keras" if _maker in _KERAS else "initlib"
        _configs.PUBLIC[_maker] = (f"{_package}.initializers", _maker.__name__)
# An array's config is a Constant's: Keras has no class for it.
_configs.PUBLIC[Given] = _configs.PUBLIC[Constant]


_short = reprlib.Repr()
_short.maxstring = 80

# Top-level packages under which Keras has saved its own initializers.
_BUILT_IN_PACKAGES = {"initlib", "keras", "keras_core", "tensorflow", "tf_keras"}


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
    found = find(config, {**_configs.REGISTERED, **(custom_objects or {})})
    arguments = config.get("config") or {}
    if not inspect.isclass(found) and found not in _FUNCTIONS:
        return found
    if not isinstance(arguments, dict):
        raise RequestError(f"expected a dict of arguments as 'config', received {arguments!r}")
    if hasattr(found, "from_config"):
        return found.from_config(arguments)
    check_config(found, arguments)
    return found(**arguments)


def find(config: dict[str, Any], custom: dict[str, Any]) -> Any:
    """Return the class or function that a config names: custom ones first, as in Keras."""
    name = config["class_name"]
    if name == "function":
        name = str(config.get("config"))
    for key in (config.get("registered_name"), name):
        if isinstance(key, str) and key in custom:
            return custom[key]
    module = config.get("module", "keras")
    if name in IDENTIFIERS and str(module).split(".")[0] in _BUILT_IN_PACKAGES:
        return IDENTIFIERS[name]
    if name in IDENTIFIERS or "module" in config:
        whose = _short.repr(str(module))[1:-1]
        hint = f" of module {whose}; pass a custom one in custom_objects, or register it"
    else:
        hint = _nearest(str(name), custom)
    raise RequestError(f"unknown initializer {_short.repr(name)}{hint}")


def _nearest(name: str, custom: dict[str, Any]) -> str:
    """Return the hint of the name that a wrong one stands for, or of all that there are."""
    # As it is written where it comes from: torch.nn.init.normal_, jax.nn.initializers.normal.
    short = re.sub(r"^(torch\.)?nn\.init\.", "torch.", name)
    short = re.sub(r"^jax\.nn\.initializers\.", "jax.", short)
    space = short.partition(".")[0] + "."
    near = [each for each in IDENTIFIERS if each.startswith(space)]
    if hint := did_you_mean(short, near) or did_you_mean(short, [*IDENTIFIERS, *custom]):
        return hint
    known = near or [identifier_of(maker) for maker in _KERAS]
    more = "" if near else " or another that `initgen initializers` lists"
    code = "" if near or "." not in name else "; code of your own is file.py:name"
    return f"; expected one of {', '.join(known)}{more}{code}"


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
    if inspect.isclass(identifier) or any(identifier is each for each in _FUNCTIONS):
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
