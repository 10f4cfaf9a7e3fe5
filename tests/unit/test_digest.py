"""A tensor's digest, from leaves made in any order."""

import numpy as np
import pytest
from blake3 import blake3

from initlib._digest import LEAF, UNKNOWN, leaf_digests, tensor_digest


@pytest.mark.parametrize("size", [0, 1, LEAF - 1, LEAF, LEAF + 1, 3 * LEAF])
def test_digest_is_what_the_format_says(size):
    data = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    leaves = [data[i : i + LEAF].tobytes() for i in range(0, size, LEAF)]
    joined = b"".join(blake3(leaf).digest() for leaf in leaves)
    assert leaf_digests(data) == joined
    expected = blake3(joined, derive_key_context="initgen 1 tensor digest").hexdigest()
    assert tensor_digest(joined) == expected
    assert len(expected) == len(UNKNOWN)


def test_leaves_of_chunks_are_those_of_the_whole():
    data = np.random.default_rng(1).integers(0, 256, 5 * LEAF + 7, np.uint8)
    pieces = [leaf_digests(data[i : i + 2 * LEAF]) for i in range(0, data.size, 2 * LEAF)]
    assert b"".join(pieces) == leaf_digests(data)
