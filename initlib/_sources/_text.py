"""A manifest's data as commented YAML that a person would have written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from initlib._manifest import flow

# Characters of a comment: names come from strangers.
LONGEST = 300
# The order in which a person tells it.
TOP = ("version", "seed", "dtype", "layout", "vars", "metadata")
LAYER = ("name", "shape", "dtype", "initializer", "seed")
RULE = ("match", "initializer", "dtype")


def as_text(manifest: Mapping[str, Any], comments: Sequence[str]) -> str:
    """Return a manifest's text.

    Args:
        manifest: its data.
        comments: lines to begin with; what in them could end a line is written out.
    """
    return "\n".join([*(f"# {_comment(line)}" for line in comments), *_lines(manifest), ""])


def _comment(line: str) -> str:
    short = line if len(line) <= LONGEST else f"{line[:LONGEST]}..."
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in short)


def _lines(manifest: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    for key in TOP:
        value = manifest.get(key)
        if key == "vars" and value:
            yield f"{key}:"
            yield from (f"  {flow(name)}: {flow(each)}" for name, each in value.items())
        elif value is not None:
            yield f"{key}: {flow(value)}"
    if manifest.get("rules"):
        yield from ("", "# The first that fits a name counts.", "rules:")
        yield from (f"  - {flow(_sorted(rule, RULE))}" for rule in manifest["rules"])
    yield ""
    if not manifest["layers"]:
        yield "layers: []"
        return
    yield "layers:"
    yield from _items(manifest["layers"], "  ")


def _items(items: Sequence[Mapping[str, Any]], indent: str) -> Iterator[str]:
    for item in items:
        if "repeat" in item:
            yield f"{indent}- repeat: {flow(item['repeat'])}"
            yield f"{indent}  layers:" + ("" if item["layers"] else " []")
            yield from _items(item["layers"], indent + "    ")
        else:
            yield f"{indent}- {flow(_sorted(item, LAYER))}"


def _sorted(data: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: data[key] for key in keys if key in data}
