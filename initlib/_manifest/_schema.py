"""The manifest's JSON Schema."""

from __future__ import annotations

from typing import Any

from initlib._manifest._model import Document


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) by which editors complete and check manifests."""
    body = Document.model_json_schema()
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
