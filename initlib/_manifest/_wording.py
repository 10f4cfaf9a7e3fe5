"""How values look in messages."""

from __future__ import annotations

import reprlib
from typing import Any

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_NAMES = {None: "null", True: "true", False: "false"}


def show(value: Any) -> str:
    """Return a value as a message quotes it: one short line, constants as in YAML and JSON."""
    if value is None or isinstance(value, bool):
        return _NAMES[value]
    try:
        return _SHORT.repr(value)
    except ValueError:  # Python writes out no integer of more than 4,300 digits
        return "a number of too many digits"
