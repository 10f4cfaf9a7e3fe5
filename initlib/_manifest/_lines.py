"""Where each value of a manifest stands in its text."""

from __future__ import annotations

import re
from typing import Any, TypeAlias

from initlib._errors import ManifestError
from initlib._manifest._wording import show

# A scalar's 1-based line; of a mapping or list, also the lines of what is in it.
Lines: TypeAlias = "int | tuple[int, dict[str, Lines] | list[Lines]]"
# Keys that a path shows as they are; others might break its line.
_PLAIN_KEY = re.compile(r"[\w<>-]{1,80}")
Location: TypeAlias = tuple[str | int, ...]


def line_of(lines: Lines | None, location: Location) -> int | None:
    """Return the line of the value at a location, or of the nearest thing around it."""
    if lines is None:
        return None
    nearest: Any = lines
    for part in location:
        if isinstance(nearest, int):
            return nearest
        try:
            nearest = nearest[1][part]
        except (KeyError, IndexError, TypeError):
            break
    return nearest if isinstance(nearest, int) else int(nearest[0])


def path_of(location: Location) -> str:
    """Return a location as it is printed, such as `layers[3].shape[1]`."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if _PLAIN_KEY.fullmatch(part) else f"[{show(part)}]"
    return path.removeprefix(".")


def duplicate_key(key: str, source: str, line: int, lines: Lines) -> ManifestError:
    """Return the error for a key that a mapping, whose lines these are, already has."""
    problem = f"duplicate key {show(key)}, first on line {line_of(lines, (key,))}"
    return ManifestError(problem, source=source, line=line)
