"""Holding signals back while something must not be left half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let what Python code does on a signal, such as raising KeyboardInterrupt, wait for the end.

    Signals that Python code doesn't handle do what they did. Other threads than the main one are
    never interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    try:
        with ExitStack() as restored:
            for number in STOPPING:
                handler = signal.getsignal(number)
                if callable(handler):
                    restored.callback(signal.signal, number, handler)
                    signal.signal(number, lambda came_now, _frame: came.append(came_now))
            yield
    finally:
        for each in came:
            signal.raise_signal(each)
