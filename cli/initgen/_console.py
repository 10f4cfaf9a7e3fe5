"""What is drawn on a terminal; the only user of rich, which is loaded only where there is one."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

Progress = Callable[[int, int], None]

# The exit code of what could not be done, or not all of it.
NOT_DONE = 3


def show(*lines: str) -> None:
    """Print a result for people, line by line; names in it can't command the terminal."""
    _print("\n".join(map(printable, lines)))


def show_data(text: str) -> None:
    """Print a result for programs: as it is, in UTF-8 whatever the locale."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files need not be text.
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    _print(text)


def complain(message: str) -> None:
    """Print in one line what went wrong."""
    print(f"initgen: {printable(' '.join(message.splitlines()))}", file=sys.stderr, flush=True)


def complain_of(what: str, things: Sequence[tuple[str, str]]) -> None:
    """Print in one line what went wrong with things, given as their names and what they are."""
    name, kind = things[0]
    others = f" and {len(things) - 1:,} more" if len(things) > 1 else ""
    complain(f"{what} {name!r} ({kind}){others}")


def _print(text: str) -> None:
    """Print a text; a reader that has had enough, as `head` has, is no error."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        discard_output()


def discard_output() -> None:
    """Let what waits in a broken standard output vanish: Python would try to write it at exit."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table."""
    show(*table(header, rows))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of columns side by side, as wide as what is in them.

    Args:
        header: names of the columns; those that begin with > are aligned to the right.
        rows: their cells.
    """
    right = [name.startswith(">") for name in header]
    cells = [[name.removeprefix(">") for name in header], *([*map(printable, r)] for r in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        places = zip(row, widths, right, strict=True)
        line = (text.rjust(width) if end else text.ljust(width) for text, width, end in places)
        lines.append("  ".join(line).rstrip())
    return lines


def printable(text: str) -> str:
    """Return a text, such as a tensor's name, with what would command a terminal written out."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


@contextmanager
def progress_bar(*, shown: bool) -> Iterator[Progress | None]:
    """Draw a bar with bytes per second and the time left, if standard error is a terminal."""
    if not (shown and sys.stderr.isatty()):
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TaskProgressColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
