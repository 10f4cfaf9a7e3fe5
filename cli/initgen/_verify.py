"""`initgen verify`."""

from __future__ import annotations

import dataclasses
import json
import sys
from contextlib import redirect_stdout
from typing import Annotated

import typer

import initlib
from initgen import _signals
from initgen._console import progress_bar, show, show_data


def verify(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The checkpoint; with --manifest anyone's.")
    ],
    manifest: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="What the tensors should be; - reads standard input.  [default: what the file "
            "says of itself]",
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Compare digests; make nothing again.")
    ] = False,
    allow_code: Annotated[
        bool,
        typer.Option(
            "--allow-code", help="Let custom code run; otherwise its tensors go by digest."
        ),
    ] = False,
    allow_files: Annotated[
        bool,
        typer.Option(
            "--allow-files",
            help="Read what the file says its tensors come from, wherever that is.",
        ),
    ] = False,
    threads: Annotated[int | None, typer.Option(help="Threads.  [default: all cores]")] = None,
    memory: Annotated[str, typer.Option(help="What buffers may take in all.")] = "64MiB",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print errors, and --json, alone.")
    ] = False,
) -> None:
    """Make a checkpoint's tensors again and compare them, bit for bit.

    A file that initgen wrote says itself how it was made, and then every byte counts. --manifest
    compares the tensors of any checkpoint with what a manifest makes. Custom code, which is looked
    for beside the manifest or else beside the file, runs only with --allow-code. Exits with 1 if
    anything differs.
    """
    # What custom code prints must not stand in the result.
    with progress_bar(shown=not quiet) as progress, redirect_stdout(sys.stderr):
        found = initlib.verify(
            file,
            manifest=manifest,
            quick=quick,
            allow_code=allow_code,
            allow_files=allow_files,
            threads=threads,
            memory=memory,
            progress=progress,
        )
    _signals.ignore()
    if as_json:
        show_data(json.dumps(dataclasses.asdict(found)))
    elif not quiet:
        show(*_lines(found))
    if not found.same:
        raise typer.Exit(1)


def _lines(found: initlib.Verified) -> list[str]:
    """Return a line for each problem, and one of summary."""
    lines = [f"{found.path}: {note}" for note in found.notes]
    if found.header:
        lines.append(f"{found.path}: {found.header}")
    lines += [f"{each.name}: {each.detail}" for each in found.tensors if not each.same]
    return [*lines, f"{found.path}: {_summary(found)}"]


def _summary(found: initlib.Verified) -> str:
    from pydantic import ByteSize

    size = ByteSize(found.nbytes).human_readable()
    count = len(found.tensors)
    tensors = f"{count:,} tensor{'s' * (count != 1)}"
    source = "its provenance says" if found.by == "provenance" else "the manifest says"
    ways = (
        (found.values, "made again"),
        (found.tolerance, "within tolerance"),
        (found.digest, "by digest"),
    )
    how = ", ".join(f"{number:,} {way}" for number, way in ways if number)
    how = f" ({how})" if how else ""
    took = f"in {found.seconds:.2f} s"
    if found.same:
        made = ", and was made from the manifest" if found.recorded else ""
        return f"{tensors}, {size}: every bit is as {source}{how}{made} {took}"
    if found.different:
        return f"{found.different:,} of {tensors} aren't as {source}{how} {took}"
    but = "the manifest isn't what made them" if found.recorded is False else "the file isn't"
    return f"{tensors}, {size}: the values are as {source}{how}, but {but} {took}"
