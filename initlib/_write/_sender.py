"""The stream of chunks in the order of a file, for what can only be written from its beginning."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, field

from initlib._make import Maker
from initlib._memory import PAGE
from initlib._plan import Chunk, make_chunks
from initlib._remote import Upload
from initlib._write._writer import Leaves, Made

# What of the skeleton is read at a time, in bytes.
BLOCK = 1 << 20
# Seconds between looks at whether an interrupt came.
MOMENT = 0.1


@dataclass
class Sender:
    """Sends the chunks of a plan, and what is between them in the file, one after the other.

        chunks -> makers -> made, in buffers, in order -> upload
                     ^                             |
                     +------- empty buffers -------+

    A chunk is given to a maker only when there is a buffer for it, so none that comes later can
    have the one that it waits for.

    Attributes:
        maker: makes them.
        offsets: of each tensor in the file, in bytes.
        skeleton: the descriptor of the same file with holes where the chunks go.
        upload: where all goes.
        check: is called now and then, and may raise to end the work.
        progress: is told how many bytes each chunk had that was sent.
    """

    maker: Maker
    offsets: Sequence[int]
    skeleton: int
    upload: Upload
    check: Callable[[], None]
    progress: Callable[[int], None]
    _position: int = 0
    _leaves: Leaves = field(init=False)

    def __post_init__(self) -> None:
        self._leaves = Leaves(len(self.maker.plan.tensors))

    def send_all(self, executor: Executor) -> list[str]:
        """Make and send everything, but for letting it take its name.

        Returns:
            The digest of each tensor, in the plan's order.
        """
        plan, size = self.maker.plan, self.maker.chunk_bytes
        ahead: deque[Future[Made] | Chunk] = deque()
        try:
            for chunk in make_chunks(plan, self.offsets, size, phase=PAGE, in_order=True):
                # What is made whole has memory of its own, for one at a time.
                whole = not plan.tensors[chunk.pieces[0].tensor].streams
                ahead.append(chunk if whole else executor.submit(Made.of, chunk, self.maker))
                if len(ahead) == self.maker.buffers:
                    self._send(ahead.popleft(), executor)
            while ahead:
                self._send(ahead.popleft(), executor)
        finally:
            self.maker.stop.set()
            for each in ahead:
                if isinstance(each, Future):
                    each.cancel()
        self._send_between(os.fstat(self.skeleton).st_size)
        self.upload.finish()
        return self._leaves.tensors()

    def _send(self, chunk: Future[Made] | Chunk, executor: Executor) -> None:
        future = executor.submit(Made.of, chunk, self.maker) if isinstance(chunk, Chunk) else chunk
        while not wait([future], MOMENT).done:
            self.check()
        made = future.result()
        with made.memory_held:
            for piece in made.chunk.pieces:
                itemsize = self.maker.plan.itemsize(piece)
                self._send_between(self.offsets[piece.tensor] + piece.start * itemsize)
                data = made.memory[self.maker.span(piece)]
                self.upload.write(data.data)
                self._position += data.size
            self._leaves.add(made)
        self.progress(made.chunk.nbytes)

    def _send_between(self, end: int) -> None:
        """Send what is in the file before a place."""
        while self._position < end:
            data = os.pread(self.skeleton, min(BLOCK, end - self._position), self._position)
            self.upload.write(memoryview(data))
            self._position += len(data)
