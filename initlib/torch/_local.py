"""Which part of a tensor this process holds, by the placements of a DTensor, and filling it."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch

from initlib._dtypes import DTYPES
from initlib._errors import RequestError
from initlib._open import TensorSlice

Box = tuple[slice, ...]
# How many elements are made at a time where they can't be made in place.
BLOCK = 1 << 22


@dataclass(frozen=True, slots=True)
class Part:
    """What a process holds of a tensor.

    Attributes:
        local: the tensor with the memory, or on meta.
        index: which part of the whole tensor that is.
    """

    local: torch.Tensor
    index: Box

    def fill(self, source: TensorSlice) -> None:
        """Write the elements into `local`, in its own memory where that is possible."""
        if self.local.device.type == "cpu" and self.local.is_contiguous():
            octets = self.local.reshape(-1).view(torch.uint8).numpy()
            out = octets.view(_dtype_of(self.local)).reshape(tuple(self.local.shape))
            source.read_into(self.index, out)
            return
        for block in _blocks(tuple(self.local.shape)):
            target = self.local[block]
            made = np.empty(tuple(target.shape), _dtype_of(target))
            inside = zip(self.index, block, strict=True)
            source.read_into(
                tuple(slice(i.start + b.start, i.start + b.stop) for i, b in inside), made
            )
            octets = torch.from_numpy(made.reshape(-1).view(np.uint8))
            target.copy_(octets.view(target.dtype).reshape(target.shape))


@dataclass(frozen=True, slots=True)
class Cut:
    """How a dimension of the mesh cuts up an axis.

    Attributes:
        count: into how many shards.
        number: of this process's.
        factor: how many shards there were when it was cut, of those that dimensions further right
            in the mesh make.
    """

    count: int
    number: int
    factor: int


def is_dtensor(tensor: Any) -> bool:
    """Tell a DTensor. Where nobody imported them, which takes half a second, there is none."""
    found = sys.modules.get("torch.distributed.tensor")
    return found is not None and isinstance(tensor, found.DTensor)


def part_of(name: str, tensor: Any) -> Part:
    """Return what this process holds of a module's tensor.

    Raises:
        RequestError: it is in no mesh that the tensor is on, or the tensor is of another kind.
    """
    local = tensor.detach()
    index: Box = tuple(slice(0, size) for size in tensor.shape)
    if is_dtensor(tensor):
        index = _placed(name, tensor)
        local = local.to_local()
        held = [places.stop - places.start for places in index]
        if held != [*local.shape]:
            raise RequestError(
                f"{name!r}: this process holds {[*local.shape]} of it, where {tensor.placements} "
                f"on a mesh of {[*tensor.device_mesh.shape]} make that {held}"
            )
    if hasattr(local, "__tensor_flatten__") or local.layout is not torch.strided:
        raise RequestError(f"{name!r} is a {type(local).__name__}, which can't be filled")
    axes = zip(local.stride(), local.shape, strict=True)
    if local.numel() and not local.is_meta and any(step == 0 and size > 1 for step, size in axes):
        raise RequestError(f"{name!r} has several elements in one place, as expand() makes them")
    return Part(local, index)


def _placed(name: str, tensor: Any) -> Box:
    """Return where a process's part lies."""
    mesh = tensor.device_mesh
    coordinate = mesh.get_coordinate()
    if coordinate is None:
        raise RequestError(f"{name!r}: this process isn't in the mesh that it is sharded on")
    cuts: list[list[Cut]] = [[] for _ in tensor.shape]
    for placement, count, number in zip(tensor.placements, mesh.shape, coordinate, strict=True):
        if placement.is_replicate():
            continue
        axis = getattr(placement, "dim", None)
        if axis is None:
            raise RequestError(f"{name!r}: expected Shard or Replicate, received {placement}")
        cuts[axis].append(Cut(count, number, getattr(placement, "split_factor", 1)))
    try:
        return tuple(shard(size, each) for size, each in zip(tensor.shape, cuts, strict=True))
    except ValueError:
        raise RequestError(f"{name!r}: {tensor.placements} are no order of shards") from None


def shard(size: int, cuts: Sequence[Cut]) -> slice:
    """Return which places of an axis a process holds.

    FSDP cuts up what each process has of a tensor-parallel parameter, though its dimension of the
    mesh is the first; the placements say so by a factor. Sizes that can't be divided make it matter
    in which order the axis is cut, and here it is the order in which FSDP did it.

    Args:
        size: of the axis.
        cuts: of the mesh's dimensions that shard it, in their order.

    Raises:
        ValueError: there is no order of cuts that has these factors.
    """
    order: list[Cut] = []
    for cut in reversed(cuts):
        place, shards = 0, 1
        while shards < cut.factor and place < len(order):
            shards *= order[place].count
            place += 1
        if shards != cut.factor:
            raise ValueError(f"no {cut.factor} shards are there to be cut")
        order.insert(place, cut)
    first, last = 0, size
    for cut in order:
        # As `torch.chunk` does it: all but the last are equal, and some may be empty.
        step = -(-(last - first) // cut.count)
        begin = min(last, first + step * cut.number)
        first, last = begin, min(last, begin + step)
    return slice(first, last)


def _blocks(shape: tuple[int, ...]) -> Iterator[Box]:
    """Yield slices that cut a shape up into blocks of at most BLOCK elements."""
    steps, room = [], BLOCK
    for axis, size in enumerate(shape):
        inner = math.prod(shape[axis + 1 :])
        steps.append(max(1, min(size, room // max(inner, 1))))
        room = max(1, room // steps[-1])
    starts = (range(0, size, step) for size, step in zip(shape, steps, strict=True))
    for corner in product(*starts):
        pairs = zip(corner, shape, steps, strict=True)
        yield tuple(slice(first, min(first + step, size)) for first, size, step in pairs)


def _dtype_of(tensor: torch.Tensor) -> Any:
    return DTYPES[str(tensor.dtype).removeprefix("torch.")]
