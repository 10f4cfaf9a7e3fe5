"""Compiled kernels: stream version 1 by Numba, equal bit for bit to `_reference`.

A kernel fills whole Philox blocks: four words, which make four values of float32 and narrower
dtypes or two of float64. It is compiled for each dtype apart, see `initlib._native`.

Arguments of all: the address of whole blocks and how many elements they have, the index of the
first block, the counter's upper words, the key, and the transform's parameters.

Only exactly rounded operations: without `fastmath` LLVM neither reorders nor fuses them. Every
integer is given its machine type by name, because Numba widens mixed expressions to int64 or
float64.
"""

from __future__ import annotations

from numba import float32, float64, int32, int64, uint32, uint64

from initlib._native._building import array_at, bits_of, float_of, inline, square_root
from initlib._stream._building import floats_at, horner, store
from initlib._stream._coefficients import (
    COS_32,
    COS_64,
    LN2_32,
    LN2_64,
    LOG_32,
    LOG_64,
    QUANTILE_32,
    QUANTILE_64,
    QUARTER_PI_32,
    QUARTER_PI_64,
    SIN_32,
    SIN_64,
    SQUARE_32,
    SQUARE_64,
)
from initlib._stream._philox import MULTIPLIERS, ROUNDS, WEYL
from initlib._stream._ratios import LOG_WIDE

M0, M1 = MULTIPLIERS
W0, W1 = WEYL


@inline
def _philox(block, c2, c3, k0, k1):
    """Philox4x32-10: four words of one block.

    A word lives in the lower half of a 64-bit lane, with anything above it: the widening
    multiplication looks at the lower half alone. That keeps the ten rounds free of lane-crossing
    conversions and doubles the speed of all kernels.
    """
    m0, m1, low = uint64(M0), uint64(M1), uint64(0xFFFFFFFF)
    a, b, c, d = block, block >> uint64(32), uint64(c2), uint64(c3)
    for _ in range(ROUNDS):
        p, q = (a & low) * m0, (c & low) * m1
        a, b, c, d = (q >> uint64(32)) ^ b ^ uint64(k0), q, (p >> uint64(32)) ^ d ^ uint64(k1), p
        k0, k1 = uint32(k0 + W0), uint32(k1 + W1)
    return uint32(a), uint32(b), uint32(c), uint32(d)


@inline
def _draw64(low, high):
    """Join two words to a 64-bit draw."""
    return uint64(low) | (uint64(high) << uint64(32))


# -- float32 -------------------------------------------------------------------------------------


@inline
def _odd32(i):
    """2 i + 1 for i < 2^31, rounded once."""
    return float32(uint32(uint32(uint32(i) << uint32(1)) | uint32(1)))


@inline
def _split32(f):
    """Mantissa in [1/2, 1) and exponent of a positive float."""
    bits = bits_of(f)
    mantissa = float_of(uint32((bits & uint32(0x007FFFFF)) | uint32(0x3F000000)))
    return mantissa, int32(int32(bits >> uint32(23)) - int32(126))


@inline
def _minus_log32(v, e):
    """-ln((1 - v) / 2^e) for v in [0, 1/2]."""
    s = v / (float32(2) - v)
    z = s * s
    return e * LN2_32[0] + ((v + s * (v + z * horner(z, LOG_32))) + e * LN2_32[1])


@inline
def _radius32(w):
    """sqrt(-2 ln u) at u = (w + 1/2) / 2^32."""
    upper = w >= uint32(0x80000000)
    f = _odd32(~w if upper else w)
    mantissa, exponent = _split32(f)
    v = f * float32(2.0**-33) if upper else float32(1) - mantissa
    e = float32(0) if upper else float32(int32(33) - exponent)
    y = _minus_log32(v, e)
    return square_root(y + y)


@inline
def _cos_sin32(w):
    """cos and sin of 2 pi (k + 1/2) / 2^26, where k is the upper 26 bits of w."""
    quadrant = uint32(uint32(w + uint32(1 << 29)) >> uint32(30))
    steps = int32(int32(uint32(w - uint32(quadrant << uint32(30)))) >> int32(5)) | int32(1)
    x = float32(steps) * float32(2.0**-24)
    z = x * x
    s = x * (QUARTER_PI_32[0] + (z * horner(z, SIN_32) + QUARTER_PI_32[1]))
    c = float32(1) + z * horner(z, COS_32)
    odd = (quadrant & uint32(1)) != uint32(0)
    a, b = (s if odd else c), (c if odd else s)
    a = float_of(
        uint32(bits_of(a) ^ uint32((uint32(quadrant + uint32(1)) & uint32(2)) << uint32(30)))
    )
    b = float_of(uint32(bits_of(b) ^ uint32((quadrant & uint32(2)) << uint32(30))))
    return a, b


