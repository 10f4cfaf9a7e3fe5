"""Figures of values: all dtypes, what is not finite, what has no figure, and who computes them."""

import numpy as np
import pytest

from initlib._dtypes import DTYPES
from initlib._moments import summarize


@pytest.mark.parametrize("dtype", DTYPES)
def test_figures(dtype):
    values = np.arange(100).astype(DTYPES[dtype])
    found, exact = summarize(values), values.astype(np.float64)
    assert (found.size, found.min, found.max) == (100, exact.min(), exact.max())
    assert found.mean == pytest.approx(exact.mean(), rel=1e-14)
    assert found.stddev == pytest.approx(exact.std(), rel=1e-14)
    assert found.zeros == np.count_nonzero(exact == 0)
