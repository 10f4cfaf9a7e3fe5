"""What comes out of every source: a manifest as text and as data, and what it can't say."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from initlib import _manifest
from initlib._errors import ManifestError
from initlib._formats import shorten
from initlib._manifest import MAX_NAME, MAX_RANK
from initlib._plan import make_plan
from initlib._remote import path_of
from initlib._sources._fold import Leaf, fold
from initlib._sources._text import as_text


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


@dataclass(frozen=True, slots=True)
class Unknown:
    """What stands for an initializer that a source doesn't tell.

    Attributes:
        reason: why not.
    """

    reason: str


Missing = Sequence[tuple[str, str]]


def make_draft(
    source: str,
    title: str,
    data: dict[str, Any],
    made: Iterable[tuple[Leaf, Any]],
    *,
    comments: Sequence[str] = (),
    missing: Missing = (),
    notes: tuple[str, ...] = (),
    rules: str | None = None,
) -> Draft:
    """Return the draft of a manifest, after a trial whether its tensors can be made.

    Args:
        source: what it is the manifest of, as it was given.
        title: the same for people, at the text's head, where counts follow it.
        data: the manifest.
        made: its tensors, each with the initializer that it gets from itself or from a rule, None
            if no rule fits, or why it is `Unknown`.
        comments: what the text says next, before the notes and what is missing.
        missing: names of what isn't in the manifest, and why.
        notes: what else is to be known.
        rules: where the initializers are from, if not from the source.
    """
    filling, found, count, total = _Filling(data), list(missing), 0, 0
    for leaf, initializer in made:
        count, total = count + 1, total + math.prod(leaf.shape)
        if problem := filling.problem(leaf, initializer):
            found.append((leaf.name, problem))
    counts = f"{title}: {count:,} tensors, {total:,} parameters."
    head = [counts, *comments, *map(sentence, notes), *_marks(found)]
    return Draft(source, as_text(data, head), data, rules, count, total, tuple(found), notes)


def draft_each(
    source: str,
    title: str,
    made: Sequence[tuple[Leaf, str | Unknown]],
    *,
    layout: str,
    taken: Collection[str] = (),
    comments: Sequence[str] = (),
    missing: Missing = (),
    notes: tuple[str, ...] = (),
) -> Draft:
    """Return the draft of tensors of which the source tells each one's initializer, or doesn't.

    Args:
        source: see `make_draft`.
        title: likewise.
        made: the tensors, with their dtypes, and of each the initializer.
        layout: in which shapes are written.
        taken: see `fold`.
        comments: see `make_draft`.
        missing: likewise.
        notes: likewise.
    """
    dtype = common_dtype(leaf.dtype or "" for leaf, _ in made)
    leaves, tried = [], []
    for leaf, initializer in made:
        known = None if isinstance(initializer, Unknown) else initializer
        own = None if leaf.dtype == dtype else leaf.dtype
        leaves.append(replace(leaf, dtype=own, initializer=known))
        tried.append((leaves[-1], initializer if known is None else leaves[-1].written))
    data = {"seed": 0, "dtype": dtype, "layout": layout, "layers": fold(leaves, taken)}
    return make_draft(source, title, data, tried, comments=comments, missing=missing, notes=notes)


def common_dtype(names: Iterable[str]) -> str:
    """Return the dtype that most tensors have, which a manifest names once."""
    counted = Counter(names).most_common(1)
    return counted[0][0] if counted else "float32"


def unlistable(name: str, shape: Sequence[int]) -> str | None:
    """Return why a manifest can't list a tensor."""
    if not 0 < len(name) <= MAX_NAME or "\0" in name:
        return "no manifest can have its name"
    return f"it has more than {MAX_RANK} dimensions" if len(shape) > MAX_RANK else None


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
        if isinstance(initializer, Unknown):
            return initializer.reason
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


def _marks(missing: Missing) -> list[str]:
    """Return the lines that say what is missing."""
    if not missing:
        return []
    shown = [f"  {shorten(name)}: {what}" for name, what in missing[:20]]
    more = [f"  and {len(missing) - 20:,} more"] if len(missing) > 20 else []
    return [f"PARTIAL: {len(missing):,} of its tensors can't be made from this:", *shown, *more]


def base(path: str) -> str:
    """Return a path's last part: files say nothing of folders."""
    if "://" in path:
        return path_of(path).name
    return os.path.basename(os.path.realpath(path))  # noqa: PTH119


def sentence(note: str) -> str:
    return f"{note[0].upper()}{note[1:]}."
