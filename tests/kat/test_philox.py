"""Random123's published answers, by the reference and by the compiled kernels."""

from pathlib import Path

import numpy as np
import pytest
from numba import njit

from initlib._stream import _kernels
from initlib._stream._philox import philox4x32, words

LINES = (Path(__file__).parent / "philox4x32.txt").read_text().splitlines()
VECTORS = [[int(word, 16) for word in line.split()] for line in LINES if not line.startswith("#")]


@njit
def compiled(block, c2, c3, k0, k1):
    return _kernels._philox(block, c2, c3, k0, k1)


def test_all_published_vectors_are_here():
    assert len(VECTORS) == 3
    assert all(len(vector) == 10 for vector in VECTORS)


@pytest.mark.parametrize("vector", VECTORS)
def test_reference(vector):
    counter = np.array(vector[:4], np.uint32).reshape(4, 1)
    assert philox4x32(counter, tuple(vector[4:6])).ravel().tolist() == vector[6:]


@pytest.mark.parametrize("vector", VECTORS)
def test_reference_by_block_index(vector):
    c0, c1, c2, c3, k0, k1 = vector[:6]
    assert words(np.array([c1 << 32 | c0], np.uint64), (k0, k1), (c2, c3)).tolist() == vector[6:]


@pytest.mark.parametrize("vector", VECTORS)
def test_kernel(vector):
    c0, c1, c2, c3, k0, k1 = vector[:6]
    high_and_key = map(np.uint32, (c2, c3, k0, k1))
    assert list(compiled(np.uint64(c1 << 32 | c0), *high_and_key)) == vector[6:]
