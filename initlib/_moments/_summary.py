"""A tensor's figures: its moments, and how its values are distributed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from initlib._moments._cells import (
    HALF,
    Cells,
    Floats,
    edges,
    narrow,
    parts,
    points,
    unclear,
    unified,
    united,
)
from initlib._moments._figures import Moments

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Summary(Moments):
    """Figures of some values of one tensor, which can be merged with those of others of it.

    Attributes:
        dtype: of the values.
        center: from which distances were measured; see `center_of`.
        counted: numbers of the cells that hold finite values, in ascending order of the values.
        counts: how many values each holds.
    """

    _: KW_ONLY
    dtype: np.dtype[Any]
    center: float
    counted: Cells
    counts: Counts

    @classmethod
    def of(
        cls,
        moments: Moments,
        dtype: np.dtype[Any],
        center: float,
        cells: Cells,
        counts: Counts,
    ) -> Summary:
        """Return the summary of counted cells, which may repeat and come in any order.

        Args:
            moments: of the values. For dtypes of 16 bits and less only the numbers of values that
                are not finite and whose patterns are not among the cells; the cells say the rest.
            dtype: of the values.
            center: from which distances were measured.
            cells: numbers of cells.
            counts: how many values each holds.
        """
        cells = unified(cells, dtype) if narrow(dtype) else cells
        cells, counts = united(cells, counts)
        if narrow(dtype):
            values = points(cells, dtype)
            order = np.argsort(values, kind="stable")
            order = order[np.isfinite(values[order])]
            apart = Moments(moments.nan + moments.infinite, moments.nan, moments.infinite)
            moments = Moments.of_counts(values, counts).join(apart)
            cells, counts = cells[order], counts[order]
        figures = _figures(moments)
        return cls(**figures, dtype=dtype, center=center, counted=cells, counts=counts)

    @property
    def moments(self) -> Moments:
        """The moments alone, which take less memory."""
        return Moments(**_figures(self))

    def merge(self, other: Summary) -> Summary:
        """Return the summary of the values of both.

        Counts, and hence quantiles, don't depend on what is merged first; moments of dtypes of
        more than 16 bits do in their last digits.

        Raises:
            ValueError: the dtypes differ, or the centers.
        """
        if (self.dtype, self.center) != (other.dtype, other.center):
            raise ValueError("expected summaries of one dtype around one center")
        return Summary.of(
            self.join(other),
            self.dtype,
            self.center,
            np.concatenate([self.counted, other.counted]),
            np.concatenate([self.counts, other.counts]),
        )

    @cached_property
    def cells(self) -> tuple[Floats, Floats, Counts]:
        """Where the finite values are.

        Arrays of one length, ascending: the least and the largest value that each cell may hold,
        and how many it does. Where they are equal all values of the cell are.
        """
        lows, highs = edges(self.counted, self.dtype, self.center)
        if not narrow(self.dtype) and self.center == 0:
            # Nothing but zeros is in the middle, unless it holds more than there are.
            nothing = (self.counted == HALF) & (self.counts == self.zeros)
            lows[nothing] = highs[nothing] = 0.0
        ends = float(self.min), float(self.max)
        return np.clip(lows, *ends), np.clip(highs, *ends), self.counts

    @cached_property
    def _unclear(self) -> npt.NDArray[np.bool_]:
        """Which cells hold values of which hardly more is known than that they are there."""
        lows, highs, _ = self.cells
        return unclear(self.counted) & (lows < highs)

    def quantiles(self, shares: Sequence[float]) -> tuple[float, ...] | None:
        """Return the values below or at which these shares of the finite values lie.

        They are the values of the smallest rank of which that is true, as NumPy's method
        "inverted_cdf": exact for dtypes of 16 bits and less and where cells hold only one value
        each. Otherwise they are off by 1/512 of their distance from the center at most.

        Args:
            shares: from 0 to 1.

        Returns:
            A value for each share; None if no value is finite, or if one of them is of float64 and
            nearer to the center than 2^-150 or farther from it than 2^130, and so isn't known.
        """
        lows, highs, counts = self.cells
        ends = np.cumsum(counts)
        if not ends.size:
            return None
        total = int(ends[-1])
        ranks = np.clip(np.ceil(np.asarray(shares) * total - 1), 0, total - 1).astype(np.int64)
        found = np.searchsorted(ends, ranks, side="right")
        outermost = (ranks == 0) | (ranks == total - 1)
        if not narrow(self.dtype) and (self._unclear[found] & ~outermost).any():
            return None
        within = (ranks - (ends - counts)[found] + 0.5) / counts[found]
        values = lows[found] + (highs - lows)[found] * within
        values = np.where(ranks == 0, lows[0], np.where(ranks == total - 1, highs[-1], values))
        return tuple(values.tolist())

    def histogram(self, bins: int, low: float, high: float) -> tuple[Floats, float, float]:
        """Return how many finite values lie in each of `bins` parts of [low, high].

        A cell's values are shared out linearly among the parts that it overlaps.

        Args:
            bins: how many parts of equal width.
            low: where the first one starts.
            high: where the last one ends; it belongs to it.

        Returns:
            The numbers of values in the parts, below `low`, and above `high`.

        Raises:
            ValueError: `low` isn't less than `high`.
        """
        if not low < high:
            raise ValueError(f"expected low < high, got {low} and {high}")
        lows, highs, counts = self.cells
        limits = parts(bins, low, high)
        # Values at the upper end belong to the last part, so those below it end beyond.
        limits[-1] = np.nextafter(high, np.inf)
        below = self._below(limits, lows, highs, counts)
        total = float(counts.sum())
        return np.diff(below), float(below[0]), max(total - float(below[-1]), 0.0)

    @staticmethod
    def _below(limits: Floats, lows: Floats, highs: Floats, counts: Counts) -> Floats:
        """Return how many values are less than each limit."""
        point = lows == highs
        until = np.concatenate([[0], np.cumsum(counts[point])])
        found = until[np.searchsorted(lows[point], limits)].astype(np.float64)
        if not point.all():
            wide = ~point
            x = np.column_stack([lows[wide], highs[wide]]).reshape(-1)
            ends = np.cumsum(counts[wide])
            y = np.column_stack([ends - counts[wide], ends]).reshape(-1)
            found += np.interp(limits, x, y)
        return found


def _figures(moments: Moments) -> dict[str, Any]:
    return {field.name: getattr(moments, field.name) for field in fields(Moments)}
