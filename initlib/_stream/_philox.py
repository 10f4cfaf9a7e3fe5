"""Philox4x32-10 in NumPy (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).

    blocks(first, count, (c1 ..) ) : counters 4 x u32, key 2 x u32 -> 4 x u32 a block

| counter word | holds |
| --- | --- |
| 0 | block index, low 32 bits |
| 1 | block index, high 32 bits |
| 2, 3 | upper half of the stream id |
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint32]

ROUNDS = 10
MULTIPLIERS = np.uint32(0xD2511F53), np.uint32(0xCD9E8D57)
# Key increments: the golden ratio and sqrt(3) - 1, as 32-bit fractions.
WEYL = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)


def philox4x32(counter: Words, key: tuple[int, int]) -> Words:
    """Return the four output words of each block.

    Args:
        counter: shape (4, n), a column a block.
        key: the two key words.

    Returns:
        Words of shape (4, n).
    """
    c0, c1, c2, c3 = counter
    k0, k1 = np.uint32(key[0]), np.uint32(key[1])
    shift = np.uint64(32)
    with np.errstate(over="ignore"):
        for _ in range(ROUNDS):
            p0 = c0.astype(np.uint64) * np.uint64(MULTIPLIERS[0])
            p1 = c2.astype(np.uint64) * np.uint64(MULTIPLIERS[1])
            c0, c2 = (
                (p1 >> shift).astype(np.uint32) ^ c1 ^ k0,
                (p0 >> shift).astype(np.uint32) ^ c3 ^ k1,
            )
            c1, c3 = p1.astype(np.uint32), p0.astype(np.uint32)
            k0, k1 = k0 + WEYL[0], k1 + WEYL[1]
    return np.stack((c0, c1, c2, c3))


def words(blocks: npt.NDArray[np.uint64], key: tuple[int, int], high: tuple[int, int]) -> Words:
    """Return the words of blocks, four of each, one block after the other.

    Args:
        blocks: the blocks' 64-bit indices.
        key: the stream's key words.
        high: counter words 2 and 3.
    """
    counter = np.empty((4, blocks.size), np.uint32)
    counter[0], counter[1] = blocks.astype(np.uint32), (blocks >> np.uint64(32)).astype(np.uint32)
    counter[2], counter[3] = high
    return philox4x32(counter, key).T.reshape(-1)
