"""One tensor's work spread over threads, while BLAS keeps to one thread in each.

BLAS's results depend on the number of its threads. With one, and work cut up in a way that depends
on the tensor alone, the same bits come out for any number of cores.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_threads: ContextVar[int | None] = ContextVar("threads", default=None)
_lock = threading.Lock()
# How many work with BLAS at the moment, and what lifts the limit, which is the whole process's.
_users = 0
_limiter = ExitStack()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let work inside be spread over so many threads, rather than one for each core."""
    token = _threads.set(count)
    try:
        yield
    finally:
        _threads.reset(token)


def spread(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Do what `map` does, by several threads."""
    count = _threads.get() or len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(count) as executor:
        yield from executor.map(work, items)


@contextmanager
def single_blas() -> Iterator[None]:
    """Keep BLAS to one thread inside. Threads may be inside at the same time."""
    global _users
    with _lock:
        if not _users:
            # Only the thread that sets the limit may lift it, so it is one that does nothing else.
            executor = _limiter.enter_context(ThreadPoolExecutor(1))
            limit = executor.submit(_controller().limit, limits=1, user_api="blas").result()
            executor.submit(limit.__enter__).result()
            _limiter.callback(lambda: executor.submit(limit.__exit__, None, None, None).result())
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                _limiter.close()


@cache
def _controller() -> Any:
    """Return what knows NumPy's and SciPy's BLAS, which are two."""
    import scipy.linalg  # noqa: F401
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController()