@inline
def _truncated32(w):
    """Quantile of the normal truncated at two stddev, at (w + 2^31 + 1/2) / 2^32 modulo 1."""
    negative = w >= uint32(0x80000000)
    a = uint32(~w) if negative else w
    t = _odd32(a) * float32(2.0**-32)
    d = _odd32(uint32(0x7FFFFFFF) - a) * float32(2.0**-32)
    r = d * (float32(2) - d)
    mantissa, exponent = _split32(SQUARE_32[0] + SQUARE_32[1] * r)
    z = t * horner(_minus_log32(float32(1) - mantissa, float32(-exponent)), QUANTILE_32)
    return -z if negative else z


@inline
def _clamp(x, low, high):
    """Keep x within [low, high]."""
    x = x if x > low else low
    return x if x < high else high


def normal32(address, size, first, c2, c3, k0, k1, mean, stddev):
    out = array_at(address, 0, size)
    for i in range(size // 4):
        w0, w1, w2, w3 = _philox(first + uint64(i), c2, c3, k0, k1)
        r, q = _radius32(w0), _radius32(w2)
        a, b = _cos_sin32(w1)
        c, d = _cos_sin32(w3)
        store(out, 4 * i, (r * a) * stddev + mean)
        store(out, 4 * i + 1, (r * b) * stddev + mean)
        store(out, 4 * i + 2, (q * c) * stddev + mean)
        store(out, 4 * i + 3, (q * d) * stddev + mean)


def truncated32(address, size, first, c2, c3, k0, k1, mean, stddev, low, high):
    out = array_at(address, 0, size)
    for i in range(size // 4):
        w0, w1, w2, w3 = _philox(first + uint64(i), c2, c3, k0, k1)
        # Written out: LLVM leaves a loop with so long a body as it is, and then has no vectors.
        store(out, 4 * i, _clamp(_truncated32(w0) * stddev + mean, low, high))
        store(out, 4 * i + 1, _clamp(_truncated32(w1) * stddev + mean, low, high))
        store(out, 4 * i + 2, _clamp(_truncated32(w2) * stddev + mean, low, high))
        store(out, 4 * i + 3, _clamp(_truncated32(w3) * stddev + mean, low, high))


def uniform32(address, size, first, c2, c3, k0, k1, base, origin, step, low, high):
    out = array_at(address, 0, size)
    for i in range(size // 4):
        w = _philox(first + uint64(i), c2, c3, k0, k1)
        for j in range(4):
            x = float32(int32(uint32(w[j] >> uint32(8))) - origin) * step + base
            store(out, 4 * i + j, _clamp(x, low, high))


# -- float64 -------------------------------------------------------------------------------------


@inline
def _odd64(i):
    """2 i + 1 for i < 2^52."""
    return float64(int64((uint64(i) << uint64(1)) | uint64(1)))


@inline
def _split64(f):
    """Mantissa in [1/2, 1) and exponent of a positive float."""
    bits = bits_of(f)
    mantissa = float_of(uint64((bits & uint64((1 << 52) - 1)) | uint64(0x3FE << 52)))
    return mantissa, int64(bits >> uint64(52)) - int64(1022)


@inline
def _minus_log(v, e, log):
    """-ln((1 - v) / 2^e) for v in [0, 1/2]."""
    s = v / (2.0 - v)
    z = s * s
    return e * LN2_64[0] + ((v + s * (v + z * horner(z, log))) + e * LN2_64[1])


@inline
def _minus_log64(v, e):
    """-ln((1 - v) / 2^e) for v in [0, 1/2]."""
    return _minus_log(v, e, LOG_64)


@inline
def _radius64(draw):
    """sqrt(-2 ln u) at u = (k + 1/2) / 2^53, k the draw's upper 53 bits."""
    k = draw >> uint64(11)
    upper = k >= uint64(1 << 52)
    f = _odd64(uint64((1 << 53) - 1) - k if upper else k)
    mantissa, exponent = _split64(f)
    v = f * 2.0**-54 if upper else 1.0 - mantissa
    e = 0.0 if upper else float64(int64(54) - exponent)
    y = _minus_log64(v, e)
    return square_root(y + y)


@inline
def _cos_sin64(draw):
    """cos and sin of 2 pi (k + 1/2) / 2^53, where k is the upper 53 bits of the 64-bit draw."""
    quadrant = uint64(draw + uint64(1 << 61)) >> uint64(62)
    steps = (int64(draw - (quadrant << uint64(62))) >> int64(10)) | int64(1)
    x = float64(steps) * 2.0**-51
    z = x * x
    s = x * (QUARTER_PI_64[0] + (z * horner(z, SIN_64) + QUARTER_PI_64[1]))
    c = 1.0 + z * horner(z, COS_64)
    odd = (quadrant & uint64(1)) != uint64(0)
    a, b = (s if odd else c), (c if odd else s)
    a = float_of(uint64(bits_of(a) ^ (((quadrant + uint64(1)) & uint64(2)) << uint64(62))))
    b = float_of(uint64(bits_of(b) ^ ((quadrant & uint64(2)) << uint64(62))))
    return a, b


@inline
def _truncated64(draw):
    """Quantile of the normal truncated at two stddev, at (k + 2^52 + 1/2) / 2^53 modulo 1.

    k is the upper 53 bits of the 64-bit draw.
    """
    k = draw >> uint64(11)
    negative = k >= uint64(1 << 52)
    a = uint64((1 << 53) - 1) - k if negative else k
    t = _odd64(a) * 2.0**-53
    d = _odd64(uint64((1 << 52) - 1) - a) * 2.0**-53
    r = d * (2.0 - d)
    mantissa, exponent = _split64(SQUARE_64[0] + SQUARE_64[1] * r)
    z = t * horner(_minus_log64(1.0 - mantissa, float64(-exponent)), QUANTILE_64)
    return -z if negative else z


def normal64(address, size, first, c2, c3, k0, k1, mean, stddev):
    out = array_at(address, 0, size)
    for i in range(size // 2):
        w0, w1, w2, w3 = _philox(first + uint64(i), c2, c3, k0, k1)
        r = _radius64(_draw64(w0, w1))
        a, b = _cos_sin64(_draw64(w2, w3))
        out[2 * i] = (r * a) * stddev + mean
        out[2 * i + 1] = (r * b) * stddev + mean


def truncated64(address, size, first, c2, c3, k0, k1, mean, stddev, low, high):
    out = array_at(address, 0, size)
    for i in range(size // 2):
        w0, w1, w2, w3 = _philox(first + uint64(i), c2, c3, k0, k1)
        a, b = _truncated64(_draw64(w0, w1)), _truncated64(_draw64(w2, w3))
        out[2 * i] = _clamp(a * stddev + mean, low, high)
        out[2 * i + 1] = _clamp(b * stddev + mean, low, high)


def uniform64(address, size, first, c2, c3, k0, k1, base, origin, step, low, high):
    out = array_at(address, 0, size)
    for i in range(size // 2):
        w0, w1, w2, w3 = _philox(first + uint64(i), c2, c3, k0, k1)
        for j, k in enumerate((_draw64(w0, w1), _draw64(w2, w3))):
            x = float64(int64(k >> uint64(11)) - origin) * step + base
            out[2 * i + j] = _clamp(x, low, high)


# -- any bounds, in float64 for all dtypes ---------------------------------------------------------


@inline
def _inverse(k, most, law, above, below, log):
    """Value of the draw k, a whole number of 0 .. `most`; see `_reference.inverse`."""
    origin, base, half, low, high, inner, outer, near, slope, anchor, stddev, first, last = law
    t = (2.0 * (k - origin) + 1.0) * half + base
    negative = t < 0.0
    u = -t if negative else t
    j = k if negative else most - k
    left = (2.0 * j + 1.0) * half + (low if negative else high)
    v = u * (outer + inner * u)
    mantissa, exponent = _split64(left * (1.0 + inner * u))
    small = v <= 0.5
    y = _minus_log(v if small else 1.0 - mantissa, 0.0 if small else float64(-exponent), log)
    rise = y * (slope + y * horner(y, above) / horner(y, below))
    d = rise / (near + square_root(near * near + rise))
    return _clamp((-d if negative else d) * stddev + anchor, first, last)


@inline
def _inverse32(w, law, above, below):
    return float32(_inverse(float64(w), 2.0**32 - 1, law, above, below, LOG_WIDE))


def inverse32(address, size, first, c2, c3, k0, k1, numbers):
    out = array_at(address, 0, size)
    law, above, below = (
        floats_at(numbers, 0, 13),
        floats_at(numbers, 13, 6),
        floats_at(numbers, 19, 7),
    )
    for i in range(size // 4):
        w0, w1, w2, w3 = _philox(first + uint64(i), c2, c3, k0, k1)
        store(out, 4 * i, _inverse32(w0, law, above, below))
        store(out, 4 * i + 1, _inverse32(w1, law, above, below))
        store(out, 4 * i + 2, _inverse32(w2, law, above, below))
        store(out, 4 * i + 3, _inverse32(w3, law, above, below))


def inverse64(address, size, first, c2, c3, k0, k1, numbers):
    out = array_at(address, 0, size)
    law, above, below = (
        floats_at(numbers, 0, 13),
        floats_at(numbers, 13, 14),
        floats_at(numbers, 27, 15),
    )
    for i in range(size // 2):
        w0, w1, w2, w3 = _philox(first + uint64(i), c2, c3, k0, k1)
        for j, draw in enumerate((_draw64(w0, w1), _draw64(w2, w3))):
            k = float64(int64(draw >> uint64(11)))
            out[2 * i + j] = _inverse(k, 2.0**53 - 1, law, above, below, LOG_64)
