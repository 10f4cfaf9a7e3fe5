"""From a Keras model, an archive or a config by itself, to its manifest."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from initlib._checkpoint import Checkpoint, read_config
from initlib._dtypes import DTYPES, dtype_name
from initlib._errors import RequestError
from initlib._formats import Entry, shorten
from initlib._remote import named, path_of
from initlib._sources._draft import Draft, Unknown, base, draft_each, unlistable
from initlib._sources._fold import VARIABLES, Leaf
from initlib._sources._keras_config import Walk, is_object, plain, walk
from initlib._sources._keras_import import KerasMissingError
from initlib._sources._keras_initializers import name_of
from initlib._sources._keras_observed import observe

_STATISTICS = (
    "the statistics that Normalization layers were adapted to are values: here they begin at "
    "zeros and ones"
)
_CUSTOM = (
    "for custom layers, write their initializers into the manifest, guess them by --rules keras, "
    "or call initlib.manifest where their classes are registered"
)


def of_archive(source: str, checkpoint: Checkpoint) -> Draft | None:
    """Return the manifest of the model in an archive, None if there is no config in it.

    Raises:
        RequestError: what initialises a variable is for Keras to tell, which isn't there.
        StorageError: the archive is damaged.
    """
    config = read_config(checkpoint.path)
    if config is None:
        return None
    found = _walked(source, config)
    missing = [(each.name, each.what) for each in checkpoint.unread]
    entries, notes = _own([each.entry for each in checkpoint.tensors])
    problems = {name: unlistable(name, entry.shape) for name, entry in entries.items()}
    missing += [(name, problem) for name, problem in problems.items() if problem]
    entries = {name: entry for name, entry in entries.items() if not problems[name]}
    made = [
        (Leaf(name, entries[name].shape, dtype_name(entries[name].dtype)), initializer)
        for name, initializer in _initializers(source, config, found, entries).items()
    ]
    return _drafted(source, config, found, made, missing, notes)


def of_config(source: str | os.PathLike[str]) -> Draft:
    """Return the manifest of the model whose config is in a JSON file; Keras makes its shapes.

    Raises:
        RequestError: it is no model's, or Keras isn't there or can't make it.
        StorageError: the file is damaged.
    """
    name = named(source)
    config = read_config(path_of(source))
    found = _walked(name, config)
    try:
        observed = observe(config)
    except RequestError as error:
        raise RequestError(f"{name}: {error}") from error
    counts = Counter(each.name.rpartition("/")[0] for each in observed)
    leaves, missing = [], []
    for each in observed:
        if each.dtype not in DTYPES:
            missing.append((each.name, f"dtype {each.dtype}"))
            continue
        initializer = each.initializer
        if isinstance(initializer, Unknown):
            told = found.initializer(each.name, counts[each.name.rpartition("/")[0]])
            initializer = told or initializer
        leaves.append((Leaf(each.name, each.shape, each.dtype), initializer))
    return _drafted(name, config, found, leaves, missing, [])


def _walked(source: str, config: Any) -> Walk:
    if not is_object(config):
        raise RequestError(
            f"{source}: expected the config of a Keras model, as model.to_json() returns it, with "
            f"class_name and config; received {shorten(config)}"
        )
    try:
        return walk(config)
    except RecursionError as error:
        raise RequestError(f"{source}: its config nests too deeply") from error


def _own(entries: Iterable[Entry]) -> tuple[dict[str, Entry], list[str]]:
    """Return the entries that are the model's, and notes of others, which loading does without."""
    kept: dict[str, Entry] = {}
    others: Counter[str] = Counter()
    for entry in entries:
        if entry.name.startswith("optimizer/"):
            others["variables of the optimizer"] += 1
        elif "seed_generator" in entry.name.split("/"):
            others["states of seed generators"] += 1
        else:
            kept[entry.name] = entry
    counted = (f"{what} ({count:,})" for what, count in sorted(others.items()))
    return kept, [f"left out, for load_weights does without: {each}" for each in counted]


def _initializers(
    source: str, config: dict[str, Any], found: Walk, entries: dict[str, Entry]
) -> dict[str, Any]:
    """Return what initialises each variable, in Keras's order: configs tell, or else Keras."""
    counts = Counter(name.rpartition("/")[0] for name in entries)
    names = found.sorted(entries)
    made = {name: found.initializer(name, counts[name.rpartition("/")[0]]) for name in names}
    unknown = [name for name in names if made[name] is None]
    if not unknown:
        return made
    observed: dict[tuple[str, tuple[int, ...]], Any] = {}
    problem = "Keras makes no such variable"
    try:
        observed = {(plain(each.name), each.shape): each.initializer for each in observe(config)}
    except RequestError as error:
        problem = str(error)
        theirs = [layer for layer in map(found.owner, unknown) if not layer.custom]
        if theirs and isinstance(error, KerasMissingError):
            raise RequestError(f"{source}: {theirs[0]}: {error}") from error
    keys = {name: (plain(name), entries[name].shape) for name in names}
    for name in unknown:
        reason = "its class is custom" if found.owner(name).custom else problem
        made[name] = observed.get(keys[name]) or Unknown(reason)
    places = {key: place for place, key in enumerate(observed)}
    names.sort(key=lambda name: places.get(keys[name], len(places)))
    return {name: made[name] for name in names}


def _drafted(
    source: str,
    config: dict[str, Any],
    found: Walk,
    made: Sequence[tuple[Leaf, Any]],
    missing: Sequence[tuple[str, str]],
    notes: list[str],
) -> Draft:
    """Return the draft of a model, of whose variables each has its dtype and its initializer."""
    told, owners, unknown = [], [], False
    for leaf, initializer in made:
        owner = found.owner(leaf.name)
        owners.append(owner)
        if isinstance(initializer, Unknown):
            unknown, initializer = True, Unknown(f"{owner}: {initializer.reason}")
        told.append((leaf, initializer))
    if any(owner.kind == "Normalization" for owner in owners):
        notes = [*notes, _STATISTICS]
    if unknown and any(owner.custom for owner in owners):
        notes = [*notes, _CUSTOM]
    model = f"{shorten(str(config['config'].get('name')))} ({shorten(name_of(config))[1:-1]})"
    return draft_each(
        source,
        f"The Keras model {model} of {base(source)}",
        told,
        layout="keras",
        # Numbers in Keras's names count variables, seldom alike ones: nothing becomes a repeat.
        taken=VARIABLES,
        comments=["How they are initialised is in the configs of its layers."],
        missing=missing,
        notes=tuple(notes),
    )
