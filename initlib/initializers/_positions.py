"""Tables that follow from places in them alone: ranges, rotary frequencies, sinusoids.

Logarithms and powers are Python's decimal ones with 60 digits, and sines the stream's own, so that
values are the same on every machine.
"""

from __future__ import annotations

from decimal import Context, Decimal
from functools import lru_cache
from typing import Any

import numpy as np

from initlib._dtypes import dtype_name, is_float
from initlib._errors import RequestError
from initlib._stream import cos_sin_of_turn
from initlib.initializers._base import Array, Target, pieces
from initlib.initializers._constants import Unseeded
from initlib.initializers._rounding import as_numbers, check_values, round_once
from initlib.initializers._scaling import choice, positive

# More frequencies than any model has; each takes some microseconds.
MAX_FREQUENCIES = 1 << 16
ORDERS = ("interleaved", "halves")

_DECIMAL = Context(prec=60)
_TWO_PI = Decimal("6.28318530717958647692528676655900576839433879875021164194989")


class Arange(Unseeded):
    """Equally spaced numbers, in C order; exact in integer dtypes.

    Formula: element i = start + i step

    Source: ``numpy.arange``, ``torch.arange``.

    Args:
        start: the first number.
        step: by how much each is more than the one before.

    Raises:
        RequestError: an argument isn't a finite number.
    """

    def __init__(self, start: float = 0, step: float = 1) -> None:
        self.start, self.step = _number("start", start), _number("step", step)

    def check(self, target: Target) -> None:
        """Raise RequestError if the dtype can't hold the numbers."""
        places = sorted({0, min(1, target.size - 1), target.size - 1} - {-1})
        check_values(as_numbers([self.start + i * self.step for i in places]), target.dtype)

    def fill(self, out: Array, start: int, target: Target) -> None:
        """Write elements start .. start + out.size of the target into `out`."""
        for piece, index in pieces(out, start):
            if is_float(target.dtype):
                piece[:] = round_once(self.start + index * float(self.step), target.dtype)
            else:
                # Modulo 2^64, of which the dtype's own bits are the lowest.
                first, step = (np.uint64(int(n) % 2**64) for n in (self.start, self.step))
                piece[:] = (first + index.astype(np.uint64) * step).astype(target.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as what JSON can hold."""
        return {"start": self.start, "step": self.step}


class RotaryInvFreq(Unseeded):
    """Inverse frequencies of rotary position embeddings, as models keep them in a buffer.

    Formula: element i = base^(-i / n) / factor, where n is their number, half of a head's size

    Source: Su et al., "RoFormer", 2021; transformers' ``inv_freq``. Chen et al., "Extending context
    window of large language models via positional interpolation", 2023, for the factor.

    Args:
        base: 10,000, or ``rope_theta``.
        factor: by how much positions are to be interpolated (linear scaling).

    Raises:
        RequestError: an argument isn't a positive number.
    """

    def __init__(self, base: float = 10000.0, factor: float = 1.0) -> None:
        self.base, self.factor = positive("base", base), positive("factor", factor)

    def check(self, target: Target) -> None:
        """Raise RequestError if the target isn't a vector of floats."""
        if len(target.shape) != 1:
            raise RequestError(
                f"RotaryInvFreq fills vectors of half a head's size, received {target.shape}"
            )
        _check("RotaryInvFreq", target, target.size)
        values = self._values(0, target.size, target.size)
        if not np.isfinite(values).all():
            raise RequestError(
                f"expected a factor that leaves finite values, received {self.factor}"
            )
        check_values(values, target.dtype)

    def fill(self, out: Array, start: int, target: Target) -> None:
        """Write elements start .. start + out.size of the target into `out`."""
        out[:] = round_once(self._values(start, start + out.size, target.size), target.dtype)

    def _values(self, start: int, stop: int, size: int) -> Array:
        factor = Decimal(self.factor)
        powers = _powers(self.base, size, size)[start:stop]
        return np.array([float(_DECIMAL.divide(power, factor)) for power in powers])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as what JSON can hold."""
        return {"base": self.base, "factor": self.factor}


class Sinusoidal(Unseeded):
    """Sines and cosines of positions, a pair of columns for each frequency; rows are positions.

    Vaswani et al. have them interleaved; Marian has all sines first, and so has Whisper (as fairseq
    and tensor2tensor), whose last frequency is 1 / base itself: order="halves", endpoint=True.

    Formula: sin(p f_i) and cos(p f_i), f_i = base^(-2 i / dim), or base^(-i / (dim / 2 - 1))

    Source: Vaswani et al., "Attention is all you need", 2017.

    Args:
        base: the slowest wavelength is 2 pi of it, or nearly.
        order: "interleaved", or "halves": sines, then cosines.
        endpoint: whether the last frequency is 1 / base.

    Raises:
        RequestError: an argument is wrong.
    """

    def __init__(
        self, base: float = 10000.0, order: str = "interleaved", endpoint: bool = False
    ) -> None:
        self.base, self.order = positive("base", base), choice("order", order, ORDERS)
        self.endpoint = bool(endpoint)

    def check(self, target: Target) -> None:
        """Raise RequestError if the target isn't a matrix of floats."""
        if len(target.shape) != 2:
            raise RequestError(f"Sinusoidal fills 2-dimensional tensors, received {target.shape}")
        _check("Sinusoidal", target, target.shape[1])
        if self.endpoint and target.shape[1] % 2:
            raise RequestError(f"expected an even width, received {target.shape[1]}")

    def fill(self, out: Array, start: int, target: Target) -> None:
        """Write elements start .. start + out.size of the target into `out`."""
        width = target.shape[1]
        turns = _turns(self.base, width, self.endpoint)
        for piece, index in pieces(out, start):
            position, column = np.divmod(index, width)
            if self.order == "interleaved":
                pair, cosine = column // 2, column % 2 == 1
            else:
                cosine = column >= turns.size
                pair = np.where(cosine, column - turns.size, column)
            cos, sin = cos_sin_of_turn(position.astype(np.uint64) * turns[pair])
            # The middle of a step of the angle is near 0, but isn't.
            sin[position == 0] = 0
            piece[:] = round_once(np.where(cosine, cos, sin), target.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as what JSON can hold."""
        return {"base": self.base, "order": self.order, "endpoint": self.endpoint}


def _number(name: str, value: Any) -> int | float:
    """Return a finite number, an integer as such."""
    try:
        numbers = as_numbers(value)
    except RequestError:
        numbers = np.empty(0)
    if numbers.ndim or not np.isfinite(numbers.astype(np.float64)).all():
        raise RequestError(f"expected a finite number for {name}, received {value!r}")
    number: int | float = numbers.item()
    return number


def _check(name: str, target: Target, frequencies: int) -> None:
    if not is_float(target.dtype):
        received = dtype_name(target.dtype)
        raise RequestError(f"{name} needs a floating-point dtype, received {received}")
    if frequencies > MAX_FREQUENCIES:
        raise RequestError(
            f"{name} has at most {MAX_FREQUENCIES:,} frequencies, received {frequencies:,}"
        )


@lru_cache(maxsize=16)
def _powers(base: float, count: int, steps: float) -> list[Decimal]:
    """Return base^(-i / steps) for i below `count`."""
    log = _DECIMAL.ln(Decimal(base))
    shares = (_DECIMAL.divide(Decimal(-i), Decimal(steps)) for i in range(count))
    return [_DECIMAL.exp(_DECIMAL.multiply(log, share)) for share in shares]


@lru_cache(maxsize=16)
def _turns(base: float, width: int, endpoint: bool) -> Array:
    """Return the frequencies in turns per position, as multiples of 2^-64 and modulo 1."""
    steps = max(width / 2 - 1, 1) if endpoint else max(width / 2, 1)
    turns = []
    for power in _powers(base, -(-width // 2), steps):
        exact = _DECIMAL.divide(_DECIMAL.multiply(power, Decimal(2**64)), _TWO_PI)
        turns.append(int(_DECIMAL.to_integral_value(exact)) % 2**64)
    return np.array(turns, np.uint64)
