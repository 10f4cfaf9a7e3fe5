"""Rules for tensors of which only names and shapes are known.

The sets that come with initlib are manifests without layers, in the folder rules/, and so is
anybody's own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from initlib import _manifest
from initlib._errors import RequestError, did_you_mean
from initlib._globs import fitting

_FOLDER = Path(__file__).parent / "rules"
SETS = tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))
# A variable of this name becomes the number of blocks.
BLOCKS = "n_layers"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: whether it fits a name, and what it says of the initializer."""

    match: str
    fits: Callable[[str], object]
    initializer: Any


@dataclass(frozen=True, slots=True)
class Rules:
    """A set of rules.

    Attributes:
        name: of the set, or of the file that they are from.
        layout: in which they read shapes.
        variables: numbers for their arithmetic, as they are written.
        rules: of which the first that fits counts.
    """

    name: str
    layout: str
    variables: dict[str, Any]
    rules: tuple[Rule, ...]

    def fitting(self, name: str) -> Rule | None:
        """Return the first rule that fits a tensor's name."""
        return next((rule for rule in self.rules if rule.fits(name)), None)


def read_rules(name: str) -> Rules:
    """Return the set of this name, or the rules of a manifest.

    Raises:
        RequestError: there is no such set, no such file, or there are no rules in it.
        StorageError: the file can't be read.
    """
    if name in SETS:
        manifest = _manifest.read(_FOLDER / f"{name}.yaml")
    else:
        # What has a dot or a slash is meant as a file.
        if not re.search(r"[./]", name) and not os.path.exists(name):  # noqa: PTH110
            near = did_you_mean(name, SETS)
            listed = ", ".join(SETS)
            raise RequestError(f"no rules {name!r}{near or f'; expected {listed} or a file'}")
        manifest = _manifest.read(name)
    if not manifest.rules:
        raise RequestError(f"{name}: expected a manifest with rules, but it has none")
    rules = (
        Rule(each.match, fitting(each.match), data["initializer"])
        for each in manifest.rules
        for data in [each.model_dump(exclude_defaults=True)]
    )
    return Rules(name, manifest.layout, dict(manifest.written), tuple(rules))
