"""From something that exists to its manifest."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from initlib import _manifest
from initlib._checkpoint import Checkpoint, open_checkpoint
from initlib._dtypes import dtype_name
from initlib._errors import RequestError
from initlib._formats import Entry, shorten
from initlib._plan import make_plan
from initlib._provenance import Record, checksum, read_record
from initlib._sources._fold import Leaf, fold
from initlib._sources._rules import BLOCKS, Rules, read_rules
from initlib._sources._text import as_text

# The dtypes of which nothing random can be.
_WHOLE = ("int", "uint", "bool")


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
        except ValueError as error:
            return None, (str(error),)
        if record is None:
            return None, ()
        if checksum(metadata) != record.checksum:
            return None, ("its own manifest isn't as it was written: the checksum doesn't fit",)
        records.append(record)
    if any(record.manifest != records[0].manifest for record in records):
        return None, ("its files were made from several manifests",)
    listed = {name for record in records for name in record.tensors}
    if listed != {each.entry.name for each in checkpoint.tensors}:
        return None, ("its own manifest lists other tensors than there are",)
    return records[0], ()


def _given_back(source: str, checkpoint: Checkpoint, record: Record) -> Draft:
    comments = [f"The manifest that {_base(source)} was made from, by initgen {record.version}."]
    data, count = record.manifest, len(checkpoint.tensors)
    total = sum(each.entry.size for each in checkpoint.tensors)
    notes: tuple[str, ...] = ()
    # Not all of them: a small file must not be able to ask for millions.
    if sum(1 for _ in islice(_manifest.read(data).tensors(), count + 1)) > count:
        notes = (f"there are only {count:,} of its tensors in it",)
        comments += map(_sentence, notes)
    return Draft(source, as_text(data, comments), data, None, count, total, (), notes)


def _drafted(source: str, checkpoint: Checkpoint, rules: Rules, notes: tuple[str, ...]) -> Draft:
    """Return a manifest of what is in a checkpoint, by rules."""
    entries = [each.entry for each in checkpoint.tensors if each.entry.name]
    missing = [(each.name, each.what) for each in checkpoint.unread]
    missing += [("", "it has no name") for each in checkpoint.tensors if not each.entry.name]
    names = Counter(dtype_name(entry.dtype) for entry in entries)
    dtype = names.most_common(1)[0][0] if names else "float32"
    leaves = []
    for entry in entries:
        leaf = _leaf(entry, dtype)
        problem = _problem(leaf, entry, rules)
        if problem is not None:
            missing.append((entry.name, problem))
        leaves.append(leaf)
    if rules.name == "torch":
        shapes = {entry.name: entry.shape for entry in entries}
        leaves = [
            replace(leaf, initializer=_of_torch(leaf, shapes))
            if (rule := rules.fitting(leaf.name)) and rule.initializer != "ones"
            else leaf
            for leaf in leaves
        ]
    data = _data(leaves, rules, dtype)
    total = sum(entry.size for entry in entries)
    comments = [
        f"What is in {_base(source)}: {len(entries):,} tensors, {total:,} parameters.",
        f"How they are initialised is a guess from their names (--rules {_base(rules.name)}).",
        *(_sentence(note) for note in notes),
        *_marks(missing),
    ]
    text = as_text(data, comments)
    return Draft(source, text, data, rules.name, len(entries), total, tuple(missing), notes)


def _leaf(entry: Entry, dtype: str) -> Leaf:
    own = dtype_name(entry.dtype)
    return Leaf(entry.name, entry.shape, None if own == dtype else own)


def _problem(leaf: Leaf, entry: Entry, rules: Rules) -> str | None:
    """Return why a tensor can't be made by the rule that fits it."""
    rule = rules.fitting(leaf.name)
    if rule is None:
        return "no rule fits"
    if not dtype_name(entry.dtype).startswith(_WHOLE):
        return None
    layer = {"name": "x", "shape": list(leaf.shape), "dtype": leaf.dtype or dtype_name(entry.dtype)}
    layer["initializer"] = rule.initializer
    try:
        make_plan(_manifest.read({"vars": rules.variables, "layers": [layer]}), skip_code=True)
    except RequestError:
        return f"the rule that fits it can't fill {dtype_name(entry.dtype)}"
    return None


def _of_torch(leaf: Leaf, shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """Return what no rule can say of a torch module's parameter."""
    module, _, parameter = leaf.name.rpartition(".")
    weight = shapes.get(f"{module}.weight" if module else "weight", ())
    if parameter == "bias" and len(weight) > 1:
        bound = f"1/sqrt({math.prod(weight[1:])})"
        return f"random_uniform(-{bound}, {bound})" if math.prod(weight[1:]) else None
    return "ones" if parameter == "weight" and len(leaf.shape) == 1 else None


def _data(leaves: Sequence[Leaf], rules: Rules, dtype: str) -> dict[str, Any]:
    layers, variables = _with_blocks(fold(leaves), dict(rules.variables))
    # A rule that fits nothing is an error, and one that never comes first says nothing.
    fitting = {id(rules.fitting(leaf.name)) for leaf in leaves if leaf.initializer is None}
    kept = [
        {"match": rule.match, "initializer": rule.initializer}
        for rule in rules.rules
        if id(rule) in fitting
    ]
    top = {"seed": 0, "dtype": dtype, "layout": rules.layout, "vars": variables, "rules": kept}
    return {**{key: value for key, value in top.items() if value not in ({}, [])}, "layers": layers}


def _with_blocks(
    layers: list[dict[str, Any]], variables: dict[str, Any]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Let the variable for the number of blocks, if there is one, count the longest repeat."""
    blocks = max(map(_count, layers), default=0)
    if BLOCKS not in variables or not blocks:
        return layers, variables
    counted = [
        {**each, "repeat": dict.fromkeys(each["repeat"], BLOCKS)}
        if _count(each) == blocks
        else each
        for each in layers
    ]
    return counted, {**variables, BLOCKS: blocks}


def _count(item: Mapping[str, Any]) -> int:
    """Return how often an item repeats, from 0 on."""
    counts = [each for each in item.get("repeat", {}).values() if isinstance(each, int)]
    return counts[0] if counts else 0


def _marks(missing: Sequence[tuple[str, str]]) -> list[str]:
    """Return the lines that say what is missing."""
    if not missing:
        return []
    shown = [f"  {shorten(name)}: {what}" for name, what in missing[:20]]
    more = [f"  and {len(missing) - 20:,} more"] if len(missing) > 20 else []
    return [f"PARTIAL: {len(missing):,} of its tensors can't be made from this:", *shown, *more]


def _base(path: str) -> str:
    """Return a path's last part, in one printable line; files say nothing of folders."""
    return shorten(Path(path).name)[1:-1]


def _sentence(note: str) -> str:
    return f"{note[0].upper()}{note[1:]}."
