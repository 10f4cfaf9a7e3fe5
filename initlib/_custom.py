"""Initializers from a user's own code, which runs only where the user allowed it."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from initlib._errors import RequestError, did_you_mean
from initlib._remote import Address, Place


def load(identifier: str, config: Mapping[str, Any], folder: Place) -> Any:
    """Return a ready initializer from ``file.py:name`` or ``package.module:name``.

    Args:
        identifier: see `find`.
        config: arguments of a class's constructor, or of a function beside shape and dtype.
        folder: the manifest's.

    Raises:
        RequestError: it can't be found or imported. What a constructor raises passes: see `guard`.
    """
    found = find(identifier, folder)
    if isinstance(found, type):
        return found(**config)
    return functools.partial(found, **config) if config else found


def find(identifier: str, folder: Place) -> Any:
    """Import ``file.py:name`` or ``package.module:name`` and return the class or function.

    Args:
        identifier: where the code is; a file is looked for in `folder`.
        folder: where else modules are.

    Raises:
        RequestError: it can't be found or imported.
    """
    if isinstance(folder, Address):
        text = f"what is at {folder} can't name any; bring it to this machine"
        raise RequestError(f"{identifier} is code, and {text}")
    source, _, name = identifier.rpartition(":")
    if source.endswith(".py"):
        module = _import_file(folder / source)
    else:
        module = _import_module(source, folder)
    found = getattr(module, name, None)
    if found is None:
        hint = did_you_mean(name, vars(module))
        raise RequestError(f"{source} has no {name!r}{hint}")
    if not callable(found):
        raise RequestError(f"expected a class or a function, but {identifier} is {found!r}")
    return found


@contextmanager
def guard(what: str) -> Iterator[None]:
    """Turn whatever a user's code raises into a RequestError of one line that says where.

    Interrupts and a lack of memory pass: they are not the code's fault.
    """
    try:
        yield
    except (KeyboardInterrupt, MemoryError):
        raise
    except RequestError as error:
        raise RequestError(" ".join(str(error).split())) from error
    except BaseException as error:
        raise RequestError(f"{what} raised {_told(error)}") from error


def _told(error: BaseException) -> str:
    """Return an exception's type, message and line in the user's code, as one line."""
    try:
        message = " ".join(str(error).split())
    except Exception:
        message = "(its message can't be read)"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_ours(frame.filename)]
    where = f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {message}{where}"


def source_sha256(initializer: Any) -> str | None:
    """Return the hash of the file that defines a custom initializer, where there is one."""
    code = initializer.func if isinstance(initializer, functools.partial) else initializer
    try:
        file = inspect.getsourcefile(code if inspect.isroutine(code) else type(code))
    except TypeError:
        file = None
    if file is None or not Path(file).is_file():
        return None
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def _is_ours(filename: str) -> bool:
    """Tell frames of initlib and of Python's import system from those of a user's code."""
    return filename.startswith("<frozen") or Path(__file__).parent in Path(filename).parents


@functools.cache
def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        near = did_you_mean(path.name, (p.name for p in path.parent.glob("*.py")))
        raise RequestError(f"there is no file {path.name} beside the manifest{near}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise RequestError(f"can't import {path.name}")
    module = importlib.util.module_from_spec(spec)
    # As an import does: a dataclass or a pickle looks for its module there.
    previous = sys.modules.get(path.stem)
    sys.modules[path.stem] = module
    try:
        with guard(f"importing {path.name}"):
            spec.loader.exec_module(module)
    finally:
        if previous is not None:
            sys.modules[path.stem] = previous
    return module


@functools.cache
def _import_module(name: str, folder: Path) -> ModuleType:
    try:
        with guard(f"importing {name}"):
            return importlib.import_module(name)
    except RequestError as error:
        if not (folder / f"{name}.py").is_file():
            raise
        hint = f"; did you mean '{name}.py:...', the file beside the manifest?"
        raise RequestError(f"{error}{hint}") from error
