"""The manifest that the rest of initlib sees."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from initlib._manifest._expand import Expansion
from initlib._manifest._expressions import Number
from initlib._manifest._lines import Lines
from initlib._manifest._model import Item, Layout, Repeat, Rule
from initlib._manifest._specs import TensorSpec, Where
from initlib._remote import Place


@dataclass(frozen=True)
class Manifest:
    """A validated manifest; `tensors` expands it.

    Attributes:
        version: of the manifest's format.
        seed: of the layers that have none of their own.
        dtype: of the layers that name none; a name from `initlib._dtypes`.
        layout: "keras" or "torch", how shapes are read.
        vars: variables and their values.
        written: the same as they are written, perhaps in terms of others.
        rules: initializers by name, in order.
        layers: layers and repeats, in order.
        metadata: free text for the file.
        source: file name, ``<stdin>`` or ``<manifest>``.
        folder: where relative custom code is looked for.
        lines: where everything stands in the text, if there is one.
    """

    version: int
    seed: int
    dtype: str
    layout: Layout
    vars: dict[str, Number]
    rules: tuple[Rule, ...]
    layers: tuple[Item, ...]
    metadata: dict[str, str]
    source: str
    folder: Place
    lines: Lines | None = field(default=None, compare=False, repr=False)
    written: dict[str, Number | str] = field(default_factory=dict, compare=False, repr=False)

    def where(self, *location: str | int) -> Where:
        """Return a place by its keys and indices, such as ("layers", 3, "shape")."""
        return Where(self.source, location, self.lines)

    def tensors(self) -> Iterator[TensorSpec]:
        """Yield the tensors in the order of the manifest.

        Raises:
            ManifestError: a name comes up twice, a layer has no initializer, a rule fits nothing,
                arithmetic has no result, or there are more tensors than the limit.
        """
        return Expansion(self).tensors()

    def canonical(self) -> dict[str, Any]:
        """Return the manifest as plain JSON data that loads to the same tensors.

        Manifests that say the same have the same canonical form, whether in YAML or JSON and with
        or without defaults. The order of keys in it is of no importance.
        """
        document = {
            "version": self.version,
            "seed": self.seed,
            "dtype": self.dtype,
            "layout": self.layout,
            "vars": self.vars,
            "rules": [rule.model_dump(exclude_defaults=True) for rule in self.rules],
            "layers": [_item(item) for item in self.layers],
            "metadata": self.metadata,
        }
        optional = {"vars": {}, "rules": [], "metadata": {}, "layout": "keras"}
        kept = {key: value for key, value in document.items() if value != optional.get(key)}
        return _json(kept)  # type: ignore[no-any-return]

    @cached_property
    def text(self) -> str:
        """The canonical form as compact JSON."""
        return compact(self.canonical())

    @cached_property
    def sha256(self) -> str:
        """Its hash: equal manifests have equal hashes."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def compact(value: Any) -> str:
    """Return data as compact JSON, sorted by key, in ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _item(item: Item) -> dict[str, Any]:
    """Return a layer or repeat as data; of several variables in a repeat, each gets its own.

    The order of keys would otherwise decide the order of the tensors.
    """
    if not isinstance(item, Repeat):
        return item.model_dump(exclude_defaults=True)
    layers = [_item(inner) for inner in item.layers]
    for name in reversed(item.repeat):
        layers = [{"repeat": {name: item.repeat[name]}, "layers": layers}]
    return layers[0]


def _json(value: Any) -> Any:
    """Return data with the numbers that JSON lacks (inf, -inf, nan) as arithmetic."""
    if isinstance(value, dict):
        return {key: _json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
