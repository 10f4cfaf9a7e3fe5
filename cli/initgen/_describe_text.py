"""What `initgen describe` prints: tables, histograms drawn with characters, lines of values."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

import initlib
from initgen._console import table

# Eighths of a character, from below.
BLOCKS = " ▁▂▃▄▅▆▇█"
# Columns of a small histogram, and rows of a large one.
SMALL, TALL = 16, 10
# A tensor that is off is named with its problems in the end; of more than so many, the first.
SHOWN = 20


def description_lines(found: initlib.Description) -> list[str]:
    """Return a checkpoint's tables and what is to be said of it."""
    parts = [[_heading(found)]]
    if found.groups:
        parts.append(table(_GROUP_HEADER, [_group_row(group) for group in found.groups]))
    if found.tensors:
        rows = [_row(tensor) for tensor in found.tensors]
        if len(rows) > 1:
            rows.append(_total(found.total))
        parts.append(table(_HEADER, rows))
    parts.append(list(_conclusion(found)))
    return _apart(parts)


def _apart(parts: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of all parts, an empty one between each two."""
    lines = [line for part in parts if part for line in ("", *part)]
    return lines[1:]


def _heading(found: initlib.Description) -> str:
    """Return a line on the whole checkpoint."""
    what = [found.format, _count(len(found.tensors), "tensor")]
    what += [f"{found.total.parameters:,} parameters", size(found.total.nbytes)]
    if len(found.files) > 1:
        what.insert(1, f"{len(found.files)} files")
    if found.made_by:
        what.append(f"by {found.made_by}")
    if found.source not in (None, "provenance"):
        what.append(f"expected: {found.source}")
    return f"{found.path}: {', '.join(what)}"


_HEADER = ("name", "dtype", "shape", ">mean", ">stddev", ">min", ">max", "histogram", "verdict")
_GROUP_HEADER = ("group", ">tensors", ">parameters", ">bytes", ">mean", ">stddev", ">off")


def _row(tensor: initlib.TensorDescription) -> tuple[str, ...]:
    figures = tensor.statistics
    numbers = (figures.mean, figures.stddev, figures.min, figures.max)
    shape = str(list(tensor.shape))
    return tensor.name, tensor.dtype, shape, *map(number, numbers), small(tensor), verdict(tensor)


def _total(total: initlib.Group) -> tuple[str, ...]:
    figures = total.statistics
    numbers = (figures.mean, figures.stddev, figures.min, figures.max)
    return "total", "", "", *map(number, numbers), "", ""


def _group_row(group: initlib.Group) -> tuple[str, ...]:
    figures = group.statistics
    counts = f"{group.tensors:,}", f"{group.parameters:,}", f"{group.nbytes:,}"
    return group.name, *counts, number(figures.mean), number(figures.stddev), str(group.off)


def verdict(tensor: initlib.TensorDescription) -> str:
    """Return a word on a tensor, and its initializer."""
    wrong = _not_finite(tensor)
    word = tensor.judgement.verdict if tensor.judgement else ""
    initializer = tensor.expected.initializer if tensor.expected else ""
    return " ".join(part for part in (word or wrong, initializer) if part)


def _not_finite(tensor: initlib.TensorDescription) -> str:
    figures = tensor.statistics
    counts = {"NaN": figures.nan, "infinite": figures.infinite}
    return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)


def _conclusion(found: initlib.Description) -> Iterator[str]:
    """Yield what is to be said in the end, a line each."""
    judged = [tensor for tensor in found.tensors if tensor.judgement]
    off = [tensor for tensor in judged if tensor.judgement and tensor.judgement.problems]
    for tensor in off[:SHOWN]:
        problems = tensor.judgement.problems if tensor.judgement else ()
        yield f"off: {tensor.name}: {'; '.join(problems)}"
    if len(off) > SHOWN:
        yield f"off: {len(off) - SHOWN:,} more; --sort verdict lists them first"
    for name in found.missing[:SHOWN]:
        yield f"missing: {name}"
    if len(found.missing) > SHOWN:
        yield f"missing: {len(found.missing) - SHOWN:,} more"
    for unread in found.unread[:SHOWN]:
        yield f"not read: {unread.name} ({unread.what})"
    if len(found.unread) > SHOWN:
        yield f"not read: {len(found.unread) - SHOWN:,} more"
    if not judged:
        known = any(tensor.expected for tensor in found.tensors)
        if known:
            yield "nothing is known of these initializers that could be judged"
        elif found.tensors:
            yield "nothing tells these tensors' initializers; --manifest does"
        return
    odds = f"by chance alone, one checkpoint in {1 / found.false_alarms:,.0f} would have any off"
    unknown = len(found.tensors) - len(judged)
    rest = f", {unknown:,} not judged" if unknown else ""
    if off:
        yield f"{len(off):,} of {_count(len(judged), 'tensor')} off{rest} ({odds})"
    elif len(judged) == 1:
        yield f"as promised{rest} ({odds})"
    else:
        yield f"all {len(judged):,} tensors are as promised{rest} ({odds})"


def tensor_lines(found: initlib.Description) -> list[str]:
    """Return all that there is to say of the one tensor."""
    (tensor,) = found.tensors
    parts = [
        [f"{found.path}: {tensor.name}"],
        table(("", ""), list(_facts(tensor, found.layout)))[1:],
    ]
    if tensor.expected and tensor.expected.stddev is not None:
        parts.append(table(_COMPARED, list(_compared(tensor))))
    if tensor.histogram:
        parts.append(list(_large(tensor.histogram)))
    parts.append(list(_conclusion(found)))
    return _apart(parts)


def _facts(tensor: initlib.TensorDescription, layout: str) -> Iterator[tuple[str, str]]:
    """Yield names and values of a tensor's figures."""
    figures = tensor.statistics
    yield "dtype, shape", f"{tensor.dtype} {list(tensor.shape)}"
    yield "fans", f"in {tensor.fan_in:,}, out {tensor.fan_out:,} (layout {layout})"
    yield "size", f"{tensor.parameters:,} parameters, {size(tensor.nbytes)}"
    yield "file", tensor.file
    for name in ("mean", "stddev", "min", "max", "skewness", "kurtosis", "l2"):
        yield name, number(getattr(figures, name), 7)
    for name in ("zeros", "nan", "infinite"):
        count = getattr(figures, name)
        percent = f" ({count / tensor.parameters:.2%})" if count else ""
        yield name, f"{count:,}{percent}"
    for share, value in zip(initlib.QUANTILES, tensor.quantiles or (), strict=False):
        yield f"{share * 100:g} % below", number(value, 5)
    if tensor.spectrum:
        spectrum = tensor.spectrum
        yield "spectral norm", number(spectrum.norm, 7)
        yield "least singular value", number(spectrum.least, 7)
        condition = "infinite" if spectrum.condition is None else number(spectrum.condition, 7)
        yield "condition, rank", f"{condition}, {spectrum.rank:,}"


_COMPARED = ("", ">expected", ">measured", ">z")


def _compared(tensor: initlib.TensorDescription) -> Iterator[tuple[str, ...]]:
    """Yield what an initializer promises beside what was measured."""
    expected = tensor.expected or initlib.Expected("")
    figures, z = tensor.statistics, tensor.judgement or initlib.Judgement("ok")
    for name, wanted, value, score in (
        ("mean", expected.mean, figures.mean, z.z_mean),
        ("stddev", expected.stddev, figures.stddev, z.z_stddev),
        ("least", expected.low, figures.min, None),
        ("largest", expected.high, figures.max, None),
        ("shape", None, None, z.z_shape),
    ):
        yield name, number(wanted, 7), number(value, 7), "" if score is None else f"{score:+.2f}"


def small(tensor: initlib.TensorDescription) -> str:
    """Return a histogram in one row of characters."""
    if tensor.histogram is None:
        return ""
    counts = tensor.histogram.counts
    width = len(counts) // SMALL
    bars = [sum(counts[i : i + width]) for i in range(0, len(counts), width)]
    top = max(bars) or 1.0
    # What is there at all is to be seen.
    levels = (round(bar / top * 8) or (bar > 0) for bar in bars)
    return "".join(BLOCKS[level] for level in levels)


def _large(histogram: initlib.Histogram) -> Iterator[str]:
    """Yield a histogram's rows from above, with what is expected as dots."""
    expected = histogram.expected or ()
    top = max((*histogram.counts, *expected)) or 1.0
    heights = [count / top * TALL for count in histogram.counts]
    dots = [min(int(count / top * TALL), TALL - 1) for count in expected]
    for row in reversed(range(TALL)):
        line = [BLOCKS[max(0, min(8, round((height - row) * 8)))] for height in heights]
        for column, dot in enumerate(dots):
            if dot == row and line[column] == " ":
                line[column] = "·"
        yield f"{number(top) if row == TALL - 1 else '':>10} |{''.join(line)}".rstrip()
    yield f"{'':10} +{'-' * len(heights)}"
    low, high = number(histogram.low), number(histogram.high)
    yield f"{'':11} {low}{high:>{max(1, len(heights) - len(low))}}"
    if histogram.below or histogram.above:
        yield f"{'':11} {histogram.below:,.0f} below, {histogram.above:,.0f} above"


def outline_lines(found: initlib.Outline) -> list[str]:
    """Return the table of what a manifest would make, and what looks like a mistake in it."""
    header = (">offset", ">bytes", "dtype", "shape", "fans", "name", "initializer", ">mean")
    rows = [_planned(tensor) for tensor in found.tensors]
    total = f"{_count(len(found.tensors), 'tensor')}, {found.parameters:,} parameters"
    lines = [
        f"{_place(found, tensor)}: {tensor.name}: {warning}"
        for tensor in found.tensors
        for warning in tensor.warnings
    ]
    if len(lines) > SHOWN:
        lines[SHOWN:] = [f"{len(lines) - SHOWN:,} more that look like mistakes; --json has them"]
    lines.append(f"{found.path}: {total}, {size(found.nbytes)} in a {found.format} file")
    return _apart([table((*header, ">stddev", "support"), rows), lines])


def _place(found: initlib.Outline, tensor: initlib.PlannedTensor) -> str:
    return found.path if tensor.line is None else f"{found.path}:{tensor.line}"


def _planned(tensor: initlib.PlannedTensor) -> tuple[str, ...]:
    expected = tensor.expected
    bounds = [number(bound) for bound in (expected.low, expected.high)]
    support = f"[{bounds[0]}, {bounds[1]}]" if expected.low is not None else ""
    return (
        f"{tensor.offset:,}",
        f"{tensor.nbytes:,}",
        tensor.dtype,
        str(list(tensor.shape)),
        f"{tensor.fan_in}, {tensor.fan_out}",
        tensor.name,
        expected.initializer,
        number(expected.mean),
        number(expected.stddev),
        support,
    )


def as_csv(found: initlib.Description | initlib.Outline) -> str:
    """Return a line for each tensor, under one of column names; lists are JSON."""
    outline = isinstance(found, initlib.Outline)
    columns = list(_columns(initlib.PlannedTensor if outline else initlib.TensorDescription))
    rows = [_flat(tensor) for tensor in found.tensors]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")


def _columns(kind: type) -> Iterator[str]:
    """Yield the names of the columns; those of a tensor's parts have its name before theirs."""
    for field in dataclasses.fields(kind):
        if field.name == "statistics":
            yield from (part.name for part in dataclasses.fields(initlib.Statistics))
        elif field.name == "quantiles":
            yield from (f"q{q:g}" for q in initlib.QUANTILES)
        elif field.name in _PARTS:
            parts = dataclasses.fields(_PARTS[field.name])
            yield from (f"{field.name}_{part.name}" for part in parts)
        else:
            yield field.name


def _flat(tensor: initlib.TensorDescription | initlib.PlannedTensor) -> dict[str, Any]:
    """Return a tensor's fields side by side, as `_columns` names them."""
    flat: dict[str, Any] = {}
    for key, value in dataclasses.asdict(tensor).items():
        if key == "statistics":
            flat |= value
        elif key == "quantiles":
            values = value or [None] * len(initlib.QUANTILES)
            flat |= {f"q{q:g}": x for q, x in zip(initlib.QUANTILES, values, strict=True)}
        elif key in _PARTS:
            names = [field.name for field in dataclasses.fields(_PARTS[key])]
            flat |= {f"{key}_{name}": value and _cell(value[name]) for name in names}
        else:
            flat[key] = _cell(value)
    return flat


_PARTS = {
    "expected": initlib.Expected,
    "judgement": initlib.Judgement,
    "spectrum": initlib.Spectrum,
    "histogram": initlib.Histogram,
}


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | tuple) else value


def number(value: float | None, digits: int = 4) -> str:
    """Return a figure with so many digits, empty for None."""
    return "" if value is None else f"{value + 0.0:.{digits}g}"


def size(nbytes: int) -> str:
    """Return a number of bytes as people say it."""
    from pydantic import ByteSize

    return ByteSize(nbytes).human_readable()


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"
