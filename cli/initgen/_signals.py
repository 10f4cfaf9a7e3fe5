"""What signals do: before a command is done they undo it, afterwards they come too late."""

from __future__ import annotations

import signal
import sys
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def watch() -> None:
    """Leave as an exit does when a signal comes, so that temporary files are removed."""
    for number in STOPPING:
        # In the background, and under nohup, some are ignored, and stay so.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def ignore() -> None:
    """Let a signal change nothing any more: what was asked for is done, and can't be undone."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


def _stop(number: int, _frame: FrameType | None) -> None:
    name = signal.Signals(number).name
    print(f"initgen: stopped by {name}; nothing was changed", file=sys.stderr)
    sys.exit(128 + number)
