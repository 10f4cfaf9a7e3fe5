"""Tensors to the layers of a manifest: what differs in an integer of its name becomes a repeat."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

# An integer that is a part of a name by itself, as in `h.0.attn` or `layers/12/kernel`.
_INTEGER = re.compile(r"(?<![^./])(0|[1-9][0-9]{0,17})(?![^./])")
# What turns are counted by, from the outermost repeat on.
VARIABLES = "ijklmn"


@dataclass(frozen=True, slots=True)
class Leaf:
    """One tensor.

    Attributes:
        name: its name.
        shape: in elements.
        dtype: its dtype's name, None for the manifest's own.
        initializer: a name, a call, or a config as JSON; None for that of the first rule which
            fits.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str | None = None
    initializer: str | None = None

    @property
    def written(self) -> Any:
        """The initializer as a manifest has it."""
        config = self.initializer is not None and self.initializer.startswith("{")
        return json.loads(self.initializer or "") if config else self.initializer


@dataclass(frozen=True, slots=True)
class _Part:
    """A tensor of which `name` is written as in a manifest, and what follows isn't yet.

    Attributes:
        name: text up to the first integer that is left.
        rest: that integer, the text up to the next one, and so on.
        leaf: the tensor, without a name.
    """

    name: str
    rest: tuple[str, ...]
    leaf: Leaf


def fold(leaves: Sequence[Leaf], taken: Collection[str] = ()) -> list[dict[str, Any]]:
    """Return the items of a manifest's `layers` that expand to these tensors.

    Their order is that in which each first comes up; turns of a repeat are in the order of their
    integers.

    Args:
        leaves: the tensors.
        taken: names of variables that mean something else.
    """
    variables = "".join(each for each in VARIABLES if each not in taken)
    parts = []
    for leaf in leaves:
        text = leaf.name.replace("{", "{{").replace("}", "}}")
        name, *rest = _INTEGER.split(text, len(variables)) if variables else [text]
        parts.append(_Part(name, tuple(rest), replace(leaf, name="")))
    return list(_items(parts, variables))


def blocks(names: Iterable[str]) -> int:
    """Return how many integers follow the text that most of them follow, which are blocks."""
    found: dict[str, set[str]] = {}
    for name in names:
        before, *after = _INTEGER.split(name, 1)
        if after:
            found.setdefault(before, set()).add(after[0])
    return max(map(len, found.values()), default=0)


def _items(parts: Sequence[_Part], variables: str) -> Iterator[dict[str, Any]]:
    numbered: dict[str, dict[int, list[_Part]]] = {}
    for part in parts:
        if part.rest:
            turns = numbered.setdefault(part.name, {})
            number, after, *rest = part.rest
            inner = _Part(after, tuple(rest), part.leaf)
            turns.setdefault(int(number), []).append(inner)
    for part in parts:
        if not part.rest:
            yield _layer(part)
        elif part.name in numbered:
            yield from _turns(part.name, numbered.pop(part.name), variables)


def _turns(name: str, turns: dict[int, list[_Part]], variables: str) -> Iterator[dict[str, Any]]:
    """Yield what follows a name with each of some integers; equal turns together."""
    alike: dict[frozenset[_Part], list[int]] = {}
    for number in sorted(turns):
        alike.setdefault(frozenset(turns[number]), []).append(number)
    for numbers in alike.values():
        inner = turns[numbers[0]]
        if len(numbers) == 1:
            yield from _items(_after(f"{name}{numbers[0]}", inner), variables)
        else:
            layers = [*_items(_after(f"{name}{{{variables[0]}}}", inner), variables[1:])]
            whole = numbers == [*range(len(numbers))]
            count = len(numbers) if whole else numbers
            yield {"repeat": {variables[0]: count}, "layers": layers}


def _after(name: str, parts: Sequence[_Part]) -> list[_Part]:
    return [replace(part, name=name + part.name) for part in parts]


def _layer(part: _Part) -> dict[str, Any]:
    leaf = part.leaf
    layer = {"name": part.name, "shape": list(leaf.shape)}
    optional = {"dtype": leaf.dtype, "initializer": leaf.written}
    return {**layer, **{key: value for key, value in optional.items() if value is not None}}
