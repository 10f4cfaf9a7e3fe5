"""docs/stream.md, implemented from its text alone, makes the same bits as initlib.

Slow plain Python that shares no code with the library: the coefficients are read from the page's
tables, binary32 is emulated by rounding each binary64 result (for + - * / sqrt the double rounding
is harmless: Figueroa, "When is double rounding innocuous?", 1995), dtypes are rounded to by exact
fractions.
"""

import hashlib
import math
import re
import struct
from fractions import Fraction
from functools import cache
from pathlib import Path

import ml_dtypes
import mpmath as mp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from initlib._dtypes import FLOATS
from initlib._stream import Normal, Stream, Truncated, TruncatedNormal, Uniform

PAGE = (Path(__file__).parents[2] / "docs" / "stream.md").read_text()
MASK = 0xFFFFFFFF

# dtype: stored mantissa bits, exponent of the smallest normal number
FORMATS = {
    "float64": (52, -1022),
    "float32": (23, -126),
    "float16": (10, -14),
    "bfloat16": (7, -126),
    "float8_e4m3fn": (3, -6),
    "float8_e5m2": (2, -14),
}


def read_tables(heading):
    """The coefficients that the page lists below `binary32:` or the like."""
    block = re.search(rf"\n{heading}:\n\n((?:    .*\n)+)", PAGE).group(1)
    entries = re.findall(r"^    ([A-Z0-9_]+) = ((?:.*\n)(?:        .*\n)*)", block, re.MULTILINE)
    return {name: [float.fromhex(x) for x in text.split(",")] for name, text in entries}


TABLES = {32: read_tables("binary32"), 53: read_tables("binary64")}
POLYNOMIALS = {n: read_tables(f"n = {n}") for n in TABLES}


def test_the_page_has_all_tables():
    names = {"LN2", "LOG", "QUARTER_PI", "SIN", "COS", "SQUARE", "QUANTILE"}
    assert set(TABLES[32]) == set(TABLES[53]) == names
    names = {f"{name}_{i}" for name in ("ABOVE", "BELOW") for i in range(5)}
    assert set(POLYNOMIALS[32]) == set(POLYNOMIALS[53]) == names


def stream_id(purpose, seed, draw, name):
    message = struct.pack("<BQQ", purpose, seed, draw) + name.encode()
    digest = hashlib.blake2b(message, digest_size=16, person=b"initgen-stream-1").digest()
    return struct.unpack("<4I", digest)


def philox(block, ids):
    k0, k1, c2, c3 = ids
    c0, c1 = block & MASK, block >> 32
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & MASK, (p0 >> 32) ^ c3 ^ k1, p0 & MASK
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return c0, c1, c2, c3


class Arithmetic:
    """The page's functions for one precision."""

    def __init__(self, n):
        self.n, self.t = n, TABLES[n]

    def f(self, x):
        return struct.unpack("<f", struct.pack("<f", x))[0] if self.n == 32 else float(x)

    def horner(self, x, table):
        y = table[0]
        for c in table[1:]:
            y = self.f(self.f(y * x) + c)
        return y

    def odd(self, i):
        return self.f(2 * i + 1)

    def minus_log(self, v, e):
        f, t = self.f, self.t
        s = f(v / f(2 - v))
        z = f(s * s)
        tail = f(v + f(s * f(v + f(z * self.horner(z, t["LOG"])))))
        return f(f(e * t["LN2"][0]) + f(tail + f(e * t["LN2"][1])))

    def radius(self, k):
        n = self.n
        if k < 2 ** (n - 1):
            m, e = math.frexp(self.odd(k))
            y = self.minus_log(self.f(1 - m), n + 1 - e)
        else:
            y = self.minus_log(self.f(self.odd(2**n - 1 - k) * 2.0 ** -(n + 1)), 0)
        return self.f(math.sqrt(self.f(y + y)))

    def cos_sin(self, k):
        f, t = self.f, self.t
        b = 26 if self.n == 32 else 53
        a = k // 2 ** (self.n - b)
        q = (a + 2 ** (b - 3)) // 2 ** (b - 2)
        x = f(self.odd(a - q * 2 ** (b - 2)) * 2.0 ** (2 - b))
        z = f(x * x)
        s = f(x * f(t["QUARTER_PI"][0] + f(f(z * self.horner(z, t["SIN"])) + t["QUARTER_PI"][1])))
        c = f(1 + f(z * self.horner(z, t["COS"])))
        return [(c, s), (-s, c), (-c, -s), (s, -c), (c, s)][q]

    def quantile(self, k):
        f, n, t = self.f, self.n, self.t
        positive = k < 2 ** (n - 1)
        a = k if positive else 2**n - 1 - k
        u = f(self.odd(a) * 2.0**-n)
        d = f(self.odd(2 ** (n - 1) - 1 - a) * 2.0**-n)
        r = f(d * f(2 - d))
        m, e = math.frexp(f(t["SQUARE"][0] + f(t["SQUARE"][1] * r)))
        z = f(u * self.horner(self.minus_log(f(1 - m), -e), t["QUANTILE"]))
        return z if positive else -z


