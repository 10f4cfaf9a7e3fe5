"""Which stream a draw gets that has no tensor of its own: seeds, generators, a file's context."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self

from initlib._stream import Stream, check_seed

# A generator's counter moves under this lock, which all share so that generators can be pickled.
_LOCK = threading.Lock()


class SeedGenerator:
    """A seed that gives new values at each use, as ``keras.random.SeedGenerator`` does.

    Use number k of a generator with seed s draws from ``Stream.seeded(s, draw=k)``. In a manifest
    it is the seed of the tensors' streams, which are told apart by their names.

    Args:
        seed: integer from 0 to 2**64 - 1, or None for a fresh one.
        name: what the generator is called in configs; it has no part in the values.

    Raises:
        RequestError: the seed is not such an integer.
    """

    def __init__(self, seed: int | None = None, name: str | None = None) -> None:
        self.initial_seed = None if seed is None else check_seed(seed)
        # Keras numbers its default names; a config must not depend on what was made before it.
        self.name = name or "seed_generator"
        self._seed = fresh_seed() if self.initial_seed is None else self.initial_seed
        self._used = 0

    def next(self) -> Stream:
        """Return the stream of the next use."""
        with _LOCK:
            draw, self._used = self._used, self._used + 1
        return Stream.seeded(self._seed, draw)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this generator again, at its first use."""
        return {"seed": self.initial_seed, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make a generator from what `get_config` returned."""
        return cls(**config)


Seed = int | SeedGenerator | None


class _Draws:
    """The uses of randomness inside one tensor, counted."""

    def __init__(self, seed: int, name: str) -> None:
        self._seed, self._name, self._used = seed, name, 0

    def next(self, seed: int | None) -> Stream:
        draw, self._used = self._used, self._used + 1
        return Stream.named(self._seed if seed is None else seed, self._name, draw)


_draws: ContextVar[_Draws | None] = ContextVar("draws", default=None)


@contextmanager
def draws_for(seed: int, name: str) -> Iterator[None]:
    """Make draws reproducible inside: use number k draws from ``Stream.named(seed, name, k)``.

    It holds for draws without a seed, and for those from a SeedGenerator, whose own seed then
    replaces `seed`: what other tensors draw, and when, makes no difference. Draws with an integer
    seed are reproducible anyway. The context is the thread's (or task's) own.
    """
    token = _draws.set(_Draws(seed, name))
    try:
        yield
    finally:
        _draws.reset(token)


def fresh_seed() -> int:
    """Return a new seed from Python's `random`, as in Keras: whoever seeds that repeats a run."""
    return random.getrandbits(64)


def stream_of(seed: Seed, default: int | None = None) -> Stream:
    """Return the stream for one draw.

    Args:
        seed: integer, SeedGenerator, or None.
        default: replaces None outside `draws_for`; without it, a fresh seed does.

    Raises:
        RequestError: it is none of these.
    """
    draws = _draws.get()
    if isinstance(seed, SeedGenerator):
        return draws.next(seed.initial_seed) if draws else seed.next()
    if seed is not None:
        return Stream.seeded(check_seed(seed))
    if draws:
        return draws.next(None)
    return Stream.seeded(fresh_seed() if default is None else default)
