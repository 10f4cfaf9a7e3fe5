"""Making the chunks of a plan, for whoever writes them or compares them with what was written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from initlib import _stream, initializers
from initlib._errors import RequestError
from initlib._plan import ALIGNMENT, Chunk, Piece, Plan, TensorPlan, guarded
from initlib._seeds import draws_for

Bytes = npt.NDArray[np.uint8]

# Calling the reference for one small tensor takes as long as so many values take.
CALL = 1000


@dataclass
class Maker:
    """Makes chunks; any number of threads may ask it for them.

    Attributes:
        plan: what to make.
        chunk_bytes: size of a chunk, and of each worker's buffer.
    """

    plan: Plan
    chunk_bytes: int
    _local: threading.local = field(default_factory=threading.local)
    # Tensors that can't be made in pieces are held whole: no two at a time.
    _whole: threading.Lock = field(default_factory=threading.Lock)

    def prepare(self) -> None:
        """Load the compiled kernels if the plan is worth it."""
        _stream.prepare(self.plan.parameters + CALL * len(self.plan.tensors))

    @contextmanager
    def made(self, chunk: Chunk) -> Iterator[list[Bytes]]:
        """Give the bytes of each piece of a chunk; they are overwritten once this is left."""
        first = self.plan.tensors[chunk.pieces[0].tensor]
        if first.streams:
            yield list(self._fill(chunk.pieces))
            return
        with self._whole:
            array = np.ascontiguousarray(_guarded(first, _make_whole))
            yield [array.reshape(-1).view(np.uint8)]

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
