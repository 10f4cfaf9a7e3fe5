"""`initgen describe`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

import initlib
from initgen import _signals
from initgen._console import NOT_DONE, complain_of, progress_bar, show, show_data


def describe(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="A safetensors or HDF5 file, a folder or an index of shards, a .keras archive; or "
            "a manifest (.yaml, .yml, .json; - reads standard input).",
        ),
    ],
    manifest: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Tells the checkpoint's initializers.  [default: what the file says of itself]",
        ),
    ] = None,
    filter: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB", help="Only tensors whose names match; can be given several times."
        ),
    ] = None,
    tensor: Annotated[
        str | None, typer.Option(metavar="NAME", help="One tensor in detail.")
    ] = None,
    depth: Annotated[
        int,
        typer.Option(
            help="Figures of groups: names that begin alike until so many dots or slashes."
        ),
    ] = 0,
    sort: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="name, dtype, verdict; or a figure, the largest first: parameters, nbytes, "
            "fan_in, fan_out, mean, stddev, min, max, skewness, kurtosis, l2, zeros, nan, "
            "infinite.  [default: name]",
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            help="How shapes are read: keras or torch.  [default: what the file or manifest says, "
            "else torch for safetensors, keras for others]"
        ),
    ] = None,
    format: Annotated[
        str | None, typer.Option(help="Of the file that a manifest would make.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads.  [default: all cores]")] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a page for the browser, FILE.html."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    csv: Annotated[
        bool, typer.Option("--csv", help="Print a line of values for each tensor.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print errors, and --json or --csv, alone.")
    ] = False,
) -> None:
    """Show what is in a checkpoint, or what a manifest would make.

    A checkpoint's values are read once. Where the file or --manifest tells their initializers, they
    are held against what those promise: a tensor is off if chance alone makes such values in one of
    1,000 checkpoints at most. Of a manifest, what looks like a mistake is told; its options are
    --filter and --format.
    """
    if as_json and csv:
        raise initlib.RequestError("expected --json or --csv, received both")
    if html is not None and html.suffix.lower() not in (".html", ".htm"):
        # What is there is replaced: it should not be a checkpoint.
        raise initlib.RequestError(f"{html}: expected a name that ends in .html")
    page = None if html is None else initlib.TextFile(html, force=True)
    with progress_bar(shown=not quiet) as progress:
        found = initlib.describe(
            target,
            manifest=manifest,
            filter=filter or (),
            tensor=tensor,
            depth=depth,
            sort=sort,
            layout=layout,
            format=format,
            threads=threads,
            progress=progress,
        )
    if page is not None:
        page.write(_page(found))
    _signals.ignore()
    if as_json:
        show_data(json.dumps(dataclasses.asdict(found)))
    elif csv:
        from initgen._describe_text import as_csv

        show_data(as_csv(found))
    elif not quiet:
        show(*_lines(found, detailed=tensor is not None))
    if isinstance(found, initlib.Description) and found.unread:
        unread = [(each.name, each.what) for each in found.unread]
        complain_of(f"{found.path}: can't read", unread)
        raise typer.Exit(NOT_DONE)


def _lines(found: initlib.Description | initlib.Outline, *, detailed: bool) -> list[str]:
    from initgen._describe_text import description_lines, outline_lines, tensor_lines

    if isinstance(found, initlib.Outline):
        return outline_lines(found)
    return tensor_lines(found) if detailed else description_lines(found)


def _page(found: initlib.Description | initlib.Outline) -> str:
    if not isinstance(found, initlib.Description):
        raise initlib.RequestError("expected a checkpoint for --html, received a manifest")
    from initgen._html import render

    return render(found)
