"""Where values are summarised: by the NumPy reference or by the kernels, which nobody can tell."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from initlib._memory import pages
from initlib._moments import _reference
from initlib._moments._cells import CELLS, Cells, narrow
from initlib._moments._figures import Moments
from initlib._moments._formulas import Powers
from initlib._moments._summary import Counts, Summary
from initlib._native import Function, Kernel, Loader

# Below so many values the reference is done before a kernel is loaded, or compiled.
_kernels = Loader(loading=1 << 22, compiling=1 << 25)
# The reference counts so few values apart, which takes less time than going over a whole table.
FEW = 1 << 13
# A table's counts have 32 bits.
FULL = (1 << 32) - 1

# Tables of zeros that were used before. They stay: new memory costs more than clearing them.
_tables: list[npt.NDArray[np.uint32]] = []
# Each thread's room for kernels to work in.
_rooms = threading.local()


def prepare(values: int) -> None:
    """Say how many values will be summarised: from enough on, kernels serve all of them."""
    _kernels.prepare(values)


@cache
def kernel(dtype: np.dtype[Any]) -> Kernel:
    """Return the kernel that counts values of a dtype, or those of so many bits by pattern."""
    module = "initlib._moments._kernels"
    if narrow(dtype):
        return Kernel(module, "count_patterns", (f"uint{8 * dtype.itemsize}*", "int64", "uint32*"))
    outputs = ("uint32*", "float64*", "uint32*", "float64*")
    return Kernel(module, "count_values", (f"{dtype.name}*", "int64", "float64", *outputs))


def _count_values(
    function: Function, values: npt.NDArray[Any], center: float, table: npt.NDArray[np.uint32]
) -> _reference.Figures:
    """Do what the reference's `count_values` does by the kernel."""
    if not hasattr(_rooms, "floats"):
        # What starts with a page starts with a cache line.
        _rooms.cells = pages(4 * _reference.BLOCK).view(np.uint32)
        _rooms.floats = pages(8 * _reference.ROOM).view(np.float64)
    figures = np.empty(_reference.FIGURES)
    outputs = (table, _rooms.floats, _rooms.cells, figures)
    addresses = (output.ctypes.data for output in outputs)
    function(values.ctypes.data, values.size, center, *addresses)
    nan, infinite, zeros, low, high, *rest = figures.tolist()
    powers: Powers = (*rest,)  # type: ignore[assignment]
    return int(nan), int(infinite), int(zeros), low, high, powers


def center_of(values: npt.NDArray[Any]) -> float:
    """Return the center from which the values of a tensor are best measured.

    It is their median where that is far from 0 compared to their spread, such as for the scales of
    a layer norm; and 0 for all others, and for dtypes whose values are counted exactly.

    Args:
        values: some thousand values of the tensor.
    """
    if narrow(values.dtype):
        return 0.0
    with np.errstate(invalid="ignore"):
        finite = values[np.isfinite(values)].astype(np.float64)
    if not finite.size:
        return 0.0
    places = [finite.size // 4, finite.size // 2, 3 * finite.size // 4]
    low, median, high = np.partition(finite, places)[places].tolist()
    # At twice the distance between the quartiles, 1/512 of a value is still little of the spread.
    return float(median) if abs(median) / 2 > high - low else 0.0


def summarize(values: npt.NDArray[Any], center: float = 0.0) -> Summary:
    """Return the figures of all values of a tensor.

    Args:
        values: 1-D and contiguous, of any dtype of `DTYPES`.
        center: from which distances are measured; see `center_of`.
    """
    tally = Tally(values.dtype, center)
    tally.add(values)
    return tally.summary()


class Tally:
    """The figures of one tensor in the making, piece by piece; threads may add at the same time.

    Which thread adds what and when makes no difference in the result, down to the last bit.
    """

    def __init__(self, dtype: np.dtype[Any], center: float = 0.0) -> None:
        self.dtype, self.center = dtype, center
        self._cells = 1 << 8 * dtype.itemsize if narrow(dtype) else CELLS
        self._moments: dict[int, Moments] = {}
        self._counted: list[tuple[Cells, Counts]] = []
        # Tables that no thread is using, and how many values are counted in each. Taking from a
        # list and appending to it are atomic.
        self._idle: list[tuple[npt.NDArray[np.uint32], int]] = []

    def add(self, values: npt.NDArray[Any], index: int = 0) -> None:
        """Count a piece of the tensor.

        Args:
            values: 1-D and contiguous, of the tensor's dtype, at most 2^31 of them.
            index: which piece it is; the figures of pieces are combined in this order.
        """
        if narrow(self.dtype):
            self._add_patterns(values.view(f"u{self.dtype.itemsize}"))
            return
        function = _kernels.get(kernel(self.dtype))
        if function is None and values.size < FEW:
            figures, cells = _reference.measure(values, self.center)
            self._moments[index] = self._as_moments(values, figures)
            self._counted.append(np.unique(cells, return_counts=True))
        else:
            with self._table(values.size) as table:
                if function is None:
                    figures = _reference.count_values(values, self.center, table)
                else:
                    figures = _count_values(function, values, self.center, table)
            self._moments[index] = self._as_moments(values, figures)

    def _add_patterns(self, patterns: npt.NDArray[Any]) -> None:
        function = _kernels.get(kernel(self.dtype))
        if function is None and patterns.size < FEW:
            cells, counts = np.unique(patterns, return_counts=True)
            self._counted.append((cells.astype(np.int32), counts))
            return
        with self._table(patterns.size) as table:
            if function is None:
                _reference.count_patterns(patterns, table[: self._cells])
            else:
                function(patterns.ctypes.data, patterns.size, table.ctypes.data)

    def _as_moments(self, values: npt.NDArray[Any], figures: _reference.Figures) -> Moments:
        nan, infinite, zeros, low, high, powers = figures
        if self.dtype.kind in "iu" and values.size:
            # Those of 64 bits have more digits than a float.
            low, high = int(values.min()), int(values.max())
        return Moments(values.size, nan, infinite, zeros, low, high, powers)

    @contextmanager
    def _table(self, size: int) -> Iterator[npt.NDArray[np.uint32]]:
        """Lend a table for counting so many values."""
        try:
            table, held = self._idle.pop()
        except IndexError:
            table, held = _new_table(), 0
        if held + size > FULL:
            self._drain(table)
            held = 0
        yield table
        self._idle.append((table, held + size))

    def _drain(self, table: npt.NDArray[np.uint32]) -> None:
        """Note what was counted in a table, and clear it."""
        # Ten times as fast as without the comparison.
        cells = np.flatnonzero(table[: self._cells] != 0)
        self._counted.append((cells.astype(np.int32), table[cells].astype(np.int64)))
        table[cells] = 0

    def summary(self) -> Summary:
        """Return the figures of all that was added; the tally is of no use after that."""
        while self._idle:
            table, _ = self._idle.pop()
            self._drain(table)
            _tables.append(table)
        moments = Moments()
        for index in sorted(self._moments):
            moments = moments.join(self._moments[index])
        empty = np.empty(0, np.int32), np.empty(0, np.int64)
        cells, counts = map(np.concatenate, zip(empty, *self._counted, strict=True))
        return Summary.of(moments, self.dtype, self.center, cells, counts)


def _new_table() -> npt.NDArray[np.uint32]:
    try:
        return _tables.pop()
    except IndexError:
        return np.zeros(CELLS, np.uint32)
