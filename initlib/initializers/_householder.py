"""Q of any matrix, by blocks of Householder reflections.

Arrays here hold matrices transposed: each row of an array is a column of its matrix. LAPACK makes a
panel of reflections at a time. Applying them to all other columns, which is nearly all of the work,
takes two matrix products for each tile of columns (Schreiber & Van Loan, "A storage-efficient WY
representation for products of Householder transformations", 1989).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from initlib._parallel import single_blas, spread

Floats = npt.NDArray[np.float64]

# Columns to a panel and to a tile. They belong to the result's last bits.
PANEL = 256
TILE = 128


def orthonormalize(columns: Floats, gain: float) -> None:
    """Replace a matrix by gain x Q, where R has a positive diagonal.

    Args:
        columns: shape (columns, rows) of the matrix, which has no more columns than rows.
        gain: factor.
    """
    starts = range(0, len(columns), PANEL)
    with single_blas():
        from scipy.linalg import lapack

        factors = [_factorize(lapack, columns, start) for start in starts]
        signs = np.where(columns.diagonal() < 0, -gain, gain)
        for start, factor in zip(reversed(starts), reversed(factors), strict=True):
            _form(columns, start, factor)
    columns *= signs[:, np.newaxis]


def _factorize(lapack: Any, columns: Floats, start: int) -> Floats:
    """Turn a panel into reflections and a part of R, and reflect all columns after it.

    Returns:
        The triangular factor T of the product of reflections, I - V T V^T.
    """
    panel = columns[start : start + PANEL, start:]
    found, triangle, _ = lapack.dgeqrt(len(panel), panel.T, overwrite_a=True)
    panel[:] = found.T
    factor: Floats = np.triu(triangle)
    _reflect(columns[start + len(panel) :, start:], _reflections(panel), factor)
    return factor


def _form(columns: Floats, start: int, factor: Floats) -> None:
    """Put Q's columns in the place of a panel, and reflect all columns after it."""
    panel = columns[start : start + PANEL, start:]
    reflections = _reflections(panel)
    columns[start + len(panel) :, start : start + len(panel)] = 0
    panel[:] = np.eye(*panel.shape)
    _reflect(columns[start:, start:], reflections, factor.T)


def _reflections(panel: Floats) -> Floats:
    """Return V of a panel, which has R's part and, in the place of ones, its diagonal too."""
    reflections = np.triu(panel, 1)
    np.fill_diagonal(reflections, 1)
    return reflections


def _reflect(columns: Floats, reflections: Floats, factor: Floats) -> None:
    """Apply reflections to columns, tile by tile."""
    tiles = [columns[i : i + TILE] for i in range(0, len(columns), TILE)]
    for _ in spread(partial(_reflect_tile, reflections, factor), tiles):
        pass


def _reflect_tile(reflections: Floats, factor: Floats, tile: Floats) -> None:
    tile -= tile @ reflections.T @ factor @ reflections
