"""Plain data to a checked `Document`, and pydantic's findings as one line of ours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from initlib._errors import ManifestError, did_you_mean
from initlib._manifest._lines import Lines, Location, line_of, path_of
from initlib._manifest._model import (
    CALL,
    CONFIG,
    COUNT,
    COUNTS,
    LAYER,
    REPEAT,
    Document,
    KerasConfig,
    Layer,
    Repeat,
    Rule,
)
from initlib._manifest._wording import show

# Deeper than any sensible repeat or array, and well within Python's stack.
MAX_DEPTH = 100

_TAGGED: dict[Any, type[BaseModel]] = {LAYER: Layer, REPEAT: Repeat, CONFIG: KerasConfig}
_TAGS = {LAYER, REPEAT, CALL, CONFIG, COUNT, COUNTS, "[key]"}
# What belongs at a key whose value has the wrong type.
_EXPECTED = {
    "layers": "a list of layers",
    "rules": "a list of rules",
    "shape": "a list of dimensions such as [784, 256]",
    "vars": "a mapping of names to numbers",
    "metadata": "a mapping of text to text",
    "config": "a mapping of arguments",
    "build_config": "a mapping",
    "repeat": "a variable and how often, such as {i: 32}",
    "version": "1, the version of the manifest's format",
    "layout": "keras or torch",
    "initializer": "an initializer such as he_normal or truncated_normal(stddev=0.02)",
}


def validate(data: Any, source: str, lines: Lines | None) -> Document:
    """Return the checked manifest.

    Raises:
        ManifestError: for the first thing that is wrong with it.
    """
    if data is None:
        raise ManifestError("the manifest is empty; expected a list of layers", source=source)
    level = [data]
    for _ in range(MAX_DEPTH):
        level = [child for value in level for child in _children(value)]
    if level:
        raise ManifestError(f"nested more than {MAX_DEPTH} levels deep", source=source)
    try:
        return Document.model_validate(data)
    except ValidationError as error:
        # Where a key is misspelt, that is the finding, not that the right one is missing.
        findings = error.errors(include_url=False)
        first = min(findings, key=lambda found: _order(found, lines))
        problem = _problem(first)
        if len(findings) > 1:
            others = len(findings) - 1
            problem += f" (and {others} more error{'s' * (others > 1)})"
        location = _location(first)
        line = line_of(lines, location)
        if first["type"] in ("extra_forbidden", "missing"):
            location = location[:-1]  # the key is in the problem's text
        path = path_of(location)
        raise ManifestError(problem, source=source, path=path, line=line) from None


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        if isinstance(repeat := value.get("repeat"), dict) and len(repeat) > 1:
            # In canonical form each variable is a repeat by itself.
            nested = value.get("layers")
            for _ in range(2 * min(len(repeat) - 1, MAX_DEPTH)):
                nested = [nested]
            return [*value.values(), nested]
        return value.values()
    return value if isinstance(value, list) else ()


def _order(finding: Any, lines: Lines | None) -> tuple[bool, int]:
    return finding["type"] == "missing", line_of(lines, _location(finding)) or 0


def _location(finding: Any) -> Location:
    return tuple(part for part in finding["loc"] if part not in _TAGS)


def _problem(finding: Any) -> str:
    """Return what is wrong, in our words."""
    kind, received = finding["type"], show(finding["input"])
    key = finding["loc"][-1] if finding["loc"] else ""
    if kind == "extra_forbidden":
        return f"unknown key {show(key)}{_known_keys(finding['loc'], key)}"
    if kind == "missing":
        return f"missing key {key!r}"
    if kind == "value_error":
        return str(finding["ctx"]["error"])
    return f"expected {_expected(finding)}, received {received}{_quote(finding)}"


def _expected(finding: Any) -> str:
    """Return what belongs where something of another type stands."""
    location = _location(finding)
    if not location:
        return "a mapping with the key 'layers'"
    if isinstance(location[-1], int):
        return {"layers": "a layer such as {name: x, shape: [2]}"}.get(
            str(location[-2]), "a rule such as {match: '*.bias', initializer: zeros}"
        )
    return _EXPECTED.get(str(location[-1]), "text")


def _quote(finding: Any) -> str:
    """Suggest quotes for a number or constant where text is expected."""
    value = finding["input"]
    if finding["type"] != "string_type" or not isinstance(value, bool | int | float):
        return ""
    return f"; quote it if it is text: '{show(value)}'"


def _known_keys(location: tuple[Any, ...], key: str) -> str:
    if key.endswith(")") or "=" in key:
        return "; quote a call that has commas, as in 'random_uniform(-1, 1)'"
    tags = [part for part in location[:-1] if part in _TAGGED]
    model = _TAGGED[tags[-1]] if tags else Rule if len(location) > 1 else Document
    return did_you_mean(key, model.model_fields) or f"; expected {', '.join(model.model_fields)}"
