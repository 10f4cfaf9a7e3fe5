"""`initgen schema`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

import initlib
from initgen._console import show_data


def schema(
    of: Annotated[
        str,
        typer.Argument(
            metavar="OF", help="manifest; or describe, verify or diff: what they print with --json."
        ),
    ] = "manifest",
) -> None:
    """Print the JSON Schema of manifests, for editors, or of a command's --json.

    Saved as initgen.schema.json, VS Code's YAML extension uses the manifest's where one starts with

    # yaml-language-server: $schema=initgen.schema.json
    """
    show_data(json.dumps(initlib.schema(of), indent=2))
