"""The stream of chunks: many threads make them and write each at its place in the file."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from initlib._digest import leaf_digests, tensor_digest
from initlib._make import Bytes, Maker
from initlib._plan import Chunk, Piece, make_chunks
from initlib._workers import QUEUED, bounded

# The largest number of buffers that one call of pwritev takes on Linux.
MAX_BUFFERS = 1024


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes the chunks of a plan to an open file.

    Attributes:
        maker: makes them.
        offsets: of each tensor in the file, in bytes.
        fd: descriptor of the file, open for writing.
    """

    maker: Maker
    offsets: Sequence[int]
    fd: int

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
        plan = self.maker.plan
        leaves: list[dict[int, bytes]] = [{} for _ in plan.tensors]
        chunks = make_chunks(plan, self.offsets, self.maker.chunk_bytes)
        for chunk, found in bounded(executor, self.write, chunks, QUEUED * threads):
            for piece, digests in zip(chunk.pieces, found, strict=True):
                leaves[piece.tensor][piece.start] = digests
            progress(chunk.nbytes)
        return [tensor_digest(b"".join(found[i] for i in sorted(found))) for found in leaves]

    def write(self, chunk: Chunk) -> list[bytes]:
        """Make and write one chunk; return the digests of the leaves of each piece."""
        with self.maker.made(chunk) as views:
            self._write_runs(chunk.pieces, views)
            return [leaf_digests(view) for view in views]

    def _write_runs(self, pieces: Sequence[Piece], views: Sequence[Bytes]) -> None:
        """Write pieces, with one call for those that are neighbours in the file."""
        run: list[memoryview] = []
        begin = end = 0
        for piece, view in zip(pieces, views, strict=True):
            tensor = self.maker.plan.tensors[piece.tensor]
            offset = self.offsets[piece.tensor] + piece.start * tensor.entry.dtype.itemsize
            if run and (offset != end or len(run) == MAX_BUFFERS):
                _pwritev(self.fd, run, begin)
                run = []
            if not run:
                begin = offset
            run.append(view.data)
            end = offset + view.size
        _pwritev(self.fd, run, begin)


def _pwritev(fd: int, buffers: list[memoryview], offset: int) -> None:
    """Write all of the buffers one after the other; a call may write less than it was given."""
    while buffers:
        written = os.pwritev(fd, buffers, offset)
        offset += written
        while buffers and written >= buffers[0].nbytes:
            written -= buffers.pop(0).nbytes
        if buffers:
            buffers = [buffers[0][written:], *buffers[1:]]
