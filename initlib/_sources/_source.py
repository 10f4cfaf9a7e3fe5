"""From something that exists to its manifest."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from initlib import _manifest
from initlib._checkpoint import Checkpoint, open_checkpoint
from initlib._dtypes import dtype_name
from initlib._errors import ManifestError
from initlib._formats import Entry, shorten
from initlib._plan import MAX_RANK, make_plan
from initlib._provenance import Record, checksum, read_record
from initlib._sources._fold import Leaf, blocks, fold
from initlib._sources._rules import BLOCKS, Rule, Rules, read_rules
from initlib._sources._text import as_text
from initlib._sources._torch import of_torch


@dataclass(frozen=True, slots=True)
class Draft:
    """The manifest of something that exists.

    Attributes:
        source: what it is the manifest of, as it was given.
        text: commented YAML, which `generate` takes when it is in a file.
        manifest: the same as plain data, which `generate` takes as it is.
        rules: the set of rules, or the file, that says what the initializers are; None where the
            source itself does.
        tensors: how many tensors it has.
        parameters: how many elements these have.
        missing: names of what `generate` can't make from it, and why.
        notes: what else is to be known.
    """

    source: str
    text: str
    manifest: dict[str, Any]
    rules: str | None
    tensors: int
    parameters: int
    missing: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    @property
    def partial(self) -> bool:
        """Whether something is missing: the text says so, too."""
        return bool(self.missing)


def manifest(source: str | os.PathLike[str], *, rules: str | None = None) -> Draft:
    """Return the manifest of a checkpoint, from its headers alone.

    A file that initgen wrote gives back its own. Of others, rules say what is initialised how, by
    the tensors' names; what differs in a number alone becomes a `repeat`.

    Args:
        source: a safetensors or HDF5 file, a folder or an index of shards, or a `.keras`.
        rules: "gpt2", "keras", "llama", "torch", or a manifest whose rules, vars and layout are
            taken; a variable n_layers becomes the number of blocks. None is the file's own
            manifest or, where it has none, "keras" for HDF5 and "torch" for safetensors.

    Raises:
        RequestError: there is no such file, or there are no such rules.
        StorageError: the checkpoint can't be read.
    """
    chosen = None if rules is None else read_rules(rules)
    with open_checkpoint(source) as checkpoint:
        name = os.fspath(source)
        notes: tuple[str, ...] = ()
        if chosen is None:
            record, notes = _own(checkpoint)
            if record is not None:
                return _given_back(name, checkpoint, record)
            default = "torch" if checkpoint.format == "safetensors" else "keras"
            chosen = read_rules(default)
        return _drafted(name, checkpoint, chosen, notes)


def _own(checkpoint: Checkpoint) -> tuple[Record | None, tuple[str, ...]]:
    """Return the provenance that all files of a checkpoint share, or why it isn't to be trusted."""
    records = []
    for metadata in checkpoint.metadata:
        try:
            record = read_record(metadata)
            if record is None:
                return None, ()
            if checksum(metadata) != record.checksum:
                return None, ("its own manifest isn't as it was written: the checksum doesn't fit",)
            _manifest.read(record.manifest)
        except ValueError as error:
            return None, (f"its own manifest can't be used: {error}",)
        records.append(record)
    if any(record.manifest != records[0].manifest for record in records):
        return None, ("its files were made from several manifests",)
    listed = {name for record in records for name in record.tensors}
    if listed != {each.entry.name for each in checkpoint.tensors}:
        return None, ("its own manifest lists other tensors than there are",)
    return records[0], ()


def _given_back(source: str, checkpoint: Checkpoint, record: Record) -> Draft:
    notes: tuple[str, ...] = ()
    if record.only and len(checkpoint.files) == 1:
        notes = (f"it is a part of what the manifest makes: {len(record.tensors):,} tensors",)
    comments = [
        f"The manifest that {_base(source)} was made from, by initgen {record.version}.",
        *map(_sentence, notes),
    ]
    data, count = record.manifest, len(checkpoint.tensors)
    total = sum(each.entry.size for each in checkpoint.tensors)
    return Draft(source, as_text(data, comments), data, None, count, total, (), notes)


