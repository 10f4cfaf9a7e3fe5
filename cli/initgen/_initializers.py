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
        rows = [(e.identifier, e.group, e.summary, _arguments(e)) for e in entries]
        show_table(("name", "of", "makes", "arguments"), rows)


def _arguments(entry: initlib.initializers.Entry) -> str:
    return ", ".join(
        key if key in entry.required else f"{key}={value!r}"
        for key, value in entry.arguments.items()
    )


def _print_details(entry: initlib.initializers.Entry) -> None:
    """Print all that the catalogue has on one initializer."""
    show(f"{entry.name}({_arguments(entry)})", "")
    show(*textwrap.wrap(entry.summary, 80))
    if entry.formula:
        show(*textwrap.wrap(entry.formula, 80))
    if entry.source:
        show("", *textwrap.wrap(f"Source: {entry.source}", 80))
    names = dict.fromkeys((entry.identifier, *entry.aliases, entry.name))
    show("", *textwrap.wrap(f"In manifests: {', '.join(names)}", 80))
