"""The catalogue: what there is to know of each built-in initializer, from its own docstring."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from initlib.initializers._registry import GROUPS, IDENTIFIERS, Maker, find, identifier_of


@dataclass(frozen=True, slots=True)
class Entry:
    """What there is to know of a built-in initializer.

    Attributes:
        name: its class; of a function its identifier.
        identifier: by which manifests know it.
        group: whose it is: "Keras", "torch", "JAX", "models" for what current ones use, "compound"
            for what is made of other initializers.
        aliases: other identifiers that `get` accepts.
        arguments: names and defaults; None for those that are required.
        required: names of the arguments that have no default.
        summary: one line.
        formula: one line of mathematics.
        source: papers and functions, one line; empty where there is none but Keras.
    """

    name: str
    identifier: str
    group: str
    aliases: tuple[str, ...]
    arguments: dict[str, Any]
    required: tuple[str, ...]
    summary: str
    formula: str
    source: str


def catalogue() -> list[Entry]:
    """Return an entry for each built-in initializer, in the order of the groups."""
    return [_entry(maker) for table in GROUPS.values() for maker in table]


def lookup(identifier: str) -> Entry:
    """Return the catalogue's entry of an initializer, by any of its names.

    Raises:
        RequestError: there is none of this name.
    """
    return _entry(find({"class_name": identifier}, {}))


def _entry(maker: Maker) -> Entry:
    paragraphs = [" ".join(p.split()) for p in (inspect.getdoc(maker) or "").split("\n\n")]
    identifier = identifier_of(maker)
    name = maker.__name__ if inspect.isclass(maker) else identifier
    parameters = inspect.signature(maker).parameters.values()
    required = {each.name: None for each in parameters if each.default is each.empty}
    return Entry(
        name,
        identifier,
        next((group for group, table in GROUPS.items() if maker in table), "JAX"),
        tuple(each for each, other in IDENTIFIERS.items() if other is maker and each != name),
        {each.name: each.default for each in parameters} | required,
        tuple(required),
        paragraphs[0],
        _after("Formula: ", paragraphs),
        _after("Source: ", paragraphs).replace("``", ""),
    )


def _after(word: str, paragraphs: list[str]) -> str:
    """Return what the paragraph that begins so goes on with."""
    return next((p.removeprefix(word) for p in paragraphs if p.startswith(word)), "")
