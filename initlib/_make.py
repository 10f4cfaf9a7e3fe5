"""Making the chunks of a plan, for whoever writes them or compares them with what was written."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt

from initlib import _parallel, _stream, initializers
from initlib._errors import RequestError
from initlib._memory import PAGE, pages
from initlib._plan import Chunk, Piece, Plan, TensorPlan, guarded
from initlib._seeds import draws_for

Bytes = npt.NDArray[np.uint8]

# Calling the reference for one small tensor takes as long as so many values take.
CALL = 1000


@dataclass
class Maker:
    """Makes chunks; any number of threads may ask it for them.

    Attributes:
        plan: what to make.
        chunk_bytes: size of a chunk, and of each buffer.
        threads: how many may work on one tensor, where that is made by several.
        buffers: how many chunks may be in memory at a time; whoever wants one more waits.
        stop: once it is set nothing more is made.
    """

    plan: Plan
    chunk_bytes: int
    threads: int = 1
    buffers: int = 1
    _free: SimpleQueue[Bytes] = field(default_factory=SimpleQueue)
    # The last element that a whole tensor is full of, and memory full of it.
    _copies: tuple[bytes, Bytes] = (b"", np.empty(0, np.uint8))
    # Tensors that can't be made in pieces are held whole: no two at a time.
    _whole: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        for buffer in np.split(pages(self.buffers * (self.chunk_bytes + PAGE)), self.buffers):
            self._free.put(buffer)

    def prepare(self) -> None:
        """Load the compiled kernels if the plan is worth it."""
        _stream.prepare(self.plan.parameters + CALL * len(self.plan.tensors))

    @contextmanager
    def made(self, chunk: Chunk) -> Iterator[Bytes]:
        """Give memory with the pieces of a chunk at their places; it is used again after this.

        Any thread may leave this context, whichever entered it.

        Raises:
            StoppedError: nothing more is to be made.
        """
        first = self.plan.tensors[chunk.pieces[0].tensor]
        if first.element is not None:
            # All chunks share it, but no more of them may wait to be written than others do.
            with self.buffer():
                yield self._full_of(first.element)
        elif first.streams:
            with self.buffer() as buffer:
                self._fill(chunk, buffer)
                yield buffer
        else:
            with self._whole:
                if self.stop.is_set():
                    raise _parallel.StoppedError
                with _parallel.threads(self.threads, self.stop):
                    array = np.ascontiguousarray(whole(first))
                yield array.reshape(-1).view(np.uint8)

    @contextmanager
    def buffer(self) -> Iterator[Bytes]:
        """Give the memory of one chunk, once there is some that nobody uses."""
        buffer = self._free.get()
        try:
            yield buffer
        finally:
            self._free.put(buffer)

    def span(self, piece: Piece) -> slice:
        """Return which bytes of its chunk's memory a piece has."""
        return slice(piece.place, piece.place + piece.count * self.plan.itemsize(piece))

    def _fill(self, chunk: Chunk, buffer: Bytes) -> None:
        with _parallel.threads(self.threads):
            for piece in chunk.pieces:
                tensor = self.plan.tensors[piece.tensor]
                out = buffer[self.span(piece)].view(tensor.entry.dtype)
                fill(tensor, out, piece.start)

    def _full_of(self, element: bytes) -> Bytes:
        """Return memory for a chunk that is full of copies of an element."""
        found, memory = self._copies
        if found != element:
            memory = pages(self.chunk_bytes + PAGE)
            memory.view(f"V{len(element)}")[:] = np.void(element)
            self._copies = element, memory
        return memory


def fill(tensor: TensorPlan, out: npt.NDArray[Any], start: int) -> None:
    """Write elements start .. start + out.size of a tensor that streams into `out`, in C order.

    Raises:
        RequestError: a user's own code can't.
    """
    with _placed(tensor):
        if tensor.spec.custom:
            # What its code leaves out must not show what was in the buffer.
            out.view(np.uint8)[:] = 0
        if tensor.initializer.fill(out, start, tensor.target) is not None:
            raise RequestError("expected `fill` to write into `out`, but it returned something")


def whole(tensor: TensorPlan) -> npt.NDArray[Any]:
    """Return a whole tensor, in its shape.

    Raises:
        RequestError: a user's own code can't make it.
    """
    with _placed(tensor), draws_for(tensor.seed, tensor.entry.name):
        return initializers.materialize(tensor.initializer, tensor.target)


@contextmanager
def _placed(tensor: TensorPlan) -> Iterator[None]:
    """Let whatever a user's own code raises end in one line, with its place in the manifest."""
    try:
        with guarded(tensor.spec):
            yield
    except RequestError as error:
        raise tensor.where.error(f"{tensor.entry.name!r}: {error}") from error
