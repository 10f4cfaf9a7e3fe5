"""Initializers from a user's own code, which runs only where the user allowed it."""

from __future__ import annotations

import functools
import importlib
import importlib.util
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
    module = _import_file(folder / source) if source.endswith(".py") else _import_module(source)
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
    own = [frame for frame in frames if Path(frame.filename).parent != Path(__file__).parent]
    where = f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""
    message = " ".join(str(error).split())
    return RequestError(f"{what} raised {type(error).__name__}: {message}{where}")


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
def _import_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise failure(f"importing {name}", error) from error
