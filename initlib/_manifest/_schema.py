"""The manifest's JSON Schema."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from initlib._manifest._model import Document


def schema(initializers: Iterable[str]) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) by which editors complete and check manifests.

    Args:
        initializers: the names to complete; of calls and of custom code only the form is checked.
    """
    body = Document.model_json_schema()
    layer, rule = (body["$defs"][part]["properties"]["initializer"] for part in ("Layer", "Rule"))
    names = {"type": "string", "enum": sorted(initializers)}
    form = {"type": "string", "pattern": "[(:]"}
    for place in (layer["anyOf"][0], rule):
        text, config = place.pop("oneOf")
        place["anyOf"] = [names, text | form, config]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **body,
        "title": "initgen manifest",
        "examples": [
            {
                "seed": 42,
                "dtype": "float32",
                "layers": [
                    {
                        "name": "dense/kernel",
                        "shape": [784, 256],
                        "initializer": "glorot_uniform",
                    },
                    {"name": "dense/bias", "shape": [256], "initializer": "zeros"},
                ],
            }
        ],
    }
