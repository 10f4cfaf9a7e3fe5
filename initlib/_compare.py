"""Comparing a plan's tensors, leaf by leaf, with what a file holds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from initlib._digest import LEAF, leaf_digests, tensor_digest
from initlib._make import Bytes, Maker
from initlib._plan import Chunk, Piece, TensorPlan

Array = npt.NDArray[Any]
# Reads elements of a tensor, given its index in the plan and the first element, into an array.
Read = Callable[[int, int, Array], None]


@dataclass(frozen=True, slots=True)
class Found:
    """What was found in one leaf of a tensor, or in several together.

    Attributes:
        start: the leaf's first element.
        differing: how many elements have other bits than expected.
        first: the first of them, None if there is none.
        expected: its value, as text.
        found: its value in the file, as text.
        digests: of the file's leaves; only where the tensor's digest is wanted.
        largest: of the expected elements' magnitudes; only for inexact initializers.
        excess: how far elements are off at most, beyond what rounding explains; likewise.
    """

    start: int
    differing: int = 0
    first: int | None = None
    expected: str | None = None
    found: str | None = None
    digests: bytes = b""
    largest: float = 0.0
    excess: float = 0.0

    @property
    def digest(self) -> str:
        """The tensor's digest, if all of its leaves are in here."""
        return tensor_digest(self.digests)


NOTHING = Found(0)


def merged(parts: Iterable[Found]) -> Found:
    """Return what was found in several leaves of one tensor as one."""
    ordered = sorted(parts, key=lambda part: part.start)
    if not ordered:
        return NOTHING
    first = next((part for part in ordered if part.differing), NOTHING)
    return Found(
        ordered[0].start,
        sum(part.differing for part in ordered),
        first.first,
        first.expected,
        first.found,
        b"".join(part.digests for part in ordered),
        max(part.largest for part in ordered),
        max(part.excess for part in ordered),
    )


@dataclass
class Comparer:
    """Compares chunks with a file; any number of threads may ask it to.

    Attributes:
        maker: makes the chunks.
        read: reads the same elements from the file.
    """

    maker: Maker
    read: Read
    _local: threading.local = field(default_factory=threading.local)

    def values(self, chunk: Chunk) -> list[tuple[int, Found]]:
        """Make a chunk and compare it; return what was found by tensors' indices.

        Leaves that are as they should be are passed over, but for tensors that may be inexact.
        """
        with self.maker.made(chunk) as made:
            return [
                (piece.tensor, found)
                for piece in chunk.pieces
                for found in self._leaves(piece, made[self.maker.span(piece)])
            ]

    def digests(self, chunk: Chunk) -> list[tuple[int, Found]]:
        """Return the digests of a chunk's leaves in the file."""
        return [
            (piece.tensor, Found(start, digests=leaf_digests(stored.view(np.uint8))))
            for piece in chunk.pieces
            for start, stored in self._stored(piece)
        ]

    def _leaves(self, piece: Piece, made: Bytes) -> Iterator[Found]:
        tensor = self.maker.plan.tensors[piece.tensor]
        values = made.view(tensor.entry.dtype)
        inexact = tensor.tolerance is not None or tensor.source is not None
        for start, stored in self._stored(piece):
            begin = start - piece.start
            expected = values[begin : begin + stored.size]
            found = _difference(expected, stored, start)
            if inexact:
                found = _inexact(found or Found(start), tensor, expected, stored)
            if found:
                yield found

    def _stored(self, piece: Piece) -> Iterator[tuple[int, Array]]:
        """Yield a piece's leaves as the file has them; each is overwritten by the next."""
        dtype = self.maker.plan.tensors[piece.tensor].entry.dtype
        if not hasattr(self._local, "buffer"):
            self._local.buffer = np.empty(LEAF, np.uint8)
        buffer = self._local.buffer.view(dtype)
        end = piece.start + piece.count
        for start in range(piece.start, end, buffer.size):
            stored = buffer[: end - start]
            self.read(piece.tensor, start, stored)
            yield start, stored


def _difference(expected: Array, stored: Array, start: int) -> Found | None:
    """Compare the bits of two arrays, of which the first element has the index `start`."""
    a, b = bits(expected), bits(stored)
    if np.array_equal(a, b):
        return None
    differs = a != b
    first = int(differs.argmax())
    texts = value_texts(expected[first], stored[first])
    return Found(start, int(differs.sum()), start + first, *texts)


def _inexact(found: Found, tensor: TensorPlan, expected: Array, stored: Array) -> Found:
    """Add to what was found what an inexact tensor is judged by."""
    largest = excess = 0.0
    if tensor.tolerance is not None:
        a, b = expected.astype(np.float64), stored.astype(np.float64)
        size = np.abs(a)
        largest = float(size.max())
        if found.differing:
            # Values that are this near to each other may be rounded to neighbours in the dtype.
            limits = ml_dtypes.finfo(expected.dtype)  # type: ignore[no-untyped-call]
            step = float(limits.eps) * np.maximum(size, np.abs(b))
            step += float(limits.smallest_subnormal)
            with np.errstate(invalid="ignore"):
                excess = float(np.nan_to_num(np.abs(a - b) - step, nan=np.inf).max())
    return Found(
        found.start,
        found.differing,
        found.first,
        found.expected,
        found.found,
        leaf_digests(stored.view(np.uint8)),
        largest,
        max(excess, 0.0),
    )


def bits(values: Array) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Return an array's elements as unsigned integers of the same bits."""
    return values.view(f"u{values.dtype.itemsize}")


def value_texts(a: Any, b: Any) -> tuple[str, str]:
    """Return two elements as texts that differ if their bits do."""
    texts = str(a), str(b)
    if texts[0] != texts[1]:
        return texts
    width = 2 * a.dtype.itemsize
    first, second = (f"{int(bits(np.array([value]))[0]):0{width}x}" for value in (a, b))
    return f"{texts[0]} (0x{first})", f"{texts[1]} (0x{second})"


def multi_index(flat: int, shape: Sequence[int]) -> tuple[int, ...]:
    """Return the index along each axis of an element, given its index in C order."""
    return tuple(int(index) for index in np.unravel_index(flat, tuple(shape)))
