"""Initializers that draw each element alone from one distribution."""

from __future__ import annotations

from typing import Any, ClassVar

from initlib import _stream
from initlib._arguments import as_number
from initlib._seeds import Seed, SeedGenerator, fresh_seed, stream_of
from initlib._stream import Distribution, Stream, check_seed
from initlib.initializers._base import Array, Initializer, Target
from initlib.initializers._configs import decode, encode


class Seeded(Initializer):
    """Base of the built-in initializers that have a seed.

    Attributes:
        seed: an integer (the one drawn, if None was given) or a SeedGenerator.
    """

    def __init__(self, seed: Any = None) -> None:
        given = decode(seed)
        if given is not None and not isinstance(given, SeedGenerator):
            given = check_seed(given)
        self._given_seed: Seed = given
        self.seed: int | SeedGenerator = fresh_seed() if given is None else given

    @property
    def given_seed(self) -> Seed:
        """The seed as it was given: None stays None, also in the config."""
        return self._given_seed

    def _stream(self) -> Stream:
        default = self.seed if isinstance(self.seed, int) else None
        return stream_of(self._given_seed, default)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as what JSON can hold."""
        return {"seed": encode(self._given_seed)}


class Drawn(Seeded):
    """Base of those whose elements are independent draws: subclasses say from what."""

    def law(self, target: Target) -> Distribution:
        """Return the distribution of the target's elements."""
        raise NotImplementedError

    def check(self, target: Target) -> None:
        """Raise RequestError if the dtype isn't a float, or too narrow for the distribution."""
        self.law(target).check(target.dtype)

    def fill(self, out: Array, start: int, target: Target) -> None:
        """Write elements start .. start + out.size of the target into `out`."""
        self.law(target).fill(out, start, target.stream)


class _Bell(Drawn):
    """Base of the two normal distributions: its subclasses are nothing but which one they draw."""

    family: ClassVar[type[_stream.Normal | _stream.TruncatedNormal]]

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = as_number("mean", mean), as_number("stddev", stddev)
        self.family(self.mean, self.stddev)

    def law(self, target: Target) -> Distribution:
        """Return the distribution of the target's elements."""
        return self.family(self.mean, self.stddev)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as what JSON can hold."""
        return {**super().get_config(), "mean": self.mean, "stddev": self.stddev}


class RandomNormal(_Bell):
    """Draws from a normal distribution.

    Formula: W ~ N(mean, stddev^2)

    Args:
        mean: mean of the values.
        stddev: their standard deviation, 0 or more.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong.
    """

    family = _stream.Normal


class TruncatedNormal(_Bell):
    """Draws from a normal distribution of which the values beyond two stddev are cut off.

    Formula: W ~ N(mean, stddev^2) given |W - mean| <= 2 stddev, and Std W = 0.8796 stddev

    Args:
        mean: mean of the values.
        stddev: standard deviation before the cut, 0 or more; the values have 0.8796 of it.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong.
    """

    family = _stream.TruncatedNormal


class RandomUniform(Drawn):
    """Draws from a uniform distribution.

    Formula: W ~ U[minval, maxval)

    Args:
        minval: the least value.
        maxval: what all values are below, also after rounding to the dtype.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong.
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None) -> None:
        super().__init__(seed)
        self.minval, self.maxval = as_number("minval", minval), as_number("maxval", maxval)
        _stream.Uniform(self.minval, self.maxval)

    def law(self, target: Target) -> Distribution:
        """Return the distribution of the target's elements."""
        return _stream.Uniform(self.minval, self.maxval)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as what JSON can hold."""
        return {**super().get_config(), "minval": self.minval, "maxval": self.maxval}
