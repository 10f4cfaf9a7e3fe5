"""The commands, put together."""

from __future__ import annotations

from typing import Annotated

import typer

from initgen._describe import describe
from initgen._diff import diff
from initgen._generate import generate
from initgen._initializers import initializers
from initgen._manifest import manifest
from initgen._schema import schema
from initgen._verify import verify
from initlib import __version__

app = typer.Typer(
    name="initgen",
    help="Write freshly initialised model weights: exact, reproducible, at the disk's speed.",
    no_args_is_help=True,
    # Help in plain text stays the same on every terminal, and costs no import of rich.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (generate, describe, verify, diff, manifest, initializers, schema):
    app.command()(command)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"initgen {__version__}", flush=True)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass
