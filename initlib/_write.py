"""The stream of chunks: many threads make them and write each at its place in the file."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from initlib import initializers
from initlib._digest import leaf_digests, tensor_digest
from initlib._errors import RequestError
from initlib._plan import ALIGNMENT, Chunk, Piece, Plan, TensorPlan, guarded, make_chunks
from initlib._seeds import draws_for

Bytes = npt.NDArray[np.uint8]
# Chunks that wait for a worker, per worker: enough that none is ever idle.
QUEUED = 2
# The largest number of buffers that one call of pwritev takes on Linux.
MAX_BUFFERS = 1024


@dataclass
class Writer:
    """Makes the chunks of a plan and writes them to an open file.

    Attributes:
        plan: what to make.
        offsets: of each tensor in the file, in bytes.
        fd: descriptor of the file, open for writing.
        chunk_bytes: size of a chunk, and of each worker's buffer.
    """

    plan: Plan
    offsets: Sequence[int]
    fd: int
    chunk_bytes: int
    _local: threading.local = field(default_factory=threading.local)
    # Tensors that can't be made in pieces are held whole: no two at a time.
    _whole: threading.Lock = field(default_factory=threading.Lock)

    def write_all(
        self, executor: Executor, threads: int, progress: Callable[[int], None]
    ) -> list[str]:
        """Make and write everything.

        Args:
            executor: runs the chunks.
            threads: how many it runs at a time.
            progress: is told how many bytes each finished chunk had.

        Returns:
            The digest of each tensor, in the plan's order.
        """
        leaves: list[dict[int, bytes]] = [{} for _ in self.plan.tensors]
        chunks = make_chunks(self.plan, self.offsets, self.chunk_bytes)
        for chunk, found in _bounded(executor, self.write, chunks, QUEUED * threads):
            for piece, digests in zip(chunk.pieces, found, strict=True):
                leaves[piece.tensor][piece.start] = digests
            progress(chunk.nbytes)
        return [tensor_digest(b"".join(found[i] for i in sorted(found))) for found in leaves]

    def write(self, chunk: Chunk) -> list[bytes]:
        """Make and write one chunk; return the digests of the leaves of each piece."""
        first = chunk.pieces[0]
        if not self.plan.tensors[first.tensor].streams:
            with self._whole:
                return [self._write_whole(first)]
        views = list(self._fill(chunk.pieces))
        self._write_runs(chunk.pieces, views)
        return [leaf_digests(view) for view in views]

    def _fill(self, pieces: Sequence[Piece]) -> Iterator[Bytes]:
        """Fill pieces side by side in the worker's buffer; yield each one's bytes."""
        buffer = self._buffer()
        used = 0
        for piece in pieces:
            tensor = self.plan.tensors[piece.tensor]
            view = buffer[used : used + piece.count * tensor.entry.dtype.itemsize]
            _guarded(tensor, _fill_piece, view.view(tensor.entry.dtype), piece.start)
            used += -(-view.size // ALIGNMENT) * ALIGNMENT
            yield view

    def _buffer(self) -> Bytes:
        """Return this worker's buffer, which it uses for one chunk after the other."""
        if not hasattr(self._local, "buffer"):
            # A batch's last piece may be followed by padding.
            self._local.buffer = np.empty(self.chunk_bytes + ALIGNMENT, np.uint8)
        buffer: Bytes = self._local.buffer
        return buffer

    def _write_whole(self, piece: Piece) -> bytes:
        """Make a tensor in one go and write it."""
        tensor = self.plan.tensors[piece.tensor]
        array = np.ascontiguousarray(_guarded(tensor, _make_whole))
        data = array.reshape(-1).view(np.uint8)
        for start in range(0, data.size, self.chunk_bytes):
            part = data[start : start + self.chunk_bytes]
            _pwritev(self.fd, [part.data], self.offsets[piece.tensor] + start)
        return leaf_digests(data)

    def _write_runs(self, pieces: Sequence[Piece], views: Sequence[Bytes]) -> None:
        """Write pieces, with one call for those that are neighbours in the file."""
        run: list[memoryview] = []
        begin = end = 0
        for piece, view in zip(pieces, views, strict=True):
            tensor = self.plan.tensors[piece.tensor]
            offset = self.offsets[piece.tensor] + piece.start * tensor.entry.dtype.itemsize
            if run and (offset != end or len(run) == MAX_BUFFERS):
                _pwritev(self.fd, run, begin)
                run = []
            if not run:
                begin = offset
            run.append(view.data)
            end = offset + view.size
        _pwritev(self.fd, run, begin)


def _fill_piece(tensor: TensorPlan, out: npt.NDArray[Any], start: int) -> None:
    if tensor.spec.custom:
        # What its code leaves out must not show what was in the buffer.
        out.view(np.uint8)[:] = 0
    if tensor.initializer.fill(out, start, tensor.target) is not None:
        raise RequestError("expected `fill` to write into `out`, but it returned something")


def _make_whole(tensor: TensorPlan) -> npt.NDArray[Any]:
    with draws_for(tensor.seed, tensor.entry.name):
        return initializers.materialize(tensor.initializer, tensor.target)


def _guarded(tensor: TensorPlan, make: Callable[..., Any], *args: Any) -> Any:
    """Make a part of a tensor; whatever a user's own code raises ends in one line."""
    try:
        with guarded(tensor.spec):
            return make(tensor, *args)
    except RequestError as error:
        raise tensor.where.error(f"{tensor.entry.name!r}: {error}") from error


def _bounded(
    executor: Executor, work: Callable[[Chunk], list[bytes]], chunks: Iterator[Chunk], limit: int
) -> Iterator[tuple[Chunk, list[bytes]]]:
    """Yield chunks with their results as they finish, with at most `limit` of them in flight."""
    running: dict[Future[list[bytes]], Chunk] = {}
    try:
        while True:
            for chunk in islice(chunks, limit - len(running)):
                running[executor.submit(work, chunk)] = chunk
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
    finally:
        for future in running:
            future.cancel()


def _pwritev(fd: int, buffers: list[memoryview], offset: int) -> None:
    """Write all of the buffers one after the other; a call may write less than it was given."""
    while buffers:
        written = os.pwritev(fd, buffers, offset)
        offset += written
        while buffers and written >= buffers[0].nbytes:
            written -= buffers.pop(0).nbytes
        if buffers:
            buffers = [buffers[0][written:], *buffers[1:]]
