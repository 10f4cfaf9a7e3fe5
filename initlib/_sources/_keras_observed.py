"""What Keras makes of a model's config: its variables, without memory for their values."""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from initlib._errors import RequestError
from initlib._formats import shorten
from initlib._sources._draft import Unknown
from initlib._sources._keras_config import customs
from initlib._sources._keras_import import import_keras
from initlib._sources._keras_initializers import written
from initlib._sources._laws import Law, Parts

# Elements of a variable that are looked at where no initializer makes them, and how many parts
# these may have.
_LARGEST, _PARTS = 1 << 20, 8


@dataclass(frozen=True, slots=True)
class Observed:
    """A variable.

    Attributes:
        name: in the file that Keras writes.
        shape: in elements.
        dtype: its dtype's name.
        initializer: as a manifest has it, or `Unknown`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    initializer: Any


def observe(config: Mapping[str, Any]) -> list[Observed]:
    """Return the variables of the model of a config, in the order of Keras's files.

    Nothing of the config's is run: Keras refuses lambdas and classes that nobody registered.

    Raises:
        RequestError: Keras isn't installed, or can't make the model.
    """
    keras = import_keras()
    try:
        bare = _bare(config)
        names = list(customs(bare))
    except RecursionError as error:
        raise RequestError("its config nests too deeply") from error
    for name in names:
        if keras.saving.get_registered_object(name) is None:
            raise RequestError(
                f"it has the custom {shorten(name)}: call initlib.manifest in a program that "
                "registers it with Keras"
            )
    # What Keras keeps between calls belongs to a thread, and goes with this one.
    with ThreadPoolExecutor(1) as thread, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return thread.submit(_built, keras, bare).result()


def _bare(config: Any) -> Any:
    """Return a copy of a config, without what matters to training and inference only."""
    if isinstance(config, list):
        return [_bare(value) for value in config]
    if not isinstance(config, dict):
        return config
    copy = {key: _bare(value) for key, value in config.items() if key != "compile_config"}
    # States between batches are no weights, and can't wait for their values.
    return {**copy, "stateful": False} if copy.get("stateful") is True else copy


def _built(keras: Any, config: dict[str, Any]) -> list[Observed]:
    try:
        # What is made in this scope waits for its values.
        library = importlib.import_module("keras.src.saving.serialization_lib")
        with keras.StatelessScope(initialize_variables=False), library.ObjectSharingScope():
            model = keras.saving.deserialize_keras_object(config, safe_mode=True)
            _check(model)
            seeds = set(_seeds(config))
            return [_observed(keras, name, each, seeds) for name, each in _saved(model)]
    except RequestError:
        raise
    except Exception as error:
        raise RequestError(f"Keras can't make it: {_first(error)}") from error


def _check(model: Any) -> None:
    if not getattr(model, "built", False):
        raise RequestError("it has no shapes: build the model before its config is saved")


def _seeds(config: Any) -> Iterator[int]:
    """Yield the integers that a config gives as seeds."""
    if isinstance(config, list | tuple):
        for value in config:
            yield from _seeds(value)
    elif isinstance(config, dict):
        if isinstance(config.get("seed"), int):
            yield config["seed"]
        for value in config.values():
            yield from _seeds(value)


def _saved(model: Any) -> list[tuple[str, Any]]:
    """Return what Keras would save of a model, by its names in the file."""
    library = importlib.import_module("keras.src.saving.saving_lib")
    found: list[tuple[str, Any]] = []
    path = ""

    def make(self: Any, inner: str, metadata: Any = None) -> Any:
        nonlocal path
        path = inner
        return self

    def add(self: Any, key: str, value: Any) -> None:
        found.append(("/".join(part for part in (path, "vars", key) if part), value))

    methods = {
        "__init__": lambda self: None,
        "__bool__": lambda self: True,
        "__setitem__": add,
        "make": make,
    }
    store = type("Store", (library.H5IOStore,), methods)()
    library._save_state(model, store, None, inner_path="", visited_saveables=set())
    return found


def _observed(keras: Any, name: str, variable: Any, seeds: set[int]) -> Observed:
    shape, dtype = tuple(variable.shape), keras.backend.standardize_dtype(variable.dtype)
    initializer = getattr(variable, "_initializer", None)
    found: Any = Unknown("a function makes it, and no initializer")
    if isinstance(initializer, keras.Initializer):
        try:
            config = keras.initializers.serialize(initializer)
            # Of an einsum, Keras makes the initializer again, with the seed that was drawn for it.
            if config["config"].get("input_axes") and config["config"].get("seed") not in seeds:
                config["config"]["seed"] = None
            found = written(config)
        except RequestError as error:
            found = Unknown(str(error))
    elif callable(initializer) and 1 < math.prod(shape) <= _LARGEST:
        values = keras.ops.convert_to_numpy(initializer(shape, dtype=variable.dtype))
        found = _in_parts(np.asarray(values)) or found
    return Observed(name, shape, dtype, found)


def _in_parts(values: npt.NDArray[Any]) -> str | None:
    """Return the initializer of values that are few constants, one after the other."""
    flat = values.ravel()
    starts = [0, *(np.flatnonzero(flat[1:] != flat[:-1]) + 1).tolist()]
    laws = [Law("constant", (flat[start].item(),)) for start in starts]
    if len(laws) == 1:
        return laws[0].call()
    if values.ndim > 1 or len(laws) > min(_PARTS, flat.size // 2):
        return None
    return Parts(tuple(zip(starts, laws, strict=True)), flat.size).written(flat.size)


def _first(error: Exception) -> str:
    """Return the first sentence of an error, of the innermost one where it quotes others."""
    text = " ".join(str(error).rpartition("Exception encountered: ")[2].split())
    return shorten(text.partition(". ")[0])[1:-1]
