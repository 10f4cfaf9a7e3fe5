"""Stream version 1 in plain NumPy: the reference that the compiled kernels must equal bit for bit.

    draws (n-bit integers, as int64) -> values (float32 for n = 32, float64 for n = 53)

Every operation is on integers or exactly rounded (IEEE 754), in the order docs/stream.md gives.
The two precisions differ in nothing but the constants of `Precision`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from initlib._stream import _coefficients as c
from initlib._stream._philox import words
from initlib._stream._ratios import LOG_WIDE, RATIOS_32, RATIOS_64, Ratio

Draws = npt.NDArray[np.int64]
Floats = npt.NDArray[Any]
Constants = tuple[Any, ...]


@dataclass(frozen=True)
class Precision:
    """What float32 and float64 differ in.

    Attributes:
        float: the type that values are computed in.
        integer: the unsigned integer of its width.
        draw_bits: bits of a draw (n).
        uniform_bits: bits of a draw that `uniform` uses, the highest ones.
        angle_bits: bits of a draw that `cos_sin` uses, the highest ones: the most that stay exact.
        mantissa_bits: stored bits of a float's mantissa.
        half_exponent: biased exponent of the floats in [1/2, 1).
        words: words to a draw.
    """

    float: type[np.floating[Any]]
    integer: type[np.unsignedinteger[Any]]
    draw_bits: int
    uniform_bits: int
    angle_bits: int
    mantissa_bits: int
    half_exponent: int
    words: int
    ln2: Constants
    log: Constants
    quarter_pi: Constants
    sin: Constants
    cos: Constants
    square: Constants
    quantile: Constants
    ratios: tuple[Ratio, ...]


SINGLE = Precision(
    *(np.float32, np.uint32, 32, 24, 26, 23, 126, 1),
    *(c.LN2_32, c.LOG_32, c.QUARTER_PI_32, c.SIN_32, c.COS_32, c.SQUARE_32, c.QUANTILE_32),
    RATIOS_32,
)
DOUBLE = Precision(
    *(np.float64, np.uint64, 53, 53, 53, 52, 1022, 2),
    *(c.LN2_64, c.LOG_64, c.QUARTER_PI_64, c.SIN_64, c.COS_64, c.SQUARE_64, c.QUANTILE_64),
    RATIOS_64,
)
# What `inverse` computes with for 32-bit draws: binary64, but no more terms than binary32 needs.
WIDE = replace(DOUBLE, draw_bits=32, log=LOG_WIDE, ratios=RATIOS_32)


def horner(x: Floats, coefficients: Constants) -> Floats:
    """Evaluate a polynomial whose coefficients come from the highest degree down."""
    y = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        y = y * x + coefficient
    return y


def odd(integers: Draws, p: Precision) -> Floats:
    """Return 2 i + 1, twice the middle between i and i + 1, rounded once."""
    return (2 * integers + 1).astype(p.float)


def split_float(f: Floats, p: Precision) -> tuple[Floats, Draws]:
    """Return mantissa in [1/2, 1) and exponent of positive floats, as frexp does."""
    bits = f.view(p.integer)
    half = p.integer(p.half_exponent << p.mantissa_bits)
    mantissa = ((bits & p.integer((1 << p.mantissa_bits) - 1)) | half).view(p.float)
    return mantissa, (bits >> p.integer(p.mantissa_bits)).astype(np.int64) - p.half_exponent


def minus_log(v: Floats, e: Floats, p: Precision) -> Floats:
    """Return -ln((1 - v) / 2^e) for v in [0, 1/2]."""
    s = v / (p.float(2) - v)
    z = s * s
    return e * p.ln2[0] + ((v + s * (v + z * horner(z, p.log))) + e * p.ln2[1])


def radius(draws: Draws, p: Precision) -> Floats:
    """Return sqrt(-2 ln u) at u = (draw + 1/2) / 2^n, n = p.draw_bits."""
    n = p.draw_bits
    upper = draws >= 1 << (n - 1)
    f = odd(np.where(upper, (1 << n) - 1 - draws, draws), p)
    mantissa, exponent = split_float(f, p)
    # Above a half, 1 - u comes from the integer: u itself would have lost its last bits.
    v = np.where(upper, f * p.float(2.0 ** -(n + 1)), p.float(1) - mantissa)
    e = np.where(upper, p.float(0), (n + 1 - exponent).astype(p.float))
    y = minus_log(v, e, p)
    return np.sqrt(y + y)


def cos_sin(draws: Draws, p: Precision) -> tuple[Floats, Floats]:
    """Return cos and sin of 2 pi (k + 1/2) / 2^n, k the upper n = p.angle_bits bits of a draw."""
    n = p.angle_bits
    k = draws >> (p.draw_bits - n)
    quadrant = (k + (1 << (n - 3))) >> (n - 2)
    x = odd(k - (quadrant << (n - 2)), p) * p.float(2.0 ** (2 - n))
    z = x * x
    sin = x * (p.quarter_pi[0] + (z * horner(z, p.sin) + p.quarter_pi[1]))
    cos = p.float(1) + z * horner(z, p.cos)
    swap = (quadrant & 1) == 1
    a, b = np.where(swap, sin, cos), np.where(swap, cos, sin)
    return (
        np.where(((quadrant + 1) & 2) != 0, -a, a),
        np.where((quadrant & 2) != 0, -b, b),
    )


def cos_sin_of_turn(angles: npt.NDArray[np.uint64]) -> tuple[Floats, Floats]:
    """Return cos and sin of angles in units of 2^-64 of a turn, as float64."""
    return cos_sin((angles >> np.uint64(11)).astype(np.int64), DOUBLE)


def truncated_quantile(draws: Draws, p: Precision) -> Floats:
    """Return the quantile of the standard normal truncated at two stddev.

    The draw is read as a two's complement number s; the probability is 1/2 + (s + 1/2) / 2^n.
    """
    half = 1 << (p.draw_bits - 1)
    negative = draws >= half
    a = np.where(negative, 2 * half - 1 - draws, draws)
    scale = p.float(0.5 / half)
    t = odd(a, p) * scale
    # The distance from the end comes from the integer: 1 - t would have lost its last bits.
    d = odd(half - 1 - a, p) * scale
    r = d * (p.float(2) - d)
    mantissa, exponent = split_float(p.square[0] + p.square[1] * r, p)
    y = minus_log(p.float(1) - mantissa, (-exponent).astype(p.float), p)
    z = t * horner(y, p.quantile)
    return np.where(negative, -z, z)


def clamp(x: Floats, low: Any, high: Any) -> Floats:
    """Return x limited to [low, high]."""
    x = np.where(x > low, x, low)
    return np.where(x < high, x, high)


def normal(draws: Draws, p: Precision, mean: Any, stddev: Any) -> Floats:
    """Box-Muller: a pair of draws makes a pair of values."""
    r = radius(draws[0::2], p)
    cos, sin = cos_sin(draws[1::2], p)
    z = np.stack((r * cos, r * sin), axis=1).reshape(-1)
    return z * stddev + mean


def truncated(draws: Draws, p: Precision, mean: Any, stddev: Any, low: Any, high: Any) -> Floats:
    """Inverse CDF: a draw makes a value."""
    return clamp(truncated_quantile(draws, p) * stddev + mean, low, high)


def uniform(
    draws: Draws, p: Precision, base: Any, origin: Any, step: Any, low: Any, high: Any
) -> Floats:
    """A grid of 2^p.uniform_bits points: exact integers, one multiplication, one addition."""
    k = (draws >> (p.draw_bits - p.uniform_bits)) - np.int64(origin)
    return clamp(k.astype(p.float) * step + base, low, high)


def inverse(draws: Draws, p: Precision, numbers: Floats) -> Floats:
    """Inverse CDF for any bounds, in binary64 for all: a draw makes a value.

    Args:
        draws: the draws.
        p: the precision of the values.
        numbers: a law's, see `initlib._stream._truncated`.
    """
    real, p = p.float, p if p is DOUBLE else WIDE
    law, polynomials = numbers[:13], numbers[13:]
    above, below = np.split(polynomials, [polynomials.size // 2])
    origin, base, half, low, high, inner, outer, near, slope, anchor, stddev, first, last = law
    t = odd(draws - np.int64(origin), p) * half + base
    negative, u = t < 0, np.abs(t)
    j = np.where(negative, draws, (1 << p.draw_bits) - 1 - draws)
    left = odd(j, p) * half + np.where(negative, low, high)
    v = u * (outer + inner * u)
    mantissa, exponent = split_float(left * (1 + inner * u), p)
    small = v <= 0.5
    y = minus_log(np.where(small, v, 1 - mantissa), np.where(small, 0.0, -exponent), p)
    rise = y * (slope + y * horner(y, tuple(above)) / horner(y, tuple(below)))
    d = rise / (near + np.sqrt(near * near + rise))
    return clamp(np.where(negative, -d, d) * stddev + anchor, first, last).astype(real)


TRANSFORMS: dict[str, Callable[..., Floats]] = {
    "normal": normal,
    "truncated": truncated,
    "uniform": uniform,
    "inverse": inverse,
}


def fill(
    transform: str,
    out: npt.NDArray[Any],
    blocks: npt.NDArray[np.uint64],
    key: tuple[int, int],
    high: tuple[int, int],
    parameters: Constants,
) -> None:
    """Fill `out` with all values of these blocks, one block after the other."""
    p = DOUBLE if out.dtype == np.float64 else SINGLE
    stream = words(blocks, key, high)
    if p is DOUBLE:
        draws = (stream.view(np.uint64) >> np.uint64(11)).view(np.int64)
    else:
        draws = stream.astype(np.int64)
    out[:] = TRANSFORMS[transform](draws, p, *parameters).astype(out.dtype)
