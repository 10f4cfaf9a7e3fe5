"""Which words belong to whom: a stream's 128-bit id, from a seed and a tensor's name."""

from __future__ import annotations

import hashlib
import operator
from dataclasses import dataclass
from typing import Any

from initlib._errors import RequestError

STREAM_VERSION = 1
MAX_SEED = 2**64 - 1

_PERSON = b"initgen-stream-1"
_NAMED, _SEEDED = 0, 1


def check_seed(seed: Any) -> int:
    """Return a seed as an int.

    Raises:
        RequestError: it is not an integer, or outside 0 .. 2^64 - 1.
    """
    try:
        number = operator.index(seed)
    except TypeError:
        number = -1
    if isinstance(seed, bool) or not 0 <= number <= MAX_SEED:
        raise RequestError(f"expected a seed from 0 to 2**64 - 1, received {seed!r}")
    return number


@dataclass(frozen=True, slots=True)
class Stream:
    """An endless sequence of random words, addressed by index.

    Attributes:
        key: the two Philox key words.
        high: Philox counter words 2 and 3; words 0 and 1 are the block index.
    """

    key: tuple[int, int]
    high: tuple[int, int]

    @classmethod
    def named(cls, seed: int, name: str, draw: int = 0) -> Stream:
        """Return the stream of a tensor: a function of the seed and of its own name alone."""
        return cls._derive(_NAMED, seed, draw, name)

    @classmethod
    def seeded(cls, seed: int, draw: int = 0) -> Stream:
        """Return the `draw`-th stream of a seed that belongs to no tensor."""
        return cls._derive(_SEEDED, seed, draw, "")

    @classmethod
    def _derive(cls, purpose: int, seed: int, draw: int, name: str) -> Stream:
        """Hash purpose (1 byte), seed (8), draw (8) and the name (UTF-8) to four words."""
        message = bytes([purpose]) + check_seed(seed).to_bytes(8, "little")
        message += draw.to_bytes(8, "little") + name.encode()
        digest = hashlib.blake2b(message, digest_size=16, person=_PERSON).digest()
        k0, k1, c2, c3 = (int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4))
        return cls((k0, k1), (c2, c3))