def _drafted(source: str, checkpoint: Checkpoint, rules: Rules, notes: tuple[str, ...]) -> Draft:
    """Return a manifest of what is in a checkpoint, by rules."""
    missing = [(each.name, each.what) for each in checkpoint.unread]
    entries = []
    for entry in (each.entry for each in checkpoint.tensors):
        problem = _unlistable(entry)
        if problem is None:
            entries.append(entry)
        else:
            missing.append((entry.name, problem))
    ruled = {entry.name: rules.fitting(entry.name) for entry in entries}
    names = Counter(dtype_name(entry.dtype) for entry in entries)
    dtype = names.most_common(1)[0][0] if names else "float32"
    leaves = _leaves(entries, rules, ruled, dtype)
    data = _data(leaves, rules, ruled, dtype)
    filling = _Filling(data)
    for leaf in leaves:
        rule = ruled[leaf.name]
        initializer = leaf.initializer or (rule and rule.initializer)
        if problem := filling.problem(leaf, initializer):
            missing.append((leaf.name, problem))
    total = sum(entry.size for entry in entries)
    comments = [
        f"What is in {_base(source)}: {len(entries):,} tensors, {total:,} parameters.",
        f"How they are initialised is a guess from their names (--rules {_base(rules.name)}).",
        *(_sentence(note) for note in notes),
        *_marks(missing),
    ]
    text = as_text(data, comments)
    return Draft(source, text, data, rules.name, len(entries), total, tuple(missing), notes)


def _unlistable(entry: Entry) -> str | None:
    """Return why a manifest can't list a tensor."""
    if not entry.name or "\0" in entry.name:
        return "no manifest can have its name"
    return f"it has more than {MAX_RANK} dimensions" if len(entry.shape) > MAX_RANK else None


def _leaves(
    entries: Sequence[Entry], rules: Rules, ruled: Mapping[str, Rule | None], dtype: str
) -> list[Leaf]:
    shapes = {entry.name: entry.shape for entry in entries}
    leaves = []
    for entry in entries:
        own, rule = dtype_name(entry.dtype), ruled[entry.name]
        initializer = None
        if rules.name == "torch" and rule is not None:
            initializer = of_torch(entry.name, shapes, rule.initializer)
        leaves.append(Leaf(entry.name, entry.shape, None if own == dtype else own, initializer))
    return leaves


def _data(
    leaves: Sequence[Leaf], rules: Rules, ruled: Mapping[str, Rule | None], dtype: str
) -> dict[str, Any]:
    variables = dict(rules.variables)
    layers = fold(leaves, variables)
    if BLOCKS in variables and (count := blocks(leaf.name for leaf in leaves)):
        variables[BLOCKS] = count
        layers = [
            {**each, "repeat": dict.fromkeys(each["repeat"], BLOCKS)}
            if count in each.get("repeat", {}).values()
            else each
            for each in layers
        ]
    # A rule that fits nothing is an error, and one that never comes first says nothing.
    first = [ruled[leaf.name] for leaf in leaves if leaf.initializer is None]
    kept = [
        {"match": rule.match, "initializer": rule.initializer}
        for rule in rules.rules
        if any(rule is each for each in first)
    ]
    top = {"seed": 0, "dtype": dtype, "layout": rules.layout, "vars": variables, "rules": kept}
    return {**{key: value for key, value in top.items() if value not in ({}, [])}, "layers": layers}


@dataclass
class _Filling:
    """Finds out whether initializers can fill tensors, for each kind of tensor once.

    Attributes:
        manifest: whose dtype, layout and variables count.
    """

    manifest: Mapping[str, Any]
    _known: dict[tuple[Any, ...], str | None] = field(default_factory=dict)

    def problem(self, leaf: Leaf, initializer: Any) -> str | None:
        """Return why a tensor can't be made."""
        if initializer is None:
            return "no rule fits"
        key = repr(initializer), leaf.shape, leaf.dtype
        if key not in self._known:
            self._known[key] = self._tried(leaf, initializer)
        return self._known[key]

    def _tried(self, leaf: Leaf, initializer: Any) -> str | None:
        layer = {"name": "x", "shape": list(leaf.shape), "initializer": initializer}
        if leaf.dtype is not None:
            layer["dtype"] = leaf.dtype
        try:
            alone = _manifest.read({**self.manifest, "rules": [], "layers": [layer]})
            make_plan(alone, skip_code=True, skip_absent=True)
        except ManifestError as error:
            return error.problem.removeprefix("for 'x': ")
        return None


def _marks(missing: Sequence[tuple[str, str]]) -> list[str]:
    """Return the lines that say what is missing."""
    if not missing:
        return []
    shown = [f"  {shorten(name)}: {what}" for name, what in missing[:20]]
    more = [f"  and {len(missing) - 20:,} more"] if len(missing) > 20 else []
    return [f"PARTIAL: {len(missing):,} of its tensors can't be made from this:", *shown, *more]


def _base(path: str) -> str:
    """Return a path's last part: files say nothing of folders."""
    return os.path.basename(os.path.realpath(path))  # noqa: PTH119


def _sentence(note: str) -> str:
    return f"{note[0].upper()}{note[1:]}."
