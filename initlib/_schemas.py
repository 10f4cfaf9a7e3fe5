"""JSON Schemas: of manifests, for editors, and of what the commands print with ``--json``."""

from __future__ import annotations

import re
from typing import Any

from pydantic import TypeAdapter

from initlib import _manifest, initializers
from initlib._description import Description, Outline
from initlib._diff import Difference
from initlib._errors import RequestError, did_you_mean
from initlib._verify import Verified

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_RESULTS: dict[str, Any] = {
    "describe": Description | Outline,
    "verify": Verified,
    "diff": Difference,
}


def schema(of: str = "manifest") -> dict[str, Any]:
    """Return a JSON Schema (draft 2020-12).

    Args:
        of: "manifest", for editors to complete and check; or "describe", "verify" or "diff" for
            what these commands print with ``--json``, which is what the functions of these names
            return.

    Raises:
        RequestError: there is no schema of this name.
    """
    if of == "manifest":
        return _manifest.schema(initializers.IDENTIFIERS)
    if of not in _RESULTS:
        known = ["manifest", *_RESULTS]
        hint = did_you_mean(of, known) or f"; expected one of {', '.join(known)}"
        raise RequestError(f"there is no schema of {of!r}{hint}")
    found = TypeAdapter(_RESULTS[of]).json_schema(mode="serialization")
    for each in (found, *found["$defs"].values()):
        _explain(each)
    return {"$schema": DIALECT, **found}


def _explain(each: dict[str, Any]) -> None:
    """Give a type's fields the descriptions that its docstring has of them."""
    summary, _, attributes = each.get("description", "").partition("Attributes:\n")
    each["description"] = " ".join(summary.split())
    fields = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", attributes, re.MULTILINE)
    for name, text in fields:
        if name in each.get("properties", {}):
            field = each["properties"][name]
            field.pop("title", None)
            field["description"] = " ".join(text.split())
