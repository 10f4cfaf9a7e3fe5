"""Names with variables in them, such as `h.{i}.attn.weight`."""

from __future__ import annotations

import re
import string
from functools import lru_cache

from initlib._errors import RequestError
from initlib._manifest._expressions import Variables, arithmetic_names, evaluate_integer
from initlib._manifest._wording import show

# A width of at most 99, so that no name grows huge.
# Longer than any name has reason to be, and all that a name costs is by its length.
MAX_NAME = 4096
_FORMAT = re.compile(r"(0?[0-9]{0,2})d?")


def expand_name(name: str, variables: Variables) -> str:
    """Return a name with its {fields} replaced by their values.

    Raises:
        RequestError: a field is not arithmetic over the variables, or not an integer.
    """
    if len(name) > 4 * MAX_NAME:
        raise RequestError(f"expected at most {MAX_NAME} characters, received {len(name)}")
    try:
        expanded = name if "{" not in name and "}" not in name else _expanded(name, variables)
    except RequestError as error:
        raise RequestError(f"in the name {show(name)}: {error}") from None
    if len(expanded) > MAX_NAME:
        raise RequestError(f"expected at most {MAX_NAME} characters, received {len(expanded)}")
    return expanded


def _expanded(name: str, variables: Variables) -> str:
    return "".join(
        literal + ("" if field is None else format(evaluate_integer(field, variables), width))
        for literal, field, width in _parts(name)
    )


@lru_cache(maxsize=4096)
def _parts(name: str) -> list[tuple[str, str | None, str]]:
    """Split a name into text, the expression of the field after it, and that field's format."""
    try:
        parsed = list(string.Formatter().parse(name))
    except ValueError:
        raise RequestError("a single brace; write {{ or }} for a brace that is text") from None
    parts = []
    for literal, field, spec, conversion in parsed:
        width = _FORMAT.fullmatch(spec or "")
        if width is None or conversion is not None:
            raise RequestError("expected a format such as {i:02d}")
        parts.append((literal, field, width[1] + "d"))
    return parts


def name_variables(name: str) -> set[str]:
    """Return the variables that the fields of a valid name use."""
    fields = (arithmetic_names(field) for _, field, _ in _parts(name) if field is not None)
    return set().union(*(names or () for names in fields))
