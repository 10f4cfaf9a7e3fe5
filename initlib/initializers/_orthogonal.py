"""Orthogonal matrices, which are made whole: no element is known before all are drawn."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

from initlib._arguments import as_number
from initlib._errors import RequestError
from initlib._stream import Normal
from initlib.initializers._base import Array, Target
from initlib.initializers._random import Seeded
from initlib.initializers._rounding import as_numbers, check_values, round_once

# Elements that are rounded at once, which bounds the temporary arrays to a few MiB.
PIECE = 1 << 16
STANDARD = Normal(0.0, 1.0)
# BLAS's results depend on the number of its threads, which is kept at one. That limit is the whole
# process's, and may only be lifted by the thread that set it.
_one_at_a_time = threading.Lock()


class Orthogonal(Seeded):
    """A matrix with orthogonal columns (or rows, where it has fewer of them), times a gain.

    Shapes of more axes are read as matrices: (...kernel, in, out) as (...kernel x in, out) and, in
    torch's layout, (out, in, ...kernel) as (out, in x ...kernel).

    Q comes from the QR decomposition, in float64 by LAPACK, of a tall matrix of normal draws that
    is filled column by column from the stream; R's diagonal made positive, Q is unique and
    uniformly distributed (Mezzadri, "How to generate random matrices from the classical compact
    groups", 2007). Other machines' last bits may differ.

    Formula: W W^T = gain^2 I or W^T W = gain^2 I

    Source: Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear
    neural networks", ICLR 2014.

    Args:
        gain: factor.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong.
    """

    tolerance = 1e-6

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        super().__init__(seed)
        self.gain = as_number("gain", gain)

    def check(self, target: Target) -> None:
        """Raise RequestError if the target has no 2 axes, or its dtype is unfit."""
        if len(target.shape) < 2:
            raise RequestError(
                f"Orthogonal fills tensors of 2 axes or more, received the shape {target.shape}"
            )
        STANDARD.check(target.dtype)
        check_values(as_numbers(self.gain), target.dtype)

    def whole(self, target: Target) -> Array:
        """Return the whole tensor. It takes 8 bytes an element besides those of the result."""
        shape = target.shape
        rows = shape[0] if target.layout == "torch" else math.prod(shape[:-1])
        columns = math.prod(shape[1:]) if target.layout == "torch" else shape[-1]
        out = np.empty((rows, columns), target.dtype)
        if out.size:
            q = self._tall(max(rows, columns), min(rows, columns), target)
            q = q if rows >= columns else q.T
            step = max(1, PIECE // columns)
            for i in range(0, rows, step):
                out[i : i + step] = round_once(q[i : i + step], target.dtype)
        return out.reshape(shape)

    def _tall(self, rows: int, columns: int, target: Target) -> Array:
        """Return gain x Q, rows >= columns, as a float64 array in column order."""
        from scipy.linalg import lapack
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        draws = np.empty(rows * columns)
        STANDARD.fill(draws, 0, target.stream)
        # LAPACK works on columns: in this order it needs no copy.
        matrix = draws.reshape(columns, rows).T
        with _one_at_a_time, threadpool_limits(1, user_api="blas"):
            work = lapack.dgeqrf_lwork(rows, columns)[0]
            qr, tau, *_ = lapack.dgeqrf(matrix, lwork=int(work), overwrite_a=True)
            factors = np.where(qr.diagonal() < 0, -self.gain, self.gain)
            q: Array = lapack.dorgqr(qr, tau, lwork=int(work), overwrite_a=True)[0]
        q *= factors
        return q

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as what JSON can hold."""
        return {**super().get_config(), "gain": self.gain}
