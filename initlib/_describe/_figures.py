"""From summaries to the figures that are shown: of a tensor, of a group, and its histogram."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from initlib._description import Group, Histogram, Statistics, TensorDescription
from initlib._expected import Promise
from initlib._moments import Moments, Summary, parts

Row = tuple[TensorDescription, Moments]

# Parts of a histogram.
BINS = 48
# A histogram reaches so many times farther from its middle than all but 0.2 % of the values: a
# normal distribution's until 7 stddev. Values farther out would press the others into one bar.
REACH = 7 / 3.09
# Of the digits that a share of a cell's values has, so many after the point are kept.
DIGITS = 2


def statistics(moments: Moments) -> Statistics:
    """Return moments as plain data."""
    there = moments.finite > 0
    return Statistics(
        mean=_number(moments.mean),
        stddev=moments.stddev,
        min=moments.min if there else None,
        max=moments.max if there else None,
        skewness=moments.skewness,
        kurtosis=moments.kurtosis,
        l2=moments.l2,
        zeros=moments.zeros,
        nan=moments.nan,
        infinite=moments.infinite,
    )


def histogram(
    summary: Summary, quantiles: Sequence[float] | None, promise: Promise | None
) -> Histogram | None:
    """Return how a tensor's finite values are distributed; None if there are none.

    Args:
        summary: of the values.
        quantiles: of which the first and the last leave 0.1 % out at each end.
        promise: what is expected, if that is known.
    """
    if quantiles is None:
        return None
    low, high = _range(summary, quantiles)
    counts, below, above = summary.histogram(BINS, low, high)
    limits = parts(BINS, low, high)
    expected = promise.counts(limits, summary.finite) if promise else None
    return Histogram(
        low=low,
        high=high,
        counts=_rounded(counts),
        expected=None if expected is None else _rounded(expected),
        below=round(below, DIGITS),
        above=round(above, DIGITS),
    )


def _range(summary: Summary, quantiles: Sequence[float]) -> tuple[float, float]:
    """Return the range of a histogram: of all values but those far out."""
    low, high = float(summary.min), float(summary.max)
    first, last = quantiles[0], quantiles[-1]
    if first < last:
        middle, reach = (first + last) / 2, REACH * (last - first) / 2
        low, high = max(low, middle - reach), min(high, middle + reach)
    if low < high and math.isfinite(high - low):
        return low, high
    room = abs(low) / 2 or 0.5
    return low - room, low + room


def groups(rows: Sequence[Row], depth: int) -> tuple[Group, ...]:
    """Return a group for each beginning of names up to the `depth`-th dot or slash."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        words = re.split(r"([./])", row[0].name)
        # A tensor above that depth is a group by itself.
        found.setdefault("".join(words[: 2 * depth - 1]), []).append(row)
    return tuple(group(name, members) for name, members in found.items())


def group(name: str, rows: Sequence[Row]) -> Group:
    """Return the figures of several tensors together."""
    moments = Moments()
    for _, figures in rows:
        moments = moments.join(figures)
    tensors = [tensor for tensor, _ in rows]
    return Group(
        name=name,
        tensors=len(tensors),
        parameters=sum(tensor.parameters for tensor in tensors),
        nbytes=sum(tensor.nbytes for tensor in tensors),
        off=sum(is_off(tensor) for tensor in tensors),
        statistics=statistics(moments),
    )


def is_off(tensor: TensorDescription) -> bool:
    """Tell whether a tensor isn't what it should be."""
    return tensor.judgement is not None and tensor.judgement.verdict == "off"


def natural(name: str) -> list[Any]:
    """Return a key that sorts names as people do: h.2 before h.10."""
    key: list[Any] = re.split(r"(\d+)", name)
    # Numbers of any length: the one with more digits is larger.
    stripped = ((text, text.lstrip("0")) for text in key[1::2])
    key[1::2] = [(len(number), number, text) for text, number in stripped]
    return key


def _rounded(counts: npt.NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(np.round(counts, DIGITS).tolist())


def _number(x: float) -> float | None:
    return x if math.isfinite(x) else None
