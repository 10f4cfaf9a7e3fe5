"""Which tensors of a checkpoint are shown, in which order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from initlib._checkpoint import Checkpoint, Stored
from initlib._describe._figures import is_off, natural
from initlib._description import TensorDescription
from initlib._errors import RequestError, did_you_mean
from initlib._globs import matcher, unmatched

LAYOUTS = ("keras", "torch")
# By what tensors can be sorted: by these in ascending order, by figures the largest first.
TEXTS: dict[str, Callable[[TensorDescription], Any]] = {
    "name": lambda tensor: natural(tensor.name),
    "dtype": lambda tensor: (tensor.dtype, natural(tensor.name)),
    "verdict": lambda tensor: (not is_off(tensor), tensor.judgement is None, natural(tensor.name)),
}
COUNTS = ("fan_in", "fan_out", "parameters", "nbytes")
FIGURES = ("mean", "stddev", "min", "max", "skewness", "kurtosis", "l2", "zeros", "nan", "infinite")


@dataclass(frozen=True, slots=True)
class Selection:
    """What of a checkpoint is shown, and how.

    Attributes:
        globs: of tensors' names; empty for all.
        tensor: one tensor's name, which is shown in detail.
        depth: groups are of names that begin alike until so many dots or slashes; 0 for none.
        sort: what tensors are sorted by.
        layout: how shapes are read; None for what the source says, or the format's custom.
    """

    globs: tuple[str, ...]
    tensor: str | None
    depth: int
    sort: str
    layout: str | None

    def check(self) -> None:
        """Raise RequestError if something isn't what it could be."""
        for what, value, known in (
            ("layout", self.layout or "keras", LAYOUTS),
            ("column to sort by", self.sort, (*TEXTS, *COUNTS, *FIGURES)),
        ):
            if value not in known:
                hint = did_you_mean(value, known) or f"; expected one of {', '.join(known)}"
                raise RequestError(f"unknown {what} {value!r}{hint}")
        if self.depth < 0:
            raise RequestError(f"expected a depth of 0 or more, received {self.depth}")

    def of(self, checkpoint: Checkpoint) -> list[Stored]:
        """Return the tensors that were asked for.

        Raises:
            RequestError: a glob or a name fits none.
        """
        names = [stored.entry.name for stored in checkpoint.tensors]
        glob = unmatched(self.globs, names)
        if glob is not None:
            near = did_you_mean(glob, names)
            raise RequestError(f"{checkpoint.path}: no tensor's name matches {glob!r}{near}")
        if self.tensor is not None and self.tensor not in names:
            near = did_you_mean(self.tensor, names)
            raise RequestError(f"{checkpoint.path}: there is no tensor {self.tensor!r}{near}")
        wanted = matcher(self.globs) if self.tensor is None else self.tensor.__eq__
        return [stored for stored in checkpoint.tensors if wanted(stored.entry.name)]

    def key(self, tensor: TensorDescription) -> Any:
        """Return what a tensor is sorted by; those without a figure come last."""
        if self.sort in TEXTS:
            return TEXTS[self.sort](tensor)
        value = getattr(tensor if self.sort in COUNTS else tensor.statistics, self.sort)
        return value is None, -(value or 0), natural(tensor.name)
