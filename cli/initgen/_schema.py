"""`initgen schema`."""

from __future__ import annotations

import json

import initlib


def schema() -> None:
    """Print the JSON Schema of manifests, for editors.

    VS Code's YAML extension uses it where a manifest starts with the line
    "# yaml-language-server: $schema=initgen.schema.json".
    """
    print(json.dumps(initlib.schema(), indent=2))
