"""On what terms new files may take their names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms new files may take their names.

    Attributes:
        force: what is there may be replaced.
        manifest: a file that may not.
        ours: names of files that are there as they would be written, and may stay.
        commit: is called when all files are whole, before the first of them takes its name; what it
            raises prevents that.
    """

    force: bool
    manifest: str
    ours: frozenset[str] = frozenset()
    commit: Callable[[], None] | None = None
