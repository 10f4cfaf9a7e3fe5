"""Work spread over threads: how many there are, what their buffers take, and a few jobs ahead."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from pydantic import ByteSize, TypeAdapter, ValidationError

from initlib._digest import LEAF
from initlib._errors import RequestError, StorageError

Progress = Callable[[int, int], None]
Item = TypeVar("Item")
Result = TypeVar("Result")

# What the workers' buffers may take together, and the size of one: larger ones leave the cache of a
# core before they are written, which halves the speed.
MEMORY = 64 << 20
LARGEST_BUFFER = 2 << 20
# Jobs that wait for a worker, per worker: enough that none is ever idle.
QUEUED = 2


def thread_count(threads: int | None) -> int:
    """Return how many threads to use: as many as asked for, or one for each core.

    Raises:
        RequestError: fewer than one was asked for.
    """
    if threads is None:
        return len(os.sched_getaffinity(0))
    if isinstance(threads, bool) or threads < 1:
        raise RequestError(f"expected 1 thread or more, received {threads}")
    return threads


def buffer_bytes(memory: int | str, threads: int, buffers: int = 1) -> int:
    """Return the size of a worker's buffer: whole leaves, and all together within `memory`.

    Args:
        memory: in bytes, or as a text such as "64MiB".
        threads: how many workers there are.
        buffers: how many each of them has.

    Raises:
        RequestError: `memory` is no size, or too small for so many threads.
    """
    try:
        budget = TypeAdapter(ByteSize).validate_python(memory)
    except ValidationError:
        expected = "expected a size of memory such as 64MiB"
        raise RequestError(f"{expected}, received {memory!r}") from None
    if budget < threads * buffers * LEAF:
        needed = f"expected {threads * buffers}MiB of memory or more for {threads} threads"
        raise RequestError(f"{needed}, received {memory}")
    return min(budget // (threads * buffers) // LEAF * LEAF, LARGEST_BUFFER)


@contextmanager
def pool(threads: int) -> Iterator[Executor]:
    """Give an executor of so many threads.

    Raises:
        StorageError: the system refuses to start them.
    """
    try:
        with ThreadPoolExecutor(threads) as executor:
            yield executor
    except RuntimeError as error:
        if "start new thread" not in str(error):
            raise
        raise StorageError(f"the system refuses {threads} threads; use fewer --threads") from error


def bounded(
    executor: Executor, work: Callable[[Item], Result], items: Iterator[Item], limit: int
) -> Iterator[tuple[Item, Result]]:
    """Yield items with their results as they finish, with at most `limit` of them in flight."""
    running: dict[Future[Result], Item] = {}
    try:
        while True:
            for item in islice(items, limit - len(running)):
                running[executor.submit(work, item)] = item
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
    finally:
        for future in running:
            future.cancel()
