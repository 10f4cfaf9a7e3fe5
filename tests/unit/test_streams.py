"""Stream ids: which seeds there are, and that no two uses share a stream."""

import numpy as np
import pytest

from initlib._errors import RequestError
from initlib._stream import MAX_SEED, Stream, check_seed


@pytest.mark.parametrize("seed", [0, 42, MAX_SEED, np.int32(7), np.uint64(MAX_SEED)])
def test_seeds(seed):
    assert check_seed(seed) == int(seed)
    assert type(check_seed(seed)) is int


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1, 1.0, "1", None, True, [1]])
def test_not_a_seed(seed):
    with pytest.raises(RequestError, match=r"expected a seed from 0 to 2\*\*64 - 1, received "):
        check_seed(seed)


def test_every_use_has_its_own_stream():
    seeds = [0, 1, 256, MAX_SEED]
    names = ["", "a", "a/b", "ab", "\0"]
    draws = [0, 1, 256]
    streams = [Stream.named(s, n, d) for s in seeds for n in names for d in draws]
    streams += [Stream.seeded(s, d) for s in seeds for d in draws]
    assert len(set(streams)) == len(streams) == 72
