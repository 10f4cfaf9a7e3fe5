"""Initializers from a user's own code, which runs only where the user allowed it."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from initlib._errors import RequestError, did_you_mean


def load(identifier: str, config: Mapping[str, Any], folder: Path) -> Any:
    """Import ``file.py:name`` or ``package.module:name`` and return a ready initializer.

    Args:
        identifier: where the code is; a file is looked for in `folder`.
        config: arguments of a class's constructor, or of a function beside shape and dtype.
        folder: the manifest's folder.

    Raises:
        RequestError: it can't be found, imported or made.
    """
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
    if isinstance(found, type):
        try:
            return found(**config)
        except (Exception, SystemExit) as error:
            raise failure(identifier, error) from error
    return functools.partial(found, **config) if config else found


def failure(what: str, error: BaseException) -> RequestError:
    """Return the error that tells, in one line, what a user's code raised and where."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_ours(frame.filename)]
    where = f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""
    message = " ".join(str(error).split())
    return RequestError(f"{what} raised {type(error).__name__}: {message}{where}")


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
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise failure(f"importing {path.name}", error) from error
    finally:
        if previous is not None:
            sys.modules[path.stem] = previous
    return module


@functools.cache
def _import_module(name: str, folder: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        problem = str(failure(f"importing {name}", error))
        if (folder / f"{name}.py").is_file():
            problem += f"; did you mean '{name}.py:...', the file beside the manifest?"
        raise RequestError(problem) from error
