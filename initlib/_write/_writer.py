"""The stream of chunks: many threads make them and write each at its place in the file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass, field
from threading import Semaphore

from initlib._digest import constant_digests, leaf_digests, tensor_digest
from initlib._make import Bytes, Maker
from initlib._memory import PAGE
from initlib._plan import Chunk, Piece, make_chunks
from initlib._workers import QUEUED, bounded
from initlib._write._file import File


@dataclass
class Writer:
    """Writes the chunks of a plan to a new file, which is all holes.

    Attributes:
        maker: makes them.
        offsets: of each tensor in the file, in bytes.
        file: where they go.
        makers: how many threads may make chunks at a time, while as many write: more writes at a
            time make a disk slower.
    """

    maker: Maker
    offsets: Sequence[int]
    file: File
    makers: int
    _making: Semaphore = field(init=False)
    _writing: Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._making, self._writing = Semaphore(self.makers), Semaphore(self.makers)

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
        chunks = make_chunks(plan, self.offsets, self.maker.chunk_bytes, phase=PAGE)
        for chunk, found in bounded(executor, self.write, chunks, QUEUED * threads):
            for piece, digests in zip(chunk.pieces, found, strict=True):
                leaves[piece.tensor][piece.start] = digests
            progress(chunk.nbytes)
        return [tensor_digest(b"".join(found[i] for i in sorted(found))) for found in leaves]

    def write(self, chunk: Chunk) -> list[bytes]:
        """Make and write one chunk; return the digests of the leaves of each piece."""
        with ExitStack() as stack:
            with self._making:
                made = stack.enter_context(self.maker.made(chunk))
                digests = [self._digests(piece, made) for piece in chunk.pieces]
            with self._writing:
                self._write(chunk, made)
        return digests

    def _write(self, chunk: Chunk, made: Bytes) -> None:
        first = self.maker.plan.tensors[chunk.pieces[0].tensor]
        if not first.streams:
            self._write_whole(made, self.offsets[chunk.pieces[0].tensor])
        # The file is all holes, and they read as zeros.
        elif first.element is None or any(first.element):
            self._write_runs(chunk.pieces, made)

    def _digests(self, piece: Piece, made: Bytes) -> bytes:
        element = self.maker.plan.tensors[piece.tensor].element
        data = made[self.maker.span(piece)]
        return leaf_digests(data) if element is None else constant_digests(element, data.size)

    def _write_runs(self, pieces: Sequence[Piece], made: Bytes) -> None:
        """Write pieces, together those that are neighbours in the file and so in memory."""
        run, begin = slice(0, 0), 0
        for piece in pieces:
            span, itemsize = self.maker.span(piece), self.maker.plan.itemsize(piece)
            offset = self.offsets[piece.tensor] + piece.start * itemsize
            if (span.start, offset) != (run.stop, begin + run.stop - run.start):
                self.file.write(made[run], begin)
                run, begin = slice(span.start, span.start), offset
            run = slice(run.start, span.stop)
        self.file.write(made[run], begin)

    def _write_whole(self, made: Bytes, offset: int) -> None:
        """Write a tensor that lies anywhere in memory from where pages are."""
        buffer, size = self.maker.buffer(), self.maker.chunk_bytes
        for i in range(0, made.size, size):
            data = made[i : i + size]
            place = (offset + i) % PAGE
            page = buffer[place : place + data.size]
            page[:] = data
            self.file.write(page, offset + i)
