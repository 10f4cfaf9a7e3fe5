"""`initgen diff`."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

import initlib
from initgen import _signals
from initgen._console import NOT_DONE, complain_of, printable, progress_bar, show, show_data

DIFFERENT = 1


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="A checkpoint of any kind.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB", help="Only tensors whose names match; can be given several times."
        ),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads.  [default: all cores]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print errors, and --json, alone.")
    ] = False,
) -> None:
    """Tell which tensors of two checkpoints differ, and by how much.

    Formats and shards don't matter: tensors are compared by their names, bit for bit. Exits with 1
    if a tensor differs, and with 3 if none does but something can't be compared. Other metadata is
    shown, but is no difference.
    """
    with progress_bar(shown=not quiet) as progress:
        found = initlib.diff(a, b, only=only or (), threads=threads, progress=progress)
    _signals.ignore()
    if as_json:
        show_data(json.dumps(dataclasses.asdict(found)))
    elif not quiet:
        show(*_lines(found))
    if found.tensors:
        raise typer.Exit(DIFFERENT)
    if found.unread:
        complain_of("can't compare", [(each.name, each.what) for each in found.unread])
        raise typer.Exit(NOT_DONE)


def _lines(found: initlib.Difference) -> list[str]:
    """Return a line for each difference, and one of summary."""
    rows = [(each.name, str(each.kind), _told(each)) for each in found.tensors]
    rows += [(each.name, "unread", f"{each.what}, not compared") for each in found.unread]
    rows += [(each.key, "metadata", _texts(each)) for each in found.metadata]
    rows = [(printable(name), kind, told) for name, kind, told in rows]
    width, kind = (max((len(row[i]) for row in rows), default=0) for i in (0, 1))
    lines = [f"{row[0]:{width}}  {row[1]:{kind}}  {row[2]}" for row in rows]
    if found.hint:
        lines.append(found.hint)
    return [*lines, _summary(found)]


def _told(each: initlib.TensorDifference) -> str:
    """Return in words how a tensor differs."""
    a, b = _kind(each.a_dtype, each.a_shape), _kind(each.b_dtype, each.b_shape)
    if each.kind in ("added", "removed"):
        return b if each.kind == "added" else a
    if each.kind == "changed" and each.elements is None:
        return f"{a}: other bytes"
    words = [] if each.kind == "changed" else [f"{a} -> {b}"]
    if each.rounded:
        words.append("B is A rounded")
    elif each.differing == 0:
        words.append("values are equal")
    if each.differing:
        words += _figures(each)
    return ", ".join(words)


def _figures(each: initlib.TensorDifference) -> list[str]:
    """Return how far the elements of two tensors are apart."""
    words = [f"{each.differing:,} of {each.elements:,} ({_percent(each.share)})"]
    if each.max_difference is not None:
        words.append(f"max {_number(each.max_difference)}")
    if each.rms is not None:
        words.append(f"rms {_number(each.rms)}")
    if each.relative_rms is not None:
        words.append(f"relative {_number(each.relative_rms)}")
    if each.not_finite:
        words.append(f"{each.not_finite:,} by no finite number")
    if each.first_index is not None:
        words.append(f"first [{', '.join(map(str, each.first_index))}]")
    return words


def _kind(dtype: str | None, shape: tuple[int, ...] | None) -> str:
    return str(dtype) if shape is None else f"{dtype} {list(shape)}"


def _percent(share: float | None) -> str:
    """Return a share; only all of it is 100%."""
    percent = 100 * (share or 0.0)
    if percent < 0.01:
        return "<0.01%"
    return f"{min(percent, 99.99) if percent < 100 else 100:.4g}%"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"


def _texts(each: initlib.MetadataDifference) -> str:
    """Return two texts, shortened."""
    return " -> ".join(_short(text) for text in (each.a, each.b))


def _short(text: str | None, length: int = 30) -> str:
    if text is None:
        return "(none)"
    return repr(text if len(text) <= length else f"{text[: length - 3]}...")


def _summary(found: initlib.Difference) -> str:
    from collections import Counter

    from pydantic import ByteSize

    total = found.equal + len(found.tensors)
    tensors = f"{total:,} tensor{'s' * (total != 1)}"
    size = f"{ByteSize(found.nbytes).human_readable()} in {found.seconds:.2f} s"
    rest = f"{len(found.unread):,} not compared" if found.unread else ""
    if not found.tensors:
        same = f"{tensors}, the same to the last bit"
        return f"{'; '.join(filter(None, (same, rest)))} ({size})"
    counts = Counter(each.kind for each in found.tensors)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(counts.items()))
    kinds = "; ".join(filter(None, (kinds, rest)))
    return f"{len(found.tensors):,} of {tensors} differ: {kinds} ({size})"
