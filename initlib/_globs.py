"""Globs over tensors' names: * any text, ? any character, [abc] one of these."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from fnmatch import translate
from glob import escape

# A character of a glob that stands for itself.
_ESCAPED = re.compile(r"\[([*?[])\]")


def fitting(glob: str) -> Callable[[str], object]:
    """Return what finds a match, or None, of a glob with a whole name."""
    return re.compile(translate(glob)).match


def matcher(globs: Iterable[str]) -> Callable[[str], bool]:
    """Return what tells whether one of the globs matches a name; without any, all names do."""
    literal = {glob: _literal(glob) for glob in globs}
    # A shard's are thousands of names, which are looked up rather than tried one by one.
    names = {name for name in literal.values() if name is not None}
    others = [fitting(glob) for glob, name in literal.items() if name is None]
    return lambda name: not literal or name in names or any(fits(name) for fits in others)


def unmatched(globs: Iterable[str], names: Collection[str]) -> str | None:
    """Return the first glob that matches none of the names; None if each matches one."""
    known = set(names)
    for glob in globs:
        if _literal(glob) not in known and not any(map(fitting(glob), known)):
            return glob
    return None


def _literal(glob: str) -> str | None:
    """Return the one name that a glob matches, None if there may be several."""
    name = _ESCAPED.sub(r"\1", glob)
    return name if escape(name) == glob else None