def q(z):
    """erfc(z / sqrt(2)) of a fraction; beyond a million nothing is left."""
    return mp.mpf(0) if z > 10**6 else mp.erfc(mp.mpf(z.numerator) / z.denominator / mp.sqrt(2))


def plus(a, b):
    return [x + y for x, y in zip(a, b, strict=True)]


def from_there(polynomial, w):
    """p(w + y) as a polynomial in y, from the lowest degree, by the binomial theorem."""
    out = [Fraction(0)] * len(polynomial)
    for i, c in enumerate(reversed(polynomial)):
        for j in range(i + 1):
            out[j] += Fraction(c) * math.comb(i, j) * w ** (i - j)
    return out


def growth(w, n):
    """slope, E and D of the page, from the highest degree."""
    window = sum(w >= begin for begin in (1.5, 26, 360, 19900))
    w = Fraction(w)
    a, b = (POLYNOMIALS[n][f"{name}_{window}"] for name in ("ABOVE", "BELOW"))
    a, b = from_there([*a, 0], w), from_there(b, w)
    d = [c / b[0] for c in b]
    c = plus([x / b[0] for x in a], [-a[0] / b[0] * x for x in (*d, 0)])
    assert c[0] == 0
    c = c[1:]
    e = plus(c, [-c[0] * x for x in d])
    return float(c[0]), [float(x) for x in e[:0:-1]], [float(x) for x in d[::-1]]


@cache
def numbers_between(alpha, beta, n):
    """The page's numbers of a normal between two bounds."""
    with mp.workdps(150):
        nu, count = Fraction(0), 2**n
        if alpha < 0 < beta:
            s = (2 - q(-alpha) - q(beta)) / count
            origin = int(mp.nint((1 - q(-alpha)) / s))
            row = [s / 2, q(-alpha) - 1 + s * origin, q(-alpha), q(beta), mp.mpf(1), mp.mpf(0)]
            w = mp.mpf(0)
        else:
            nu = min(abs(alpha), abs(beta))
            rho = q(max(-alpha, beta)) / q(nu)
            origin = 0 if alpha >= 0 else count
            kappa = q(nu) / (2 - q(nu))
            row = [(1 - rho) / 2 / count, mp.mpf(0), rho, rho, kappa, 1 - kappa]
            w = -mp.log(q(nu) * (2 - q(nu)))
        return origin, [float(x) for x in row], float(nu), growth(float(w), n)


def between(k, mean, stddev, low, high, n):
    """The draw k of the normal between two bounds, before it is clamped and rounded."""
    double, t = Arithmetic(53), TABLES[n]["LOG"]
    double.t = {**TABLES[53], "LOG": t}
    alpha, beta = standard(mean, stddev, low, high)
    origin, (half, base, below, above, inner, outer), near, (slope, e, d) = numbers_between(
        alpha, beta, n
    )
    x = double.odd(k - origin) * half + base
    u = abs(x)
    left = double.odd(k) * half + below if x < 0 else double.odd(2**n - 1 - k) * half + above
    v = u * (outer + inner * u)
    if v <= 0.5:
        y = double.minus_log(v, 0)
    else:
        m, exponent = math.frexp(left * (1 + inner * u))
        y = double.minus_log(1 - m, -exponent)
    rise = y * (slope + y * double.horner(y, e) / double.horner(y, d))
    z = rise / (near + math.sqrt(near * near + rise))
    anchor = mean if alpha < 0 < beta else low if alpha >= 0 else high
    return (-z if x < 0 else z) * stddev + anchor


def exact(bound):
    """A bound as a fraction; what is far beyond the float64 numbers stands for infinity."""
    return (
        Fraction(bound) if math.isfinite(bound) else Fraction(int(math.copysign(1, bound)) << 1200)
    )


def standard(mean, stddev, *bounds):
    """Alpha and beta."""
    return [(exact(bound) - Fraction(mean)) / Fraction(stddev) for bound in bounds]


def step_at(x, dtype):
    """The distance between neighbours of `dtype` at the exact number x."""
    mantissa, smallest = FORMATS[dtype]
    exponent = smallest
    if abs(x) >= Fraction(2) ** smallest:
        exponent = abs(x.numerator).bit_length() - x.denominator.bit_length()
        exponent -= Fraction(2) ** exponent > abs(x)
    return Fraction(2) ** (exponent - mantissa)


