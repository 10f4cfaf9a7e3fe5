"""`initgen manifest`."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

import initlib
from initgen import _signals
from initgen._console import NOT_DONE, complain, complain_of, show_data


def manifest(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A checkpoint: safetensors, HDF5, or a folder or index of shards.  Or a model: "
            "a .keras archive or .json config, hf:FOLDER or hf:TYPE of transformers', or "
            "torch:FILE.py:FACTORY, which is run.",
        ),
    ],
    rules: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="What is initialised how: gpt2, keras, llama, torch, or a manifest with rules.  "
            "[default: what the source says itself; keras for HDF5, torch for safetensors]",
        ),
    ] = None,
    state_dict: Annotated[
        bool,
        typer.Option(
            "--state-dict",
            help="Name the tensors of hf:... as the module in memory does, which "
            "initlib.torch.materialize fills, and not as save_pretrained's files.",
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write.  [default: standard output]"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write JSON, which is a manifest as well.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no notes.")] = False,
) -> None:
    """Write the manifest of a checkpoint or a model: its tensors, and how they begin.

    Of checkpoints only headers are read. A file of initgen's gives its own manifest back. Of
    others, rules say what is initialised how, by the tensors' names. A model is built without
    memory for its weights, to see how it initialises them. Blocks that are alike become a repeat.
    """
    file = None if output is None else initlib.TextFile(output, force=force, keep=source)
    # A model's code may print.
    with redirect_stdout(sys.stderr):
        found = initlib.manifest(source, rules=rules, state_dict=state_dict)
    text = json.dumps(found.manifest, indent=2) if as_json else found.text.removesuffix("\n")
    _signals.ignore()
    if file is None:
        show_data(text)
    else:
        file.write(text + "\n")
    if not quiet:
        for note in found.notes:
            complain(f"{source}: {note}")
    if found.partial:
        complain_of(f"{source}: not in the manifest, or without an initializer:", found.missing)
        raise typer.Exit(NOT_DONE)
