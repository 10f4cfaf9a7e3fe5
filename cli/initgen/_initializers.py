"""`initgen initializers`."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from typing import Annotated

import typer

import initlib
from initgen._console import show, show_data, show_table


def initializers(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Show one in detail, by any of its names."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List the initializers: names, arguments and defaults."""
    catalogue = initlib.initializers.catalogue
    entries = catalogue() if name is None else [initlib.initializers.lookup(name)]
    if as_json:
        show_data(json.dumps({entry.name: dataclasses.asdict(entry) for entry in entries}))
    elif name is not None:
        _print_details(entries[0])
    else:
        rows = [(entry.aliases[0], entry.summary, _arguments(entry)) for entry in entries]
        show_table(("name", "makes", "arguments"), rows)


def _arguments(entry: initlib.initializers.Entry) -> str:
    optional = (f"{key}={value!r}" for key, value in entry.arguments.items())
    return ", ".join((*entry.required, *optional))


def _print_details(entry: initlib.initializers.Entry) -> None:
    """Print all that the catalogue has on one initializer."""
    show(f"{entry.name}({_arguments(entry)})", "")
    show(*textwrap.wrap(entry.summary, 80))
    if entry.formula:
        show(*textwrap.wrap(entry.formula, 80))
    show("", f"In manifests: {', '.join((*entry.aliases, entry.name))}")
