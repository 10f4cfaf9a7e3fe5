"""`initgen schema`."""

from __future__ import annotations

import json

import initlib
from initgen._console import show


def schema() -> None:
    """Print the JSON Schema of manifests, for editors.

    Saved as initgen.schema.json, VS Code's YAML extension uses it where a manifest starts with

    # yaml-language-server: $schema=initgen.schema.json
    """
    show(json.dumps(initlib.schema(), indent=2))
