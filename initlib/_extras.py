"""Frameworks that are needed for some sources alone, and come with extras."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from initlib._errors import RequestError


def lacking(module: str, name: str) -> str:
    """Return the line that says which module isn't there and which extra brings it."""
    return f"this needs {module}, which isn't installed: pip install 'initgen[{name}]'"


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Turn the lack of what an extra of initgen's brings along into a line that says so.

    Raises:
        RequestError: a module that the context imports isn't installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        raise RequestError(lacking(missing, name)) from error