def to_dtype(x, dtype):
    step = step_at(Fraction(x), dtype)
    return math.copysign(float(round(Fraction(x) / step) * step), x)


def clamp(x, first, last):
    y = first if x <= first else x
    return last if y >= last else y


def inside(low, high, dtype, open_end):
    """The smallest and the largest number of `dtype` in the support."""
    if low == high:
        return to_dtype(float(low), dtype), to_dtype(float(high), dtype)
    step = step_at(low, dtype)
    first = math.ceil(low / step) * step
    step = step_at(high, dtype)
    last = math.floor(high / step) * step
    if open_end and last == high:
        # Below a power of two neighbours are closer.
        step = step_at(high - step / 4, dtype)
        last = (math.ceil(high / step) - 1) * step
    return math.copysign(first, low), float(last)


LARGEST = {
    name: float(np.asarray(ml_dtypes.finfo(dtype).max, np.float64))
    for name, dtype in FLOATS.items()
}


def element_between(i, mean, stddev, low, high, dtype, ids):
    """Element i of the stream of a normal between two bounds, whoever makes it."""
    n = 53 if dtype == "float64" else 32
    if low == high:
        return element(i, "truncated", low, 0.0, dtype, ids)
    largest = Fraction(LARGEST[dtype])
    held = [max(-largest, min(exact(x), largest)) for x in (low, high)]
    first, last = inside(*held, dtype, False)
    if stddev == 0:
        return max(first, min(to_dtype(mean, dtype), last))
    alpha, beta = standard(mean, stddev, low, high)
    if (alpha, beta) == (-2, 2):
        return element(i, "truncated", mean, stddev, dtype, ids)
    reach = 7 if n == 32 else 9
    f = Arithmetic(n).f
    m, s = Fraction(f(mean)), reach * Fraction(f(stddev))
    if first <= m - s and m + s <= last:
        return element(i, "normal", mean, stddev, dtype, ids)
    nu = 0 if alpha < 0 < beta else min(abs(alpha), abs(beta))
    if max(alpha**2, beta**2) - nu**2 <= Fraction(1, 2**60):
        return element(i, "uniform", low, high, dtype, ids, (first, last))
    x = between(draw(i, n, ids), mean, stddev, low, high, n)
    return to_dtype(f(clamp(x, first, last)), dtype)


