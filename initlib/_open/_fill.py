"""Making a selection of a tensor's elements, and little else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from initlib import _parallel, initializers
from initlib._make import fill
from initlib._open._selection import Selection
from initlib._plan import TensorPlan

Array = npt.NDArray[Any]

# What one thread makes in one go, and what isn't worth a second thread, in elements.
TASK, FEW = 1 << 19, 1 << 21
# What a run costs beside its elements, in elements of a long one: where it is made by a call for
# itself, and as one of many that are drawn.
CALL, GAP = 10_000, 500
# Elements of the buffer for runs with gaps between them that are made as well.
BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class _Task:
    """Runs first .. last of a selection, of each the elements begin .. end."""

    first: int
    last: int
    begin: int
    end: int


def fill_selection(tensor: TensorPlan, selection: Selection, out: Array) -> None:
    """Write the selected elements of a tensor that streams into `out`, a 1-D contiguous array.

    The time it takes grows with what is selected, not with the tensor.
    """
    runs = out.reshape(-1, selection.run)
    tasks = [*_tasks(len(runs), selection.run)]
    work = partial(_do, tensor, selection, runs)
    for _ in map(work, tasks) if out.size < FEW else _parallel.spread(work, tasks):
        pass


def _tasks(runs: int, run: int) -> Iterator[_Task]:
    if run > TASK:
        for number in range(runs):
            for begin in range(0, run, TASK):
                yield _Task(number, number + 1, begin, min(begin + TASK, run))
        return
    several = TASK // run
    for first in range(0, runs, several):
        yield _Task(first, min(first + several, runs), 0, run)


def _do(tensor: TensorPlan, selection: Selection, runs: Array, task: _Task) -> None:
    """Make the runs of a task, as many at a time as lie at equal distances."""
    *outer, (count, stride) = selection.axes or ((1, 0),)
    first = task.first
    while first < task.last:
        number, inner = divmod(first, count)
        several = min(count - inner, task.last - first)
        start = selection.start + inner * stride + task.begin
        for outer_count, outer_stride in reversed(outer):
            number, place = divmod(number, outer_count)
            start += place * outer_stride
        part = runs[first : first + several, task.begin : task.end]
        _fill_runs(tensor, part, start, stride)
        first += several


def _fill_runs(tensor: TensorPlan, out: Array, start: int, stride: int) -> None:
    """Make runs that are `stride` elements apart.

    Args:
        tensor: whose elements they are.
        out: a run in each row, which is contiguous.
        start: the first element.
        stride: from each run to the next.
    """
    count, run = out.shape
    law = initializers.distribution(tensor.initializer, tensor.target) if count > 1 else None
    if count > 1 and abs(stride) < run + (GAP if law else CALL):
        _fill_with_gaps(tensor, out, start, stride)
    elif law is not None:
        law.fill_rows(out, start, stride, tensor.target.stream)
    else:
        for number, row in enumerate(out):
            fill(tensor, row, start + number * stride)


def _fill_with_gaps(tensor: TensorPlan, out: Array, start: int, stride: int) -> None:
    """Make runs together with what lies between them."""
    run, width = out.shape[1], abs(stride)
    several = max(1, BUFFER // width)
    for first in range(0, len(out), several):
        part = out[first : first + several]
        lowest = start + first * stride + min(0, (len(part) - 1) * stride)
        buffer = np.empty((len(part) - 1) * width + run, out.dtype)
        fill(tensor, buffer, lowest)
        strides = width * out.itemsize, out.itemsize
        rows = np.ndarray(part.shape, out.dtype, buffer.view(np.uint8), strides=strides)
        part[...] = rows if stride > 0 else rows[::-1]
