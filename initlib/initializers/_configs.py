"""Objects to config dicts and back, in the form of ``keras.saving.serialize_keras_object``."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from initlib._dtypes import as_dtype, dtype_name
from initlib._errors import RequestError
from initlib._seeds import SeedGenerator

Thing = TypeVar("Thing", bound=Callable[..., Any])

# Built-in classes, by the module and the name under which Keras has them.
PUBLIC: dict[type, tuple[str, str]] = {SeedGenerator: ("keras.random", "SeedGenerator")}
# What users registered, by "package>name", and its reverse.
REGISTERED: dict[str, Callable[..., Any]] = {}
_registered_names: dict[Callable[..., Any], str] = {}


def register(package: str = "Custom", name: str | None = None) -> Callable[[Thing], Thing]:
    """Make a class or function known to `get` and `deserialize` as ``package>name``.

    The counterpart of ``keras.saving.register_keras_serializable``, a decorator.

    Args:
        package: usually the module that it belongs to.
        name: None is the object's own name.
    """

    def decorator(thing: Thing) -> Thing:
        full_name = f"{package}>{name or thing.__name__}"
        REGISTERED[full_name] = thing
        _registered_names[thing] = full_name
        return thing

    return decorator


def encode(value: Any) -> Any:
    """Return a value of a config as what JSON can hold.

    Raises:
        RequestError: it is a lambda, or an object without `get_config`.
    """
    if hasattr(value, "get_config") and not isinstance(value, type):
        return _encode_object(value)
    # Before plain numbers: NumPy's float64 is a Python float, too.
    if hasattr(value, "__array__"):
        return _encode_array(np.asarray(value))
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, dict):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    if isinstance(value, types.FunctionType):
        return _encode_function(value)
    raise RequestError(f"can't write {value!r} to a config: it has no get_config()")


def _encode_array(array: np.ndarray[Any, Any]) -> Any:
    if array.ndim == 0:
        return array.item()
    config = {"value": array.tolist(), "dtype": dtype_name(as_dtype(array.dtype))}
    return {"class_name": "__numpy__", "config": config}


def _encode_object(value: Any) -> dict[str, Any]:
    cls = type(value)
    # Keras notes that a class can't be imported by leaving its module out.
    module: str | None = cls.__module__ if cls.__module__ != "__main__" else None
    registered_name: str | None = _registered_names.get(cls, cls.__name__)
    class_name = cls.__name__
    if cls in PUBLIC:
        module, class_name = PUBLIC[cls]
        registered_name = None
    return {
        "module": module,
        "class_name": class_name,
        "config": encode(value.get_config()),
        "registered_name": registered_name,
    }


def _encode_function(function: types.FunctionType) -> dict[str, Any]:
    if function.__name__ == "<lambda>":
        raise RequestError("can't write a lambda to a config; give it a name with `def`")
    return {
        "module": "builtins",
        "class_name": "function",
        "config": _registered_names.get(function, function.__name__),
        "registered_name": "function",
    }


def decode(value: Any) -> Any:
    """Return the array or SeedGenerator that a config describes, and anything else as it is.

    Raises:
        RequestError: its description is wrong.
    """
    if not isinstance(value, dict):
        return value
    try:
        name, config = value["class_name"], value["config"]
        if name in ("__numpy__", "__tensor__"):
            with np.errstate(over="raise"):
                return np.array(config["value"], dtype=as_dtype(config["dtype"]))
        if name == "SeedGenerator":
            return SeedGenerator.from_config(config)
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        expected = "expected the config of an array or a SeedGenerator"
        raise RequestError(f"{expected}, received {value!r} ({error})") from None
    return value
