"""What basic indexing selects of a tensor, found out without the tensor."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided


@dataclass(frozen=True, slots=True)
class Selection:
    """Elements of a tensor: runs of neighbours, at distances that repeat.

    Attributes:
        shape: of what is selected.
        start: index of the first element, in C order.
        axes: how many runs there are along each axis, and how many elements further the next is.
        run: how many elements each run has.
    """

    shape: tuple[int, ...]
    start: int
    axes: tuple[tuple[int, int], ...]
    run: int

    @property
    def size(self) -> int:
        """How many elements are selected."""
        return math.prod(self.shape)


def select(index: Any, shape: tuple[int, ...]) -> Selection:
    """Return what `array[index]` would hold of an array of this shape, as NumPy does it.

    Args:
        index: integers, slices of any step, one ellipsis and None, alone or in a tuple.
        shape: of the tensor.

    Raises:
        IndexError: an integer is out of bounds, there are too many, or something else is in it.
    """
    items = index if isinstance(index, tuple) else (index,)
    checked = tuple(map(_checked, items))
    # An ellipsis keeps NumPy from fetching a single element.
    ellipsis = () if any(item is ... for item in checked) else (...,)
    # A view tells by its strides and its address what it shows. Nothing is read through it.
    whole = as_strided(np.empty(1, np.uint8), shape, _strides(shape))
    view = whole[(*checked, *ellipsis)]
    start = view.ctypes.data - whole.ctypes.data if view.size else 0
    axes = _merged(zip(view.shape, view.strides, strict=True))
    run = axes.pop()[0] if axes and axes[-1][1] == 1 else 1
    return Selection(view.shape, start, tuple(axes), run)


def _checked(item: Any) -> Any:
    if item is None or item is ... or isinstance(item, slice):
        return item
    if isinstance(item, bool | np.bool_):
        raise IndexError("expected integers, slices, ... or None, received a bool")
    try:
        number = operator.index(item)
    except TypeError:
        what = type(item).__name__
        raise IndexError(f"expected integers, slices, ... or None, received {what}") from None
    # NumPy takes larger ones for no integers.
    if abs(number) >= 1 << 63:
        raise IndexError(f"index {number} is out of bounds")
    return number


def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return by how many elements the next is further, along each axis."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _merged(axes: Any) -> list[tuple[int, int]]:
    """Return axes with those made one that follow each other without a gap."""
    merged: list[tuple[int, int]] = []
    for count, stride in axes:
        if count == 1:
            continue
        if merged and merged[-1][1] == stride * count:
            merged[-1] = merged[-1][0] * count, stride
        else:
            merged.append((count, stride))
    return merged
