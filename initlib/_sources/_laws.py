"""What is known of a tensor's values while a model is built: a small algebra, of no framework."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

# A number of more characters may be one of these over the root of an integer.
SHORT = 8
FACTORS = (1, 0.02)


@dataclass(frozen=True, slots=True)
class Law:
    """Elements that are independent draws, or all the same.

    Attributes:
        kind: "constant" (value), "normal" (mean, std), "uniform" (low, high) or "trunc_normal"
            (mean, std, a, b).
        numbers: its parameters.
        written: the call that a manifest has for it, if there is one that says more.
        shape: of the tensor that the call was for.
        draws: tells the draws of one tensor from those of others.
    """

    kind: str
    numbers: tuple[float, ...]
    written: str | None = field(default=None, compare=False)
    shape: tuple[int, ...] | None = field(default=None, compare=False)
    draws: int = field(default=0, compare=False)

    def times(self, factor: float) -> Law:
        """Return the law of the values times a number."""
        return self._scaled([number * factor for number in self.numbers], factor)

    def over(self, divisor: float) -> Law:
        """Return the law of the values divided by a number."""
        return self._scaled([number / divisor for number in self.numbers], divisor)

    def _scaled(self, numbers: list[float], factor: float) -> Law:
        if self.kind in ("normal", "trunc_normal"):
            numbers[1] = abs(numbers[1])
        if self.kind in ("uniform", "trunc_normal") and factor < 0:
            numbers[-2], numbers[-1] = numbers[-1], numbers[-2]
        return Law(self.kind, tuple(numbers), draws=self.draws)

    def plus(self, number: float) -> Law:
        """Return the law of the values plus a number."""
        moved = [each + number for each in self.numbers]
        if self.kind in ("normal", "trunc_normal"):
            moved[1] = self.numbers[1]
        return Law(self.kind, tuple(moved), draws=self.draws)

    def call(self, shape: tuple[int, ...] | None = None) -> str:
        """Return the call of a manifest.

        Args:
            shape: of the tensor; what is written by fans is for the shape that it was called with.
        """
        if self.written is not None and shape == self.shape:
            return self.written
        if self.kind == "constant":
            (value,) = self.numbers
            return {0.0: "zeros", 1.0: "ones"}.get(value, f"constant({number(value)})")
        texts = [number(each) for each in self.numbers]
        if self.kind == "uniform":
            return f"random_uniform({texts[0]}, {texts[1]})"
        if self.kind == "normal":
            mean, stddev = texts
            return f"random_normal({f'mean={mean}, ' * (mean != '0')}stddev={stddev})"
        mean, stddev, low, high = texts
        return f"trunc_normal({f'mean={mean}, ' * (mean != '0')}std={stddev}, a={low}, b={high})"


@dataclass(frozen=True, slots=True)
class Structure:
    """A whole matrix: orthogonal, sparse, an identity.

    Attributes:
        written: the call that a manifest has for it.
        shape: of the tensor that it was called for.
    """

    written: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Formula:
    """Elements that are a function of independent draws.

    Attributes:
        text: in x, which stands for a draw.
        of: the law of the draws.
        alone: whether the text needs no parentheses beside an operator.
    """

    text: str
    of: Law
    alone: bool = True

    def call(self) -> str:
        """Return the call of a manifest."""
        return f'elementwise("{self.text}", {nested(self.of)})'


@dataclass(frozen=True, slots=True)
class Computed:
    """Values that come out of operations which say nothing by themselves.

    Attributes:
        by: the last of them.
    """

    by: str


@dataclass(frozen=True, slots=True)
class Parts:
    """Runs of elements, in C order, each with its own law.

    Attributes:
        runs: first element and law of each, in order; the last ends with the tensor.
        size: how many elements there are.
    """

    runs: tuple[tuple[int, Law | None], ...]
    size: int

    def law(self, start: int, end: int) -> Law | None:
        """Return the law that all of some elements have, None if there is no one law."""
        found = {law for first, last, law in self.spans() if first < end and start < last}
        return found.pop() if len(found) == 1 else None

    def spans(self) -> Iterable[tuple[int, int, Law | None]]:
        """Yield first element, end and law of each run."""
        ends = [first for first, _ in self.runs[1:]] + [self.size]
        for (first, law), end in zip(self.runs, ends, strict=True):
            yield first, end, law

    def with_run(self, start: int, end: int, law: Law) -> Parts:
        """Return them after some elements were written."""
        runs: list[tuple[int, Law | None]] = []
        for first, last, before in self.spans():
            if first < start:
                runs.append((first, before))
            if first <= start < last:
                runs.append((start, law))
            if last > end and (first >= end or first <= end < last):
                runs.append((max(first, end), before))
        merged = [run for i, run in enumerate(runs) if i == 0 or run[1] != runs[i - 1][1]]
        return Parts(tuple(merged), self.size)

    def written(self, rows: int) -> str | None:
        """Return the call for a tensor of so many rows; None if a law is missing or cuts a row."""
        row = self.size // rows if rows else 0
        if not row or any(law is None or first % row for first, law in self.runs):
            return None
        sizes = [(end - first) // row for first, end, _ in self.spans()]
        laws = ", ".join(nested(law) for _, law in self.runs if law)
        return f"concatenate({sizes}, [{laws}])"


State: TypeAlias = Law | Structure | Formula | Computed | Parts | None


def nested(law: Law) -> str:
    """Return a law as one initializer inside another is written: a call with named arguments."""
    if law.kind == "uniform":
        low, high = map(number, law.numbers)
        return f"random_uniform(minval={low}, maxval={high})"
    text = law.call()
    if law.kind == "constant" and "(" in text:
        return f"constant(value={number(law.numbers[0])})"
    return text if "(" in text else f"{text}()"


def number(value: float) -> str:
    """Return a number as a person would write it, equal to a unit in the last place.

    Scales are often a number of few digits over a root: 0.02/sqrt(24), 1/sqrt(768).
    """
    value = float(value)
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if not 1e-6 < abs(value) < 1e6 or len(repr(abs(value))) <= SHORT:
        return repr(value)
    if value < 0:
        return f"-{number(-value)}"
    if _close(math.sqrt(square := round(value * value)), value):
        return f"sqrt({square})"
    roots = {round((factor / value) ** 2): factor for factor in FACTORS}
    for root in sorted(filter(None, roots)):
        if _close(roots[root] / math.sqrt(root), value):
            return f"{roots[root]}/sqrt({root})"
    return repr(value)


def _close(a: float, b: float) -> bool:
    # One computes 512 ** -0.5, another 1 / sqrt(512).
    return abs(a - b) <= math.ulp(b)
