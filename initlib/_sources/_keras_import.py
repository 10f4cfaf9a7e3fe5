"""Keras itself, imported where it is needed, so that nothing but the import is left of it."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from initlib._errors import RequestError
from initlib._extras import lacking

# Keras's backends, the quickest to start first, and the packages that they need.
_BACKENDS = {"jax": "jax", "torch": "torch", "tensorflow": "tensorflow", "numpy": "jax"}


class KerasMissingError(RequestError):
    """Keras is needed, and can't be imported."""


def import_keras() -> Any:
    """Return Keras, imported with a backend that is installed if the one it would take isn't.

    Raises:
        KerasMissingError: it isn't installed, or has no backend.
    """
    loaded = sys.modules.get("keras")
    if loaded is not None:
        return loaded
    if not _installed("keras"):
        raise KerasMissingError(lacking("keras", "keras"))
    home = os.environ.get("KERAS_HOME")
    settings = (Path(home) if home else Path("~/.keras").expanduser()) / "keras.json"
    wanted = os.environ.get("KERAS_BACKEND")
    backend = wanted or _configured(settings)
    if not _installed(_BACKENDS.get(backend, backend)):
        there = [name for name, package in _BACKENDS.items() if _installed(package)]
        if wanted or not there:
            raise KerasMissingError(
                f"Keras needs {backend}, which isn't installed; pip install jax"
            )
        backend = there[0]
    with _environment(KERAS_BACKEND=backend, TF_CPP_MIN_LOG_LEVEL="3"), _as_it_was(settings):
        try:
            return importlib.import_module("keras")
        except ImportError as error:
            raise KerasMissingError(f"Keras can't be imported: {error}") from error


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # a module that is loaded, but from nowhere
        return sys.modules[package] is not None


def _configured(settings: Path) -> str:
    """Return the backend that Keras's settings name."""
    with suppress(OSError, ValueError, AttributeError):
        return str(json.loads(settings.read_text()).get("backend", "tensorflow"))
    return "tensorflow"


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _as_it_was(settings: Path) -> Iterator[None]:
    """Remove the settings that Keras writes when it is imported, if there were none."""
    new = [path for path in (settings, settings.parent) if not path.exists()]
    yield
    with suppress(OSError):
        for path in new:
            path.rmdir() if path.is_dir() else path.unlink()
