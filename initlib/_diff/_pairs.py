"""Comparing pairs of stored tensors, run by run, on many threads."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from initlib._checkpoint import Checkpoint, Stored
from initlib._compare import Array, bits
from initlib._diff._distance import Distance, distance, merged, reference
from initlib._workers import QUEUED, Progress, bounded, pool

# Elements that are read and compared at a time.
RUN = 1 << 17
# Elements whose distances are measured at a time: NumPy's temporary arrays of more bytes than
# 128 KiB are fetched from the system anew each time, which takes longer than all the arithmetic.
PIECE = 1 << 13

Pair = tuple[Stored, Stored]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive elements of both tensors of a pair: which pair, the first one, and how many."""

    pair: int
    start: int
    count: int


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of tensors with as many elements each; any number of threads may compare them.

    Attributes:
        a: the checkpoint that the first of each pair is in.
        b: that of the second.
        pairs: the tensors.
    """

    a: Checkpoint
    b: Checkpoint
    pairs: list[Pair]
    _local: threading.local = field(default_factory=threading.local)

    @property
    def nbytes(self) -> int:
        """Bytes of values in A."""
        return sum(a.entry.nbytes for a, _ in self.pairs)

    def distances(self, threads: int, progress: Progress | None) -> list[Distance | None]:
        """Return how far the tensors of each pair are apart; None where no bit differs."""
        found: list[list[Distance]] = [[] for _ in self.pairs]
        done, total = 0, self.nbytes
        with pool(threads) as executor:
            everything = self._runs(range(len(self.pairs)))
            for run, far in _each(executor, threads, self._distance, everything):
                if far is not None:
                    found[run.pair].append(far)
                done += run.count * self.pairs[run.pair][0].entry.dtype.itemsize
                if progress is not None:
                    progress(done, total)
            # What differs is held against the size of A, of which the equal runs are a part.
            known = {(i, far.start) for i, parts in enumerate(found) for far in parts}
            runs = self._runs(i for i, parts in enumerate(found) if parts)
            others = (run for run in runs if (run.pair, run.start) not in known)
            for run, size in _each(executor, threads, self._reference, others):
                found[run.pair].append(Distance(run.start, reference=size))
        return [merged(parts) if parts else None for parts in found]

    def _runs(self, pairs: Iterable[int]) -> Iterator[Run]:
        for pair in pairs:
            size = math.prod(self.pairs[pair][0].entry.shape)
            for start in range(0, size, RUN):
                yield Run(pair, start, min(RUN, size - start))

    def _distance(self, run: Run) -> Distance | None:
        a, b = self._read(run, 0), self._read(run, 1)
        if a.dtype == b.dtype and np.array_equal(bits(a), bits(b)):
            return None
        pieces = range(0, run.count, PIECE)
        return merged(distance(a[i : i + PIECE], b[i : i + PIECE], run.start + i) for i in pieces)

    def _reference(self, run: Run) -> float:
        return reference(self._read(run, 0))

    def _read(self, run: Run, side: int) -> Array:
        """Read a run of one side's elements into this worker's buffer for that side."""
        if not hasattr(self._local, "buffers"):
            self._local.buffers = np.empty((2, RUN), np.float64)
        stored = self.pairs[run.pair][side]
        out: Array = self._local.buffers[side].view(stored.entry.dtype)[: run.count]
        (self.a, self.b)[side].read_into(stored, run.start, out)
        return out


def _each(
    executor: Executor, threads: int, work: Callable[[Run], Result], runs: Iterator[Run]
) -> Iterator[tuple[Run, Result]]:
    """Yield runs with what came of them; small ones are done together."""

    def work_all(batch: list[Run]) -> list[Result]:
        return [work(run) for run in batch]

    for batch, results in bounded(executor, work_all, _batches(runs), QUEUED * threads):
        yield from zip(batch, results, strict=True)


def _batches(runs: Iterator[Run]) -> Iterator[list[Run]]:
    """Yield runs in groups of about `RUN` elements."""
    batch: list[Run] = []
    size = 0
    for run in runs:
        batch.append(run)
        size += run.count
        if size >= RUN:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
