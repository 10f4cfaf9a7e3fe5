"""What is drawn on a terminal; the only user of rich, which is loaded only where there is one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

Progress = Callable[[int, int], None]


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns side by side, as wide as what is in them."""
    cells = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        line = [text.ljust(width) for text, width in zip(row, widths, strict=True)]
        print("  ".join(line).rstrip())


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
