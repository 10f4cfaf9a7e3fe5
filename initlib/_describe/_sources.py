"""Who knows which initializers a checkpoint's tensors have: its own provenance, or a manifest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from initlib import initializers
from initlib._dtypes import dtype_name
from initlib._errors import RequestError
from initlib._expected import Promise, call, promise
from initlib._formats import Entry
from initlib._plan import Plan
from initlib._provenance import Record, read_record
from initlib._stream import Stream
from initlib.initializers import Target

# What a target's values are drawn from is of no importance to what they promise.
_ANY_STREAM = Stream.seeded(0)


class Source(Protocol):
    """Knows what to expect of tensors.

    Attributes:
        name: "provenance", or the manifest's; None if nothing is known.
        layout: how it reads shapes, "keras" or "torch"; None if it doesn't say.
        names: of the tensors that there should be.
    """

    name: str | None
    layout: str | None

    @property
    def names(self) -> Iterable[str]: ...

    def promise(self, entry: Entry) -> Promise | None:
        """Return what a tensor's initializer promises, None if that isn't known."""

    def conflicts(self, entry: Entry) -> list[str]:
        """Return how a tensor is not the one that the source knows, a phrase each."""


@dataclass
class Manifested:
    """A manifest's plan as the source."""

    name: str | None
    layout: str | None
    _tensors: dict[str, Any]

    @classmethod
    def of(cls, plan: Plan) -> Manifested:
        """Use the tensors of a plan, of which custom code may have been left out."""
        tensors = {tensor.entry.name: tensor for tensor in plan.tensors}
        return cls(plan.manifest.source, plan.manifest.layout, tensors)

    def promise(self, entry: Entry) -> Promise | None:
        """Return what a tensor's initializer promises, None if the manifest lacks the tensor."""
        if entry.name not in self._tensors or self.conflicts(entry):
            return None
        tensor = self._tensors[entry.name]
        return promise(tensor.initializer, tensor.target, str(tensor.spec))

    def conflicts(self, entry: Entry) -> list[str]:
        """Return how shape and dtype differ from those in the manifest."""
        if entry.name not in self._tensors:
            return []
        wanted = self._tensors[entry.name].entry
        pairs = (
            ("shape", list(entry.shape), list(wanted.shape)),
            ("dtype", dtype_name(entry.dtype), dtype_name(wanted.dtype)),
        )
        return [
            f"{what} {found}, expected {other}" for what, found, other in pairs if found != other
        ]

    @property
    def names(self) -> Iterable[str]:
        """The names of the manifest's tensors."""
        return self._tensors


@dataclass
class Provenances:
    """What the files of a checkpoint say of themselves; damaged parts of that say nothing.

    Attributes:
        made_by: such as "initgen 0.1.0, seed 42"; None if no file says.
    """

    name: str | None = None
    layout: str | None = None
    made_by: str | None = None
    _records: dict[str, Record] = field(default_factory=dict)
    _made: dict[int, tuple[Any, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, metadata: Sequence[Mapping[str, str]]) -> Provenances:
        """Read the metadata of each file."""
        found = cls()
        for texts in metadata:
            try:
                record = read_record(texts)
            except ValueError:
                continue
            if record is not None:
                found._add(record)
        return found

    @property
    def names(self) -> Iterable[str]:
        """The names of the tensors that the provenances tell of."""
        return self._records

    def _add(self, record: Record) -> None:
        self.name = "provenance"
        self.layout = "torch" if record.manifest.get("layout") == "torch" else "keras"
        self.made_by = f"initgen {record.version}, seed {record.seed}"
        self._records |= dict.fromkeys(record.tensors, record)

    def promise(self, entry: Entry) -> Promise | None:
        """Return what a tensor's initializer promises, None if no provenance tells."""
        if entry.name not in self._records:
            return None
        config = self._records[entry.name].initializer(entry.name)
        target = Target(entry.shape, entry.dtype, _ANY_STREAM, self.layout or "keras")
        try:
            if config.get("custom"):
                return promise(None, target, str(config["class_name"]))
            initializer, label = self._initializer(config)
            initializers.check(initializer, target)
            return promise(initializer, target, label)
        except (RequestError, KeyError):
            return None

    def conflicts(self, entry: Entry) -> list[str]:
        """Return nothing: `verify` compares a file with its provenance."""
        return []

    def _initializer(self, config: dict[str, Any]) -> tuple[Any, str]:
        """Return the initializer of a config and how it is written; tensors of one share them."""
        # A record's tensors share its configs, which live as long as it does.
        if id(config) not in self._made:
            initializer = initializers.deserialize(config)
            self._made[id(config)] = initializer, call(initializer)
        return self._made[id(config)]
