"""What signals do: before a command is done they undo it, afterwards they come too late."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType

# Seconds until Python has left the place that drops exceptions.
PAUSE = 0.01
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """A signal came; notes say what is left of what the command did."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


# The first signal that came, and whether Python has dropped what it raised.
_first: Stopped | None = None
_dropped = False


def watch() -> None:
    """Leave as an exit does when a signal comes, so that temporary files are removed."""
    for number in STOPPING:
        # In the background, and under nohup, some are ignored, and stay so.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)
    sys.unraisablehook = _raise_again


def ignore() -> None:
    """Let a signal change nothing any more."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


def commit() -> None:
    """Let signals come too late: what was asked for is done, and can't be undone.

    Raises:
        Stopped: one came before, and code on the way took no notice.
    """
    ignore()
    if _first is not None:
        raise _first


def stopped(error: BaseException) -> tuple[str, int] | None:
    """Return in one line what signal came and what is left, and the exit code.

    Libraries make other exceptions of what a handler raises, or drop it: however a command ends
    after a signal, if it doesn't succeed, it was stopped. None if no signal came.
    """
    if _first is None or (isinstance(error, SystemExit) and not error.code):
        return None
    notes: list[str] = []
    found: BaseException | None = error
    while found is not None:
        notes += getattr(found, "__notes__", ())
        found = None if found is _first else found.__cause__ or found.__context__
    left = "; ".join(dict.fromkeys(notes)) or "nothing was changed"
    return f"stopped by {signal.Signals(_first.number).name}; {left}", 128 + _first.number


def _stop(number: int, _frame: FrameType | None) -> None:
    global _first, _dropped
    if _first is None:
        _first = Stopped(number)
        raise _first
    if _dropped:
        _dropped = False
        raise _first
    # Whoever asks twice doesn't want to wait for threads that are about to end.
    with suppress(Exception):
        # What isn't loaded has made no files.
        if "initlib._generate" in sys.modules:
            sys.modules["initlib"].abandon()
        text = f"initgen: stopped by {signal.Signals(number).name}, at once\n"
        os.write(sys.stderr.fileno(), text.encode())
    os._exit(128 + number)


def _raise_again(dropped: sys.UnraisableHookArgs) -> None:
    """Let a signal come once more that came where nothing can be raised, as in a destructor."""
    global _dropped
    if _first is None or dropped.exc_value is not _first:
        sys.__unraisablehook__(dropped)
        return
    _dropped = True
    threading.Timer(PAUSE, os.kill, (os.getpid(), _first.number)).start()
