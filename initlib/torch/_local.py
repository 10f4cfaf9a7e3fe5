"""Which part of a tensor this process holds, by the placements of a DTensor."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from torch.distributed.tensor import DTensor

from initlib._dtypes import DTYPES
from initlib._errors import RequestError
from initlib._open import TensorSlice

# Places along an axis: those from each first to before each last, one after the other.
Ranges = tuple[tuple[int, int], ...]
# How many elements are made at a time where they can't be made in place.
BLOCK = 1 << 22


@dataclass(frozen=True, slots=True)
class Part:
    """What a process holds of a tensor.

    Attributes:
        local: the tensor with the memory, or on meta.
        axes: along each axis of the whole tensor, the places that `local` has, in its order.
    """

    local: torch.Tensor
    axes: tuple[Ranges, ...]

    def fill(self, source: TensorSlice) -> None:
        """Write the elements into `local`, in its memory where that is possible."""
        for places, index in _boxes(self.axes):
            target = self.local[places]
            if target.device.type == "cpu" and target.is_contiguous():
                source.read_into(index, _as_array(target))
                continue
            for block in _blocks(tuple(target.shape)):
                made = np.empty(target[block].shape, _dtype_of(target))
                inside = zip(index, block, strict=True)
                source.read_into(
                    tuple(slice(i.start + b.start, i.start + b.stop) for i, b in inside), made
                )
                target[block].copy_(_as_tensor(made, target.dtype))


def part_of(name: str, tensor: torch.Tensor) -> Part:
    """Return what this process holds of a module's tensor.

    Raises:
        RequestError: it is in no mesh that the tensor is on, or the tensor is of another kind.
    """
    local = tensor.detach()
    axes: tuple[Ranges, ...] = tuple(((0, size),) for size in tensor.shape)
    if isinstance(tensor, DTensor):
        axes = _placed(name, tensor)
        local = tensor.detach().to_local()
        held = tuple(sum(map(_length, ranges)) for ranges in axes)
        if held != tuple(local.shape):
            raise RequestError(
                f"{name!r}: this process holds {[*local.shape]} of it, where {tensor.placements} "
                f"on a mesh of {[*tensor.device_mesh.shape]} make that {[*held]}"
            )
    if hasattr(local, "__tensor_flatten__") or local.layout is not torch.strided:
        raise RequestError(f"{name!r} is a {type(local).__name__}, which can't be filled")
    return Part(local, axes)


def _placed(name: str, tensor: Any) -> tuple[Ranges, ...]:
    """Return the places along each axis, after each dimension of the mesh has cut them up."""
    coordinate = tensor.device_mesh.get_coordinate()
    if coordinate is None:
        raise RequestError(f"{name!r}: this process isn't in the mesh that it is sharded on")
    axes: list[Ranges] = [((0, size),) for size in tensor.shape]
    for placement, count, number in zip(
        tensor.placements, tensor.device_mesh.shape, coordinate, strict=True
    ):
        if placement.is_replicate():
            continue
        axis = getattr(placement, "dim", None)
        if axis is None:
            raise RequestError(f"{name!r}: expected Shard or Replicate, received {placement}")
        axes[axis] = shard(axes[axis], count, number, getattr(placement, "split_factor", 1))
    return tuple(axes)


def shard(ranges: Ranges, count: int, number: int, pieces: int = 1) -> Ranges:
    """Return what shard `number` of `count` has of an axis.

    Args:
        ranges: what is to be sharded.
        count: how many shards there are. As `torch.chunk` has it, all but the last are equal.
        number: which of them.
        pieces: how many the axis is cut into before each of these is sharded: after tensor
            parallelism, FSDP shards what each rank has, not the whole.
    """
    found: list[tuple[int, int]] = []
    for piece in range(pieces):
        part = _chunk(ranges, pieces, piece)
        for first, last in _chunk(part, count, number):
            if found and found[-1][1] == first:
                first = found.pop()[0]
            found.append((first, last))
    return tuple(found)


def _chunk(ranges: Ranges, count: int, number: int) -> Ranges:
    size = sum(map(_length, ranges))
    step = -(-size // count)
    begin, end = step * number, min(size, step * (number + 1))
    found = []
    for first, last in ranges:
        low, high = first + max(begin, 0), min(first + end, last)
        if low < high:
            found.append((low, high))
        begin, end = begin - (last - first), end - (last - first)
    return tuple(found)


def _length(places: tuple[int, int]) -> int:
    return places[1] - places[0]


def _boxes(axes: tuple[Ranges, ...]) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Yield slices of a part, and those of the whole tensor that belong there."""
    along = []
    for ranges in axes:
        pairs, place = [], 0
        for first, last in ranges:
            pairs.append((slice(place, place + last - first), slice(first, last)))
            place += last - first
        along.append(pairs)
    for box in product(*along):
        yield tuple(local for local, _ in box), tuple(whole for _, whole in box)


def _blocks(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Yield slices that cut a shape up into blocks of at most BLOCK elements."""
    steps, room = [], BLOCK
    for axis, size in enumerate(shape):
        inner = math.prod(shape[axis + 1 :])
        steps.append(min(size, max(1, room // max(inner, 1))))
        room = max(1, room // steps[-1]) if size else 1
    starts = (range(0, size, step) for size, step in zip(shape, steps, strict=True) if size)
    for corner in product(*starts):
        pairs = zip(corner, shape, steps, strict=True)
        yield tuple(slice(first, min(first + step, size)) for first, size, step in pairs)


def _dtype_of(tensor: torch.Tensor) -> Any:
    return DTYPES[str(tensor.dtype).removeprefix("torch.")]


def _as_array(tensor: torch.Tensor) -> Any:
    """Return a contiguous tensor's memory as an array of the same dtype and shape."""
    octets = tensor.reshape(-1).view(torch.uint8).numpy()
    return octets.view(_dtype_of(tensor)).reshape(tuple(tensor.shape))


def _as_tensor(array: Any, dtype: Any) -> Any:
    return torch.from_numpy(array.reshape(-1).view(np.uint8)).view(dtype).reshape(array.shape)
