"""Content digests of tensors, in pieces that any thread can make in any order.

A tensor's bytes are cut into leaves of 1 MiB. Its digest is BLAKE3, in key-derivation mode with a
context of its own, of the leaves' BLAKE3 digests one after the other; docs/format.md specifies it.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from blake3 import blake3

LEAF = 1 << 20
# Holds a digest's place in a file that is laid out before its data is made.
UNKNOWN = "0" * 64

_CONTEXT = "initgen 1 tensor digest"


def leaf_digests(data: npt.NDArray[np.uint8]) -> bytes:
    """Return the 32-byte digests of consecutive leaves; only a tensor's last leaf may be short."""
    view = data.data
    return b"".join(blake3(view[i : i + LEAF]).digest() for i in range(0, view.nbytes, LEAF))


def constant_digests(element: bytes, nbytes: int) -> bytes:
    """Return the digests of leaves in so many bytes that are all copies of one element."""
    whole, rest = divmod(nbytes, LEAF)
    return _constant_digest(element, LEAF) * whole + _constant_digest(element, rest)


@lru_cache(maxsize=64)
def _constant_digest(element: bytes, nbytes: int) -> bytes:
    return blake3(element * (nbytes // len(element))).digest() if nbytes else b""


def tensor_digest(leaves: bytes) -> str:
    """Return a tensor's digest in hexadecimal, from the digests of all its leaves in order."""
    return blake3(leaves, derive_key_context=_CONTEXT).hexdigest()
