"""Q of a tall matrix of draws, any rows of it alone: A R^-1, where R^T R is the Gram matrix A^T A.

That is Cholesky QR (Golub & Van Loan, "Matrix Computations", 5.2). A random matrix with twice as
many rows as columns is so well conditioned that it loses two digits of sixteen. Memory goes by the
number of columns alone.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from initlib._parallel import single_blas, spread
from initlib._stream import Normal, Stream

Floats = npt.NDArray[np.float64]

STANDARD = Normal(0.0, 1.0)
# More columns than this are left to Householder's way: blocks would be short, and R large.
MOST_COLUMNS = 1024
# Rows that are always multiplied together, and draws of a panel of the Gram matrix. They belong to
# the result's last bits.
BLOCK = 256
PANEL = 1 << 20
# Factors that are kept: those of the tensors that are being made.
KEPT = 16

_lock = threading.Lock()
_factors: OrderedDict[Tall, Floats] = OrderedDict()


@dataclass(frozen=True, slots=True)
class Tall:
    """A matrix of standard normal draws, which fill it column by column."""

    stream: Stream
    rows: int
    columns: int

    @property
    def fits(self) -> bool:
        """Whether it is tall enough for this way."""
        return 1 <= self.columns <= min(self.rows // 2, MOST_COLUMNS)

    def q(self, start: int, count: int) -> Floats:
        """Return elements start .. start + count of Q in C order, as a 1-D array."""
        begin = start // self.columns // BLOCK * BLOCK
        end = min(-(-(start + count) // (self.columns * BLOCK)) * BLOCK, self.rows)
        draws, inverse = self._draws(begin, end), self._inverse()
        q = np.empty((end - begin, self.columns))
        with single_blas():
            for i in range(0, len(q), BLOCK):
                # Copied, for BLAS may go by how far apart its numbers are.
                block = np.ascontiguousarray(draws[:, i : i + BLOCK].T)
                np.matmul(block, inverse, out=q[i : i + BLOCK])
        first = start - begin * self.columns
        return q.reshape(-1)[first : first + count]

    def _draws(self, begin: int, end: int) -> Floats:
        """Return rows begin .. end, transposed."""
        draws = np.empty((self.columns, end - begin))
        for column in range(self.columns):
            STANDARD.fill(draws[column], column * self.rows + begin, self.stream)
        return draws

    def _inverse(self) -> Floats:
        """Return R^-1, which one thread makes for all."""
        with _lock:
            if self not in _factors:
                _factors[self] = self._make_inverse()
                while len(_factors) > KEPT:
                    _factors.popitem(last=False)
            _factors.move_to_end(self)
            return _factors[self]

    def _make_inverse(self) -> Floats:
        gram = np.zeros((self.columns, self.columns))
        with single_blas():
            step = max(PANEL // self.columns, 1)
            for part in spread(partial(self._gram, step), range(0, self.rows, step)):
                gram += part
            return np.linalg.inv(np.linalg.cholesky(gram)).T

    def _gram(self, step: int, begin: int) -> Floats:
        draws = self._draws(begin, min(begin + step, self.rows))
        product: Floats = draws @ draws.T
        return product