def draw(i, n, ids):
    if n == 32:
        return philox(i // 4, ids)[i % 4]
    words = philox(i // 2, ids)[2 * (i % 2) :]
    return (words[0] + (words[1] << 32)) >> 11


def element(i, transform, a, b, dtype, ids, bounds=None):
    """Element i of a stream; a, b: mean and stddev, or low and high; bounds: first and last."""
    n = 53 if dtype == "float64" else 32
    m = Arithmetic(n)
    f = m.f
    if transform == "normal":
        r = m.radius(draw(i - i % 2, n, ids))
        x = f(f(f(r * m.cos_sin(draw(i - i % 2 + 1, n, ids))[i % 2]) * f(b)) + f(a))
        return to_dtype(x, dtype)
    if transform == "truncated":
        first, last = inside(
            Fraction(a) - 2 * Fraction(b), Fraction(a) + 2 * Fraction(b), dtype, False
        )
        x = f(f(m.quantile(draw(i, n, ids)) * f(b)) + f(a))
    else:
        points = 2**24 if n == 32 else 2**53
        low, high = Fraction(a), Fraction(b)
        first, last = bounds or inside(low, high, dtype, True)
        step = (high - low) / points
        if low > 0 or low == high:
            base, origin = a, 0
        elif high < 0:
            base, origin = b, points
        else:
            base, origin = 0.0, round(-low / step)
        k = draw(i, n, ids) >> 8 if n == 32 else draw(i, n, ids)
        x = f(f((k - origin) * f(float(step))) + f(base))
    return to_dtype(clamp(x, first, last), dtype)


DISTRIBUTIONS = {"normal": Normal, "truncated": TruncatedNormal, "uniform": Uniform}
STARTS = st.one_of(st.integers(0, 100), st.integers(2**34 - 9, 2**34 + 9), st.integers(0, 2**62))


def check(transform, a, b, dtype, seed, name, start, count):
    out = np.empty(count, FLOATS[dtype])
    DISTRIBUTIONS[transform](a, b).fill(out, start, Stream.named(seed, name))
    ids = stream_id(0, seed, 0, name)
    expected = [element(start + i, transform, a, b, dtype, ids) for i in range(count)]
    assert [x.hex() for x in out.astype(np.float64).tolist()] == [float(x).hex() for x in expected]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("transform", DISTRIBUTIONS)
def test_many_values(transform, dtype):
    check(transform, -0.75, 1.25, dtype, 42, "dense/kernel", 1, 999)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("low", "high"), [(-1e-5, 1.0), (-1.0, 1e-5), (-1e-320, 1e-320)])
def test_bounds_that_round_to_zero(low, high, dtype):
    check("uniform", low, high, dtype, 42, "dense/kernel", 0, 99)
    middle, stddev = (low + high) / 2, (high - low) / 4
    check("truncated", middle, stddev, dtype, 42, "dense/kernel", 0, 99)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("transform", DISTRIBUTIONS)
@settings(max_examples=100)
@given(
    a=st.floats(-8, 8, width=32),
    b=st.floats(0.0625, 8, width=32),
    seed=st.integers(0, 2**64 - 1),
    name=st.text(st.characters(codec="utf-8"), max_size=20),
    start=STARTS,
    count=st.integers(1, 9),
)
def test_any_values(transform, dtype, a, b, seed, name, start, count):
    if transform == "uniform":
        b = a + b
    if transform != "normal":
        # A narrow support between two neighbours of a narrow dtype is refused: tested elsewhere.
        ends = (a, b) if transform == "uniform" else (a - 2 * b, a + 2 * b)
        first, last = inside(*map(Fraction, ends), dtype, transform == "uniform")
        assume(first <= last)
    check(transform, a, b, dtype, seed, name, start, count)


def check_between(law, dtype, seed, name, start, count):
    out = np.empty(count, FLOATS[dtype])
    Truncated(*law).fill(out, start, Stream.named(seed, name))
    ids = stream_id(0, seed, 0, name)
    expected = [element_between(start + i, *law, dtype, ids) for i in range(count)]
    assert [x.hex() for x in out.astype(np.float64).tolist()] == [float(x).hex() for x in expected]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "law",
    [
        (0.0, 1.0, -1.0, 3.0),
        (0.25, 0.5, 0.25, math.inf),
        (0.25, 0.5, -1.0, 0.25),
        (0.0, 0.5, -math.inf, -1.0),
        (-30.0, 1.0, 0.0, 1.0),
        (1000.0, 1.0, -1.0, 0.0),
        (2.0, 0.25, 3.5, 8.0),
        # In a narrow dtype the lowest value is a zero, with a sign.
        (-2.0, 2.0**-7, -1e-5, 1.0),
        # Other laws make these.
        (0.0, 0.25, -0.5, 0.5),
        (0.0, 0.02, -2.0, 2.0),
        (0.0, 1e10, -1.0, 4.0),
        (0.3, 0.0, 0.0, 1.0),
        (7.0, 1.0, 0.5, 0.5),
    ],
)
def test_between_bounds(law, dtype):
    check_between(law, dtype, 42, "dense/kernel", 1, 99)


@pytest.mark.parametrize("dtype", FLOATS)
@settings(max_examples=100)
@given(
    mean=st.floats(-8, 8, width=32),
    stddev=st.floats(2.0**-8, 8, width=32),
    low=st.floats(-8, 8, width=32),
    width=st.floats(2.0**-8, 8, width=32),
    seed=st.integers(0, 2**64 - 1),
    start=STARTS,
    count=st.integers(1, 5),
)
def test_between_any_bounds(dtype, mean, stddev, low, width, seed, start, count):
    alpha, beta = standard(mean, stddev, low, low + width)
    assume(low < low + width)
    assume(alpha <= 1400 and beta >= -1400)
    first, last = inside(Fraction(low), Fraction(low + width), dtype, False)
    assume(first <= last)
    check_between((mean, stddev, low, low + width), dtype, seed, "any", start, count)


@given(
    seed=st.integers(0, 2**64 - 1),
    draw=st.integers(0, 2**64 - 1),
    name=st.text(st.characters(codec="utf-8")),
)
def test_stream_id(seed, draw, name):
    named, seeded = Stream.named(seed, name, draw), Stream.seeded(seed, draw)
    assert (*named.key, *named.high) == stream_id(0, seed, draw, name)
    assert (*seeded.key, *seeded.high) == stream_id(1, seed, draw, "")


def test_the_page_s_own_vectors():
    rows = re.findall(
        r"^\| (seed 42|init)[^|]*\| (\w+)[^|]*\| ((?:`\w{8}` ?){4})", PAGE, re.MULTILINE
    )
    assert len(rows) == 6
    parameters = {"normal": (0.0, 1.0), "truncated": (0.0, 1.0), "uniform": (-0.5, 0.5)}
    for whose, transform, values in rows:
        named = whose == "seed 42"
        ids = stream_id(0, 42, 0, "dense/kernel") if named else stream_id(1, 7, 0, "")
        made = [element(i, transform, *parameters[transform], "float32", ids) for i in range(4)]
        assert struct.pack(">4f", *made).hex() == "".join(re.findall(r"\w+", values))
