"""A tensor in parts, each of which begins in its own way."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Sequence
from typing import Any

from initlib._errors import RequestError
from initlib.initializers._base import Array, Initializer, Target
from initlib.initializers._configs import encode
from initlib.initializers._constants import Same
from initlib.initializers._random import Drawn, Seeded


class Concatenate(Seeded):
    """Parts along the first axis, each with its own initializer.

    An embedding whose padding row is zero, or an LSTM's bias, of which the forget gate's part is
    one. Shapes and fans are those of the parts. All draw from one stream, each at its own elements,
    so that what one part holds tells nothing of another.

    Formula: W = [W_0, W_1, ...], where W_i has sizes[i] rows

    Args:
        sizes: of the parts along the first axis.
        initializers: of the parts, such as "zeros" or `RandomNormal(stddev=0.02)`: constants or
            independent draws, without seeds of their own.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong.
    """

    def __init__(self, sizes: Sequence[int], initializers: Sequence[Any], seed: Any = None) -> None:
        super().__init__(seed)
        self.sizes = _as_sizes(sizes)
        if not isinstance(initializers, list | tuple) or len(initializers) != len(self.sizes):
            raise RequestError(
                f"expected a list of {len(self.sizes)} initializers, one for each of the sizes, "
                f"received {initializers!r}"
            )
        self.initializers = [_as_part(each) for each in initializers]

    def check(self, target: Target) -> None:
        """Raise RequestError if the parts don't make up the shape, or one can't be filled."""
        if not target.shape or sum(self.sizes) != target.shape[0]:
            rows = f"{sum(self.sizes)} rows, the sum of the sizes"
            raise RequestError(f"expected {rows}, in the shape {target.shape}")
        for _, part, share in self._parts(target):
            part.check(share)

    def fill(self, out: Array, start: int, target: Target) -> None:
        """Write elements start .. start + out.size of the target into `out`."""
        for first, part, share in self._parts(target):
            begin, end = max(start, first), min(start + out.size, first + share.size)
            if begin < end:
                # Draws go by their index in the whole, so that no two parts share any.
                index = begin if isinstance(part, Drawn) else begin - first
                part.fill(out[begin - start : end - start], index, share)

    def _parts(self, target: Target) -> Iterator[tuple[int, Any, Target]]:
        """Yield each part's first element, its initializer and what it fills."""
        row, first = math.prod(target.shape[1:]), 0
        for size, part in zip(self.sizes, self.initializers, strict=True):
            shape = (size, *target.shape[1:])
            yield first, part, Target(shape, target.dtype, target.stream, target.layout)
            first += size * row

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as what JSON can hold."""
        parts = [encode(part) for part in self.initializers]
        return {"sizes": self.sizes, "initializers": parts, **super().get_config()}


def _as_sizes(sizes: Any) -> list[int]:
    try:
        found = [operator.index(size) for size in sizes]
    except TypeError:
        found = []
    if not found or min(found) < 0:
        raise RequestError(f"expected a list of sizes of 0 or more, received {sizes!r}")
    return found


def _as_part(given: Any) -> Initializer:
    # The registry lists this class, too.
    from initlib.initializers._registry import get

    part = get(given)
    if isinstance(part, Same) or (isinstance(part, Drawn) and part.given_seed is None):
        return part
    raise RequestError(
        f"expected constants or independent draws without a seed as parts, received {given!r}"
    )
