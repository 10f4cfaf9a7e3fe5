"""`initgen generate`."""

from __future__ import annotations

import dataclasses
import json
import sys
from contextlib import redirect_stdout
from typing import Annotated, Any

import typer

import initlib
from initgen import _signals
from initgen._console import progress_bar, show, show_data, show_table


def generate(
    manifest: Annotated[
        str, typer.Argument(metavar="MANIFEST", help="YAML or JSON file; - reads standard input.")
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write: .safetensors, .h5 or .hdf5; or a folder/ for shards. Either may "
            "be an address, as s3://bucket/key.  [default: the manifest's name, or model, with "
            ".safetensors]",
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(help="safetensors or hdf5.  [default: by the output's suffix]"),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Replaces the manifest's seed.")] = None,
    dtype: Annotated[
        str | None,
        typer.Option(help="Replaces the manifest's default dtype; layers keep their own."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB", help="Write only tensors whose names match; can be given several times."
        ),
    ] = None,
    max_shard_size: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Write a folder of files with at most so many bytes of tensors each.  [default: "
            "5GB in a folder]",
        ),
    ] = None,
    copy_from: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER", help="Write a folder, with the config and tokenizer files from there."
        ),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads.  [default: all cores]")] = None,
    memory: Annotated[str, typer.Option(help="What buffers may take in all.")] = "64MiB",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Keep finished shards if the run is stopped, and go on from those that are there "
            "and verify. A single file is made anew, unless it is there and whole.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the manifest, list the tensors, write nothing.")
    ] = False,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Let the manifest's own Python code run.")
    ] = False,
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="ENGINE",
            help="Let workers of a cluster make the files of a folder: dask://HOST:PORT, or dask "
            "for one on this machine. They need the same storage by the same path.",
        ),
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(
            metavar="K/N",
            help="Make the files of one of N parts of a folder, as a job of its own on any machine "
            "with the same storage; --finish is the last step.",
        ),
    ] = None,
    finish: Annotated[
        bool,
        typer.Option("--finish", help="Let the files of all parts take their names, index last."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print errors, and --json, alone.")
    ] = False,
) -> None:
    """Write the checkpoint that a manifest describes.

    The file appears under its name only once it is whole. The same manifest makes the same bytes on
    every machine, whatever --threads and --memory are; only the last bits of orthogonal and stft,
    and what your own code does, may differ between machines.
    """
    # What a manifest's own code prints must not stand in the result.
    own_prints = redirect_stdout(sys.stderr)
    with progress_bar(shown=not quiet and not dry_run) as progress, own_prints:
        done = initlib.generate(
            manifest,
            output,
            format=format,
            seed=seed,
            dtype=dtype,
            only=only or (),
            max_shard_size=max_shard_size,
            copy_from=copy_from,
            threads=threads,
            memory=memory,
            force=force,
            resume=resume,
            dry_run=dry_run,
            allow_code=allow_code,
            engine=engine,
            part=part,
            finish=finish,
            progress=progress,
            commit=_signals.commit,
        )
    _signals.ignore()
    if as_json:
        show_data(json.dumps(_as_dict(done, dry_run=dry_run)))
    elif not quiet:
        if dry_run:
            _print_rows(done)
        show(_summary(done, part=part, dry_run=dry_run))


def _as_dict(done: initlib.Generated, *, dry_run: bool) -> dict[str, Any]:
    """Return a result as what JSON can hold."""
    return {**dataclasses.asdict(done), "path": str(done.path), "dry_run": dry_run}


def _summary(done: initlib.Generated, *, part: str | None, dry_run: bool) -> str:
    """Return what was written, or would be, in one line."""
    from pydantic import ByteSize

    nbytes, speed = (
        ByteSize(n).human_readable() for n in (done.nbytes, done.nbytes / (done.seconds or 1))
    )
    count = len(done.tensors)
    what = f"{count:,} tensor{'s' * (count != 1)}, {done.parameters:,} parameters, {nbytes}"
    if len(done.files) > 1:
        what += f", in {len(done.files):,} files"
    if done.kept:
        what += f", {len(done.kept):,} of them kept" if len(done.files) > 1 else ", kept"
    if part is not None:
        what = f"part {part}: {what}"
    if dry_run:
        return f"{done.path} ({done.format}) would hold {what}"
    took = f"{done.seconds:.2f} s"
    if len(done.kept) < max(1, len(done.files)):
        took += f" ({speed}/s)"
    return f"{done.path}: {what} in {took}"


def _print_rows(done: initlib.Generated) -> None:
    """Print a table of the tensors."""
    width = len(f"{max((t.nbytes for t in done.tensors), default=0):,}")
    rows = [
        (f"{t.nbytes:{width},}", t.dtype, str(list(t.shape)), t.name, t.initializer)
        for t in done.tensors
    ]
    show_table(("bytes", "dtype", "shape", "name", "initializer"), rows)
