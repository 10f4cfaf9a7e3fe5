"""Interrupts that wait until what they come into can be left.

Python lets the handler of a signal raise between any two steps of the main thread: in the middle of
what takes a lock of another thread's, or lets the first of several files take its name.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Handler = Callable[[int, FrameType | None], object]

# What handlers raised while they were held back, for each place that does so, the outermost first.
_held: list[list[BaseException]] = []


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let what a signal's handler raises, such as KeyboardInterrupt, wait for the end.

    A second one doesn't wait. Other threads than the main one are never interrupted.
    """
    if not _in_main():
        yield
        return
    raised: list[BaseException] = []
    try:
        with ExitStack() as restored:
            restored.callback(_held.pop)
            _held.append(raised)
            for number in STOPPING:
                handler = signal.getsignal(number)
                if callable(handler):
                    restored.callback(signal.signal, number, handler)
                    signal.signal(number, _holding(handler, raised))
            yield
    finally:
        if raised:
            raise raised[0]


def checker() -> Callable[[], None]:
    """Return what raises what is held back in this thread; other threads may call it for it."""
    return _check if _in_main() else lambda: None


def _check() -> None:
    for raised in _held:
        if raised:
            raise raised[0]


def _in_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def _holding(handler: Handler, raised: list[BaseException]) -> Handler:
    """Return a handler that adds to `raised` what another one raises."""

    def hold(number: int, frame: FrameType | None) -> None:
        if raised:
            handler(number, frame)
            return
        try:
            handler(number, frame)
        except BaseException as error:
            raised.append(error)

    return hold
