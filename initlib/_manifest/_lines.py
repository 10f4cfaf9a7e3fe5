"""Where each value of a manifest stands in its text."""

from __future__ import annotations

from typing import Any, TypeAlias

from initlib._errors import ManifestError

# A scalar's 1-based line; of a mapping or list, also the lines of what is in it.
Lines: TypeAlias = "int | tuple[int, dict[str, Lines] | list[Lines]]"
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
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return "".join(parts).removeprefix(".")


def duplicate_key(key: str, source: str, line: int, lines: Lines) -> ManifestError:
    """Return the error for a key that a mapping, whose lines these are, already has."""
    problem = f"duplicate key {key!r}, first on line {line_of(lines, (key,))}"
    return ManifestError(problem, source=source, line=line)
