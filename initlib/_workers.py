"""Work spread over threads: how many there are, what their buffers take, and a few jobs ahead."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

from pydantic import ByteSize, TypeAdapter, ValidationError

from initlib._digest import LEAF
from initlib._errors import RequestError, StorageError
from initlib._interrupts import checker, uninterrupted
from initlib._memory import total

_SIZE = re.compile(r"\s*\d+(\.\d+)?\s*[a-zA-Z]*\s*")

Progress = Callable[[int, int], None]
Item = TypeVar("Item")
Result = TypeVar("Result")

# What the workers' buffers may take together, and the size of one: larger ones leave the cache of a
# core before they are written, which halves the speed.
MEMORY = 64 << 20
LARGEST_BUFFER = 2 << 20
# Buffers for each thread that makes chunks: one is filled, one written, and one is on its way.
BUFFERS = 3
# Jobs that wait for a worker, per worker: enough that none is ever idle.
QUEUED = 2
# Threads when nobody says how many. More would outrun any disk, and their buffers exceed MEMORY.
MOST_CORES = 32
# More threads than this for a core, and than this in all, are taken for a slip.
MOST_THREADS = 4, 64


def thread_count(threads: int | None) -> int:
    """Return how many threads to use: as many as asked for, or one for each core.

    Raises:
        RequestError: fewer than one was asked for, or far more than there are cores.
    """
    cores = len(os.sched_getaffinity(0))
    if threads is None:
        return min(cores, MOST_CORES)
    if isinstance(threads, bool) or threads < 1:
        raise RequestError(f"expected 1 thread or more, received {threads}")
    most = max(MOST_THREADS[0] * cores, MOST_THREADS[1])
    if threads > most:
        number = f"{cores} core{'s' * (cores != 1)}"
        raise RequestError(f"expected 1 to {most} threads on {number}, received {threads}")
    return threads


def buffer_bytes(memory: int | str, threads: int, buffers: int = 1) -> int:
    """Return the size of a worker's buffer: whole leaves, and all together within `memory`.

    Args:
        memory: in bytes, or as a text such as "64MiB".
        threads: how many workers there are.
        buffers: how many each of them has.

    Raises:
        RequestError: `memory` is no size, too small for so many threads, or more than there is.
    """
    budget = _budget(memory)
    if budget < threads * buffers * LEAF:
        needed = f"expected {threads * buffers}MiB of memory or more for {threads} threads"
        raise RequestError(f"{needed}, received {memory}")
    return min(budget // (threads * buffers) // LEAF * LEAF, LARGEST_BUFFER)


def buffer_count(memory: int | str, threads: int, chunk_bytes: int) -> int:
    """Return how many buffers there may be where `threads` make chunks and as many write them."""
    return max(threads, min(BUFFERS * threads, _budget(memory) // chunk_bytes))


def byte_size(size: int | str, expected: str) -> int:
    """Return a size in bytes.

    Args:
        size: in bytes, or as a text such as "64MiB" or "5GB".
        expected: what the size is to be, for the message.

    Raises:
        RequestError: it is none, or nothing at all.
    """
    try:
        # Pydantic looks at the beginning of a text alone.
        if not isinstance(size, str) or _SIZE.fullmatch(size):
            found = TypeAdapter(ByteSize).validate_python(size)
            if found > 0:
                return found
    except ValidationError:
        pass
    raise RequestError(f"expected {expected}, received {size!r}")


def _budget(memory: int | str) -> int:
    """Return a size of memory in bytes."""
    budget = byte_size(memory, "a size of memory such as 64MiB")
    most = total()
    if budget > most:
        there_is = f"expected at most the {ByteSize(most).human_readable()} that there are"
        raise RequestError(f"{there_is}, received {memory} of memory")
    return budget


@contextmanager
def pool(threads: int, path: Path | None = None) -> Iterator[Executor]:
    """Give an executor of so many threads; an interrupt waits until they have ended.

    Whoever waits for them has to ask `checker` now and then.

    Args:
        threads: how many.
        path: what they work on, for the message.

    Raises:
        StorageError: the system refuses to start them.
    """
    try:
        with uninterrupted(), ThreadPoolExecutor(threads) as executor:
            yield executor
    except RuntimeError as error:
        if "start new thread" not in str(error):
            raise
        where = "" if path is None else f"{path}: "
        problem = f"the system refuses {threads} threads; use fewer --threads"
        raise StorageError(where + problem) from error


def bounded(
    executor: Executor, work: Callable[[Item], Result], items: Iterator[Item], limit: int
) -> Iterator[tuple[Item, Result]]:
    """Yield items with their results as they finish, with at most `limit` of them in flight."""
    running: dict[Future[Result], Item] = {}
    check = checker()
    try:
        while True:
            check()
            for item in islice(items, limit - len(running)):
                running[executor.submit(work, item)] = item
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
    finally:
        for future in running:
            future.cancel()
