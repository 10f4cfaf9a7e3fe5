"""One pass over a checkpoint's values: every tensor's figures, by all threads."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from initlib import _moments
from initlib._checkpoint import Checkpoint, Stored
from initlib._moments import Summary, Tally
from initlib._workers import QUEUED, Progress, bounded, pool

# What a thread reads at a time, in bytes: it stays in the cache of a core while it is looked at.
BUFFER = 1 << 20
# Tensors that wait to be read together, at most.
BATCH = 256
# A tensor's center is taken from so many of its values, in so many places: it may begin with others
# than it mostly has.
SAMPLE, PLACES = 4096, 8


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of elements of one tensor: which tensor, its first element, and how many."""

    tensor: int
    start: int
    count: int


@dataclass
class Measurement:
    """The figures of some tensors of a checkpoint in the making.

    Attributes:
        checkpoint: where they are.
        tensors: which they are.
    """

    checkpoint: Checkpoint
    tensors: Sequence[Stored]
    _tallies: dict[int, Tally] = field(default_factory=dict)
    _local: threading.local = field(default_factory=threading.local)

    def run(self, threads: int, progress: Progress | None) -> Iterator[tuple[int, Summary]]:
        """Yield each tensor's index and summary, as they are done.

        The number of threads makes no difference in what the summaries hold.

        Raises:
            StorageError: a file can't be read.
        """
        total = sum(stored.entry.nbytes for stored in self.tensors)
        left = [math.prod(stored.entry.shape) for stored in self.tensors]
        _moments.prepare(sum(left))
        done = 0
        with pool(threads) as executor:
            for batch, _ in bounded(executor, self._add, self._batches(), QUEUED * threads):
                for piece in batch:
                    left[piece.tensor] -= piece.count
                    if not left[piece.tensor]:
                        yield piece.tensor, self._tallies.pop(piece.tensor).summary()
                    done += piece.count * self.tensors[piece.tensor].entry.dtype.itemsize
                if progress is not None:
                    progress(done, total)

    def _batches(self) -> Iterator[list[Piece]]:
        """Yield what is read by one thread at a time: a part of a tensor, or several small ones."""
        batch: list[Piece] = []
        free = BUFFER
        for index, stored in enumerate(self.tensors):
            self._tallies[index] = self._tally(stored)
            size, itemsize = math.prod(stored.entry.shape), stored.entry.dtype.itemsize
            step = BUFFER // itemsize
            for start in range(0, max(size, 1), step):
                piece = Piece(index, start, min(step, size - start))
                if piece.count * itemsize > free or len(batch) == BATCH:
                    yield batch
                    batch, free = [], BUFFER
                batch.append(piece)
                free -= piece.count * itemsize
        if batch:
            yield batch

    def _tally(self, stored: Stored) -> Tally:
        """Return a new tally, whose center is that of a sample of the tensor."""
        dtype, size = stored.entry.dtype, math.prod(stored.entry.shape)
        if dtype.itemsize <= 2:
            # Their values are counted one by one, whatever the center is.
            return Tally(dtype)
        sample = np.empty(min(SAMPLE, size), dtype)
        # A small tensor is the sample.
        parts = np.split(sample, PLACES) if size > SAMPLE else [sample]
        for place, part in enumerate(parts):
            self.checkpoint.read_into(stored, place * size // PLACES, part)
        return Tally(dtype, _moments.center_of(sample))

    def _add(self, batch: Sequence[Piece]) -> None:
        """Read and count pieces one after the other."""
        if not hasattr(self._local, "buffer"):
            self._local.buffer = np.empty(BUFFER, np.uint8)
        for piece in batch:
            stored = self.tensors[piece.tensor]
            dtype = stored.entry.dtype
            values = self._local.buffer[: piece.count * dtype.itemsize].view(dtype)
            self.checkpoint.read_into(stored, piece.start, values)
            self._tallies[piece.tensor].add(values, piece.start)
