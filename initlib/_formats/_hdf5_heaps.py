"""What HDF5's library must not be given: heaps of texts in which it would walk without end."""

from __future__ import annotations

import struct

from initlib._formats._source import MAX_READ, Source

# A heap: its signature and version, and its size in bytes. HDF5 file format specification, III.E.
_HEAP = b"GCOL\1\0\0\0"
_HEAP_SIZE = struct.Struct("<8xQ")
# An object in it: its index, of free space 0, and its size, which is without this head but for free
# space.
_OBJECT = struct.Struct("<HHIQ")


def check_heaps(source: Source, position: int, read: bytes) -> None:
    """Look at what the library reads from a file before it is given that.

    A damaged size in a heap, which has no checksum, can keep the library from ever returning.

    Raises:
        ValueError: a heap that begins in it has no end.
    """
    place = read.find(_HEAP)
    while place >= 0:
        _check_heap(source, position + place)
        place = read.find(_HEAP, place + 1)


def _check_heap(source: Source, place: int) -> None:
    """Walk through the heap at a place. ValueError if there is no way to its end."""
    left = source.size - place
    if left < _HEAP_SIZE.size:
        return
    (size,) = _HEAP_SIZE.unpack(source.bytes_at(place, _HEAP_SIZE.size))
    if size > min(left, MAX_READ):
        raise ValueError(f"a heap of {size} bytes")
    heap, at = source.bytes_at(place, size), _HEAP_SIZE.size
    while at + _OBJECT.size <= size:
        index, _, _, length = _OBJECT.unpack_from(heap, at)
        step = length if index == 0 else _OBJECT.size + -(-length // 8) * 8
        if step < _OBJECT.size or at + step > size:
            raise ValueError(f"damaged: a piece of {length} bytes in a heap of {size}")
        at += step
