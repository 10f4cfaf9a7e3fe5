"""The page of `describe --html`; the only user of jinja2, which is loaded where a page is made."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import math
import re
from importlib import resources
from typing import TYPE_CHECKING, Any

import initlib

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import jinja2

# Put together in this order; a script uses what is in those before it.
STYLES = ("page.css", "parts.css")
SCRIPTS = ("base.js", "chart.js", "table.js", "map.js", "panel.js")
# Digits that a figure keeps: more than are shown, fewer than would make the page large.
DIGITS = 12
# A count is kept as one of so many steps of its logarithm, in two letters. Where the largest is a
# billion it is off by at most 0.3 %: less than a line's width on a screen, whatever the scale.
LEVELS = 64**2 - 1
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# Problems that the top of the page spells out; the table has them all.
SHOWN_PROBLEMS = 8

# What numbers a block: a part of a name by itself, as in h.0.weight, unless it is the last one ...
_NUMBER = re.compile(r"(?:^|(?<=[./]))[0-9]{1,9}(?=[./])")
# ... or else the end of a part, as in Keras's layers/dense_1/vars/0.
_SUFFIX = re.compile(r"(?<=_)[0-9]{1,9}(?=[./])")


def render(description: initlib.Description) -> str:
    """Return an HTML page that shows a checkpoint's description.

    All of it is in the page: it loads nothing, and its policy forbids that. What names and texts
    hold is shown, never run. The same figures give the same page, however long they took.
    """
    environment = _environment()
    style, script = _texts(STYLES), _texts(SCRIPTS)
    return environment.get_template("page.html.j2").render(
        about=plain(dataclasses.asdict(dataclasses.replace(description, tensors=()))),
        data=_data(description),
        summary=_summary(description.tensors),
        shown_problems=SHOWN_PROBLEMS,
        style=style,
        style_hash=_policy_hash(style),
        script=script,
        script_hash=_policy_hash(script),
        version=initlib.__version__,
    )


def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("initgen"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    environment.filters |= {"number": _number, "count": "{:,}".format, "odds": _odds}
    return environment


def _texts(names: Iterable[str]) -> str:
    """Return some files beside the template, one after the other."""
    folder = resources.files("initgen") / "templates"
    return "".join((folder / name).read_text("utf-8") for name in names)


def _policy_hash(text: str) -> str:
    """Return what a Content-Security-Policy calls a script or style that may be used."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _number(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else f"{value:.4g}"


def _odds(chance: float) -> str:
    """Return a chance in words, such as "1 in 1,000"."""
    return f"1 in {float(f'{1 / chance:.2g}'):,.0f}"


def _summary(tensors: Sequence[initlib.TensorDescription]) -> dict[str, Any]:
    """Return how many tensors are what, and those that are off."""
    off = [t for t in tensors if t.judgement is not None and t.judgement.verdict == "off"]
    unjudged = sum(t.judgement is None for t in tensors)
    return {
        "ok": len(tensors) - unjudged - len(off),
        "off": len(off),
        "unjudged": unjudged,
        "not_finite": sum(bool(t.statistics.nan or t.statistics.infinite) for t in tensors),
        "problems": [
            {"name": plain(t.name), "problems": plain(t.judgement.problems)}
            for t in off[:SHOWN_PROBLEMS]
            if t.judgement is not None
        ],
    }


def _data(description: initlib.Description) -> dict[str, Any]:
    """Return what the page's script draws from."""
    tensors = description.tensors
    return {
        "layout": description.layout,
        "quantiles": initlib.QUANTILES,
        "tensors": [_tensor(tensor) for tensor in tensors],
        "map": arrange([tensor.name for tensor in tensors]),
    }


def _tensor(tensor: initlib.TensorDescription) -> dict[str, Any]:
    """Return a tensor's fields, its histogram packed."""
    fields = dataclasses.asdict(dataclasses.replace(tensor, histogram=None))
    histogram = tensor.histogram and _packed(tensor.histogram)
    return {**plain(fields), "histogram": histogram}


def _packed(histogram: initlib.Histogram) -> dict[str, Any]:
    """Return a histogram whose counts are texts, two letters a cell."""
    top = max((*histogram.counts, *(histogram.expected or ()), 0.0))
    return {
        "low": histogram.low,
        "high": histogram.high,
        "below": plain(histogram.below),
        "above": plain(histogram.above),
        "top": plain(top),
        "counts": pack(histogram.counts, top),
        "expected": histogram.expected and pack(histogram.expected, top),
    }


def pack(counts: Iterable[float], top: float) -> str:
    """Return counts from 0 to `top` as steps of the logarithm of 1 + count, two letters each."""
    whole = math.log1p(top) or 1.0
    levels = (round(math.log1p(count) / whole * LEVELS) for count in counts)
    return "".join(LETTERS[level // 64] + LETTERS[level % 64] for level in levels)


def plain(value: Any) -> Any:
    """Return a value as JSON and UTF-8 can hold it, no longer than it needs to be.

    Names of files and of HDF5's objects can be bytes that are no text.
    """
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case float():
            return float(f"{value:.{DIGITS}g}")
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
    return value


def arrange(names: Sequence[str]) -> dict[str, Any]:
    """Lay tensors out by block and kind, where their names have numbers.

    Args:
        names: of the tensors.

    Returns:
        ``blocks``: the numbers, ascending; ``kinds``: names with ``*`` in the number's place, each
        with ``cells``, one a block: the tensor's index or None; ``rest``: indices of tensors that
        are alone of their kind.
    """
    kinds: dict[str, dict[int, int]] = {}
    bare = []
    for index, name in enumerate(names):
        if found := _NUMBER.search(name) or _SUFFIX.search(name):
            kind = f"{name[: found.start()]}*{name[found.end() :]}"
            kinds.setdefault(kind, {})[int(found[0])] = index
        else:
            bare.append(index)
    for index in bare:
        # Keras calls its layers dense, dense_1, dense_2.
        for part in re.finditer("(?=[./])", names[index]):
            kind = f"{names[index][: part.start()]}_*{names[index][part.start() :]}"
            if kind in kinds:
                kinds[kind].setdefault(0, index)
    shared = {kind: cells for kind, cells in kinds.items() if len(cells) > 1}
    blocks = sorted({block for cells in shared.values() for block in cells})
    placed = {index for cells in shared.values() for index in cells.values()}
    return {
        "blocks": blocks,
        "kinds": [
            {"kind": plain(kind), "cells": [cells.get(block) for block in blocks]}
            for kind, cells in shared.items()
        ],
        "rest": [index for index in range(len(names)) if index not in placed],
    }
