"""The stream of chunks: threads make them while others write them at their places in the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Lock
from typing import NamedTuple, Protocol

from initlib._digest import constant_digests, leaf_digests, tensor_digest
from initlib._make import Bytes, Maker
from initlib._memory import PAGE
from initlib._plan import Chunk, Piece, make_chunks


class Sink(Protocol):
    """Takes bytes at any place."""

    def write(self, data: Bytes, offset: int) -> None:
        """Write contiguous bytes at a place. Threads may call it at the same time."""


class Nowhere:
    """Takes bytes and forgets them."""

    def write(self, data: Bytes, offset: int) -> None:
        """Do nothing."""


class Made(NamedTuple):
    """A chunk in memory, the digests of its pieces' leaves, and what gives the memory back."""

    chunk: Chunk
    memory: Bytes
    digests: list[bytes]
    memory_held: ExitStack

    @classmethod
    def of(cls, chunk: Chunk, maker: Maker) -> Made:
        """Make a chunk."""
        with ExitStack() as stack:
            memory = stack.enter_context(maker.made(chunk))
            digests = [_digests(piece, memory, maker) for piece in chunk.pieces]
            return cls(chunk, memory, digests, stack.pop_all())


def _digests(piece: Piece, memory: Bytes, maker: Maker) -> bytes:
    """Return the digests of a piece's leaves."""
    element = maker.plan.tensors[piece.tensor].element
    data = memory[maker.span(piece)]
    return leaf_digests(data) if element is None else constant_digests(element, data.size)


class Leaves:
    """The digests of leaves, from which those of tensors come; any thread may add some."""

    def __init__(self, tensors: int) -> None:
        # By the element that they begin with, for each tensor.
        self._found: list[dict[int, bytes]] = [{} for _ in range(tensors)]

    def add(self, made: Made) -> None:
        """Take note of a chunk's."""
        for piece, found in zip(made.chunk.pieces, made.digests, strict=True):
            self._found[piece.tensor][piece.start] = found

    def tensors(self) -> list[str]:
        """Return the digest of each tensor, once all leaves are there."""
        return [tensor_digest(b"".join(each[i] for i in sorted(each))) for each in self._found]


@dataclass
class Writer:
    """Writes the chunks of a plan to a new file, which is all holes.

        chunks -> makers -> made, in buffers -> writers -> file
                     ^                             |
                     +------- empty buffers -------+

    A disk is the fastest when a few writes are always under way, so those who write never make.

    Attributes:
        maker: makes them; it has a buffer for each thread at least.
        offsets: of each tensor in the file, in bytes.
        file: where they go.
        threads: how many make chunks, and how many others write them.
        progress: is told how many bytes each finished chunk had, by one thread at a time.
    """

    maker: Maker
    offsets: Sequence[int]
    file: Sink
    threads: int
    progress: Callable[[int], None]
    # None, which stays the last, says that nothing more comes.
    _made: SimpleQueue[Made | None] = field(default_factory=SimpleQueue)
    _leaves: Leaves = field(init=False)
    # The first error of any thread ends the work of all.
    _errors: list[BaseException] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)
    # Whoever is told may take long, and makers must not wait for that.
    _telling: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self._leaves = Leaves(len(self.maker.plan.tensors))

    def write_all(self, executor: Executor) -> list[str]:
        """Make and write everything.

        Args:
            executor: runs 2 * `threads` jobs at the same time.

        Returns:
            The digest of each tensor, in the plan's order.
        """
        writers: list[Future[None]] = []
        makers: list[Future[None]] = []
        try:
            with self._ending():
                chunks = self._chunks()
                writers += (executor.submit(self._write_made) for _ in range(self.threads))
                makers += (executor.submit(self._make, chunks) for _ in range(self.threads))
                wait(makers)
            # After an error, too: those who wait for a buffer need somebody who empties it.
            wait(makers)
        finally:
            self._made.put(None)
        wait(writers)
        if self._errors:
            raise self._errors[0]
        return self._leaves.tensors()

    @contextmanager
    def _ending(self) -> Iterator[None]:
        """End the work of all threads if something fails inside."""
        try:
            yield
        except BaseException as error:
            self._errors.append(error)
            self.maker.stop.set()

    def _chunks(self) -> Iterator[Chunk]:
        """Yield all chunks, or as many as are to be made."""
        size = self.maker.chunk_bytes
        for chunk in make_chunks(self.maker.plan, self.offsets, size, phase=PAGE):
            if self._errors:
                return
            yield chunk

    def _make(self, chunks: Iterator[Chunk]) -> None:
        """Make chunks that nobody else makes, as long as there are any."""
        with self._ending():
            while True:
                with self._lock:
                    chunk = next(chunks, None)
                if chunk is None:
                    return
                made = Made.of(chunk, self.maker)
                first = chunk.pieces[0].tensor
                if self.maker.plan.tensors[first].streams:
                    self._made.put(made)
                    continue
                with made.memory_held:
                    self._write_whole(made.memory, self.offsets[first])
                    self._note(made)

    def _write_made(self) -> None:
        """Write chunks as they come."""
        for made in iter(self._made.get, None):
            # What isn't to be written any more still holds memory that a maker may wait for.
            with self._ending(), made.memory_held:
                if not self._errors:
                    self._write(made.chunk.pieces, made.memory)
                    self._note(made)
        self._made.put(None)

    def _note(self, made: Made) -> None:
        """Take note of a chunk that is done."""
        with self._lock:
            self._leaves.add(made)
        with self._telling:
            self.progress(made.chunk.nbytes)

    def _write(self, pieces: Sequence[Piece], made: Bytes) -> None:
        """Write pieces, together those that are neighbours in the file and so in memory."""
        element = self.maker.plan.tensors[pieces[0].tensor].element
        if element is not None and not any(element):
            # The file is all holes, and they read as zeros.
            return
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
        """Write a tensor that lies anywhere in memory from where pages are.

        The thread that made it does: a writer that waited for a buffer could wait for ever.
        """
        size = self.maker.chunk_bytes
        with self.maker.buffer() as buffer:
            for i in range(0, made.size, size):
                data = made[i : i + size]
                place = (offset + i) % PAGE
                page = buffer[place : place + data.size]
                page[:] = data
                self.file.write(page, offset + i)
