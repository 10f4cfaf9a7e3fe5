"""Singular values of matrices that are larger than memory.

A tall matrix is read some rows at a time. The triangular factor of what has been read, on top of
the next rows, is factored again; the last factor has the matrix's singular values (Golub, Plemmons
& Sameh, "Parallel block schemes for large-scale least-squares computations", 1988; known as TSQR).
So they come with the accuracy of one QR decomposition in float64, and in memory for the shorter
side's square.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from initlib._checkpoint import Checkpoint, Stored
from initlib._description import Spectrum
from initlib._parallel import every_core

# The longest shorter side. Its square in float64 is 128 MiB, of which four are needed, and the work
# takes half a minute on two cores.
LARGEST = 4096
# Values that are read at a time, at least.
BLOCK = 1 << 21

Matrix = npt.NDArray[np.float64]


def spectrum(checkpoint: Checkpoint, stored: Stored, layout: str) -> Spectrum | None:
    """Return the spectrum of a tensor; None if it is no matrix, too large, or not finite.

    Tensors of more axes are read as matrices: (...kernel, in, out) as (...kernel x in, out) and, in
    torch's layout, (out, in, ...kernel) as (out, in x ...kernel).
    """
    shape = stored.entry.shape
    if len(shape) < 2 or not math.prod(shape):
        return None
    rows = shape[0] if layout == "torch" else math.prod(shape[:-1])
    columns = math.prod(shape) // rows
    if min(rows, columns) > LARGEST:
        return None
    with every_core():
        values = _singular(_tall_blocks(checkpoint, stored, rows, columns), min(rows, columns))
    if values is None:
        return None
    error = max(rows, columns) * np.finfo(np.float64).eps * values[0]
    least = float(values[-1])
    return Spectrum(
        norm=float(values[0]),
        least=least,
        condition=float(values[0]) / least if least else None,
        rank=int((values > error).sum()),
    )


def _singular(blocks: Iterable[Matrix], columns: int) -> Matrix | None:
    """Return the singular values of a tall matrix; None if it is not finite."""
    r: Matrix = np.empty((0, columns))
    for block in blocks:
        if not np.isfinite(block).all():
            return None
        r = np.asarray(np.linalg.qr(np.concatenate([r, block]), mode="r"))
    return np.asarray(np.linalg.svd(r, compute_uv=False))


def _tall_blocks(
    checkpoint: Checkpoint, stored: Stored, rows: int, columns: int
) -> Iterator[Matrix]:
    """Yield rows of a tall matrix, or columns of a wide one as rows, some at a time."""
    shorter = min(rows, columns)
    # Each factorisation does the triangle's work again: blocks as high as it keep that small.
    step = max(BLOCK // shorter, shorter)
    for start in range(0, max(rows, columns), step):
        if rows >= columns:
            count = min(step, rows - start)
            yield _read(checkpoint, stored, start * columns, count * columns).reshape(count, -1)
            continue
        count = min(step, columns - start)
        block = np.empty((count, rows))
        for row in range(rows):
            block[:, row] = _read(checkpoint, stored, row * columns + start, count)
        yield block


def _read(checkpoint: Checkpoint, stored: Stored, start: int, count: int) -> Matrix:
    values: npt.NDArray[Any] = np.empty(count, stored.entry.dtype)
    checkpoint.read_into(stored, start, values)
    return values.astype(np.float64)
