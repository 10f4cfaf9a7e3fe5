"""One tensor's work spread over threads, while BLAS keeps to one thread in each.

BLAS's results depend on the number of its threads. With one, and work cut up in a way that depends
on the tensor alone, the same bits come out for any number of cores.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, TypeVar

from initlib._memory import check_room

Item = TypeVar("Item")
Result = TypeVar("Result")

_threads: ContextVar[int | None] = ContextVar("threads", default=None)
_stop: ContextVar[threading.Event | None] = ContextVar("stop", default=None)
_lock = threading.Lock()
# How many work with BLAS at the moment, and what lifts the limit for all.
_users = 0
_limiter = ExitStack()
# What SciPy's LAPACK takes of a process's memory, in bytes, and a little more.
LAPACK = 320 << 20
# Items for each thread whose results nobody has asked for yet.
AHEAD = 2


class StoppedError(Exception):
    """Work was given up because what it was for has failed."""


@contextmanager
def threads(count: int, stop: threading.Event | None = None) -> Iterator[None]:
    """Let work inside be spread over so many threads, rather than one for each core.

    Args:
        count: how many.
        stop: ends the work soon after it is set.
    """
    tokens = _threads.set(count), _stop.set(stop)
    try:
        yield
    finally:
        _threads.reset(tokens[0])
        _stop.reset(tokens[1])


def spread(work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Do what `map` does, by several threads, which are only a few items ahead.

    Raises:
        StoppedError: the results aren't wanted any more.
    """
    stop = _stop.get()
    for result in _spread(work, items):
        if stop is not None and stop.is_set():
            raise StoppedError
        yield result


def _spread(work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    count = min(_threads.get() or len(os.sched_getaffinity(0)), len(items))
    if count <= 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(count, initializer=_limit if _users else None) as executor:
        ahead: deque[Future[Result]] = deque()
        for item in items:
            ahead.append(executor.submit(work, item))
            if len(ahead) > AHEAD * count:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


@contextmanager
def single_blas() -> Iterator[None]:
    """Keep BLAS to one thread inside, also in `spread`. Threads may be inside at the same time.

    One kind of OpenBLAS has a limit for the whole process, which only the thread that set it may
    lift: so a thread does that which does nothing else. Another kind has one for each thread.
    """
    global _users
    with _lock:
        if not _users:
            executor = _limiter.enter_context(ThreadPoolExecutor(1))
            limit = executor.submit(_limit).result()
            _limiter.callback(lambda: executor.submit(limit.__exit__, None, None, None).result())
        _users += 1
    try:
        with _controller().limit(limits=1, user_api="blas"):
            yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                _limiter.close()


@contextmanager
def every_core() -> Iterator[None]:
    """Let BLAS use one thread for each core inside, however few it was told to use."""
    with _controller().limit(limits=len(os.sched_getaffinity(0)), user_api="blas"):
        yield


def _limit() -> Any:
    """Limit BLAS for this thread or for the process; return what lifts the limit again."""
    limit = _controller().limit(limits=1, user_api="blas")
    limit.__enter__()
    return limit


@cache
def _controller() -> Any:
    """Return what knows NumPy's and SciPy's BLAS, which are two.

    Raises:
        MemoryError: there isn't enough for the latter.
    """
    check_room(LAPACK)
    import scipy.linalg  # noqa: F401
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController()
