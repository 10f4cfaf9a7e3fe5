"""From a checkpoint to its manifest, by headers alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from initlib._checkpoint import Checkpoint, open_checkpoint
from initlib._dtypes import dtype_name
from initlib._formats import Entry
from initlib._provenance import Own, own
from initlib._remote import named
from initlib._sources._draft import Draft, base, common_dtype, make_draft, sentence, unlistable
from initlib._sources._fold import Leaf, blocks, fold
from initlib._sources._keras import of_archive
from initlib._sources._rules import BLOCKS, Rule, Rules, read_rules
from initlib._sources._text import as_text
from initlib._sources._torch_names import of_torch


def of_checkpoint(source: str | os.PathLike[str], rules: str | None) -> Draft:
    """Return the manifest of a checkpoint; see `manifest`."""
    chosen = None if rules is None else read_rules(rules)
    with open_checkpoint(source) as checkpoint:
        name = named(source)
        notes: tuple[str, ...] = ()
        if chosen is None:
            if checkpoint.format == "keras" and (draft := of_archive(name, checkpoint)) is not None:
                return draft
            try:
                found = own(checkpoint)
            except ValueError as error:
                found, notes = None, (str(error),)
            if found is not None:
                return _given_back(name, checkpoint, found)
            default = "torch" if checkpoint.format == "safetensors" else "keras"
            chosen = read_rules(default)
        return _drafted(name, checkpoint, chosen, notes)


def _given_back(source: str, checkpoint: Checkpoint, own: Own) -> Draft:
    notes: tuple[str, ...] = ()
    if own.only:
        count = len(checkpoint.tensors)
        notes = (f"it is a part of what the manifest makes: {count:,} tensors",)
    comments = [
        f"The manifest that {base(source)} was made from, by initgen {own.version}.",
        *map(sentence, notes),
    ]
    data, count = own.manifest, len(checkpoint.tensors)
    total = sum(each.entry.size for each in checkpoint.tensors)
    return Draft(source, as_text(data, comments), data, None, count, total, (), notes)


def _drafted(source: str, checkpoint: Checkpoint, rules: Rules, notes: tuple[str, ...]) -> Draft:
    """Return a manifest of what is in a checkpoint, by rules."""
    missing = [(each.name, each.what) for each in checkpoint.unread]
    entries = []
    for entry in (each.entry for each in checkpoint.tensors):
        problem = unlistable(entry.name, entry.shape)
        if problem is None:
            entries.append(entry)
        else:
            missing.append((entry.name, problem))
    ruled = {entry.name: rules.fitting(entry.name) for entry in entries}
    dtype = common_dtype(dtype_name(entry.dtype) for entry in entries)
    leaves = _leaves(entries, rules, ruled, dtype)
    made = []
    for leaf in leaves:
        rule = ruled[leaf.name]
        made.append((leaf, leaf.initializer or (rule and rule.initializer)))
    guess = f"How they are initialised is a guess from their names (--rules {base(rules.name)})."
    return make_draft(
        source,
        f"What is in {base(source)}",
        _data(leaves, rules, ruled, dtype),
        made,
        comments=[guess],
        missing=missing,
        notes=notes,
        rules=rules.name,
    )


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
