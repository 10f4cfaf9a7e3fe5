"""Derive the polynomial coefficients of stream version 1.

    python tools/coefficients.py  # prints the tables of initlib/_stream/_coefficients, _ratios.py

All are computed with 60 decimal digits or more (mpmath) and rounded once: Chebyshev approximations,
and the ratios by least squares.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable

import mpmath as mp
import numpy as np

mp.mp.dps = 60
Function = Callable[[mp.mpf], mp.mpf]
TINY = mp.mpf("1e-15")
# Where the ratios for bounds of any kind are fitted: wider than they are used, because near an end
# the slope is less exact.
WINDOWS = ("0", "39.5"), ("1.4", "64.5"), ("24", "400"), ("340", "20000"), ("19000", "1000000")


def log_tail(z: mp.mpf) -> mp.mpf:
    """2 (atanh(s) - s) / s^3 at z = s^2: what -log(1 - v) has beyond 2 s, where s = v / (2 - v)."""
    if z < TINY:
        return mp.mpf(2) / 3 + 2 * z / 5
    s = mp.sqrt(z)
    return 2 * (mp.atanh(s) - s) / s**3


def sine_tail(z: mp.mpf) -> mp.mpf:
    """(sin(pi x / 4) / x - pi / 4) / z at z = x^2."""
    q = mp.pi / 4
    if z < TINY:
        return -(q**3) / 6 + q**5 / 120 * z
    return (mp.sin(q * mp.sqrt(z)) / mp.sqrt(z) - q) / z


def cosine_tail(z: mp.mpf) -> mp.mpf:
    """(cos(pi x / 4) - 1) / z at z = x^2."""
    q = mp.pi / 4
    if z < TINY:
        return -(q**2) / 2 + q**4 / 24 * z
    return (mp.cos(q * mp.sqrt(z)) - 1) / z


def truncated_ratio(y: mp.mpf) -> mp.mpf:
    """Z / t at y = -ln(1 - x^2), x = erf(sqrt(2)) t.

    Z is the quantile of the normal truncated at two stddev and t in (-1, 1) twice its probability
    less one: Z = sqrt(2) erfinv(x). That Z / x is smooth in y was observed by Giles ("Approximating
    the erfinv function", GPU Computing Gems, 2011).
    """
    c = mp.erf(mp.sqrt(2))
    if y < TINY:
        return c * mp.sqrt(mp.pi / 2) * (1 + mp.pi / 12 * y)
    x = mp.sqrt(1 - mp.exp(-y))
    return c * mp.sqrt(2) * mp.erfinv(x) / x


def square_over_log(w: mp.mpf) -> mp.mpf:
    """z^2 / w, where erf(z / sqrt(2))^2 = 1 - exp(-w): by Newton's method."""
    z = mp.sqrt(2 * w - mp.log(w) if w > 3 else mp.pi / 2 * w)
    while True:
        p, q = mp.erf(z / mp.sqrt(2)), mp.erfc(z / mp.sqrt(2))
        slope = 2 * p * mp.sqrt(2 / mp.pi) * mp.exp(-(z**2) / 2) / (q * (1 + p))
        step = (mp.log(q) + mp.log1p(p) + w) / slope
        z += step
        if abs(step) < z * mp.mpf(10) ** (10 - mp.mp.dps):
            return z**2 / w


def rational(f: Function, begin: mp.mpf, end: mp.mpf, degree: int) -> tuple[list[mp.mpf], ...]:
    """Fit a ratio of two polynomials to f on [begin, end]; the denominator ends in 1.

    Least squares of the relative error, made linear by the last round's denominator (Sanathanan &
    Koerner, "Transfer function synthesis as a ratio of two complex polynomials", 1963).
    """
    count, scale = 4 * degree + 2, mp.log((end + 3) / (begin + 3)) / 2
    turns = [1 + mp.cospi((2 * i + mp.mpf(1)) / (2 * count)) for i in range(count)]
    points = [(begin + 3) * mp.exp(scale * turn) - 3 for turn in turns]
    values = [f(w) for w in points]
    below = [mp.mpf(1)]
    for _ in range(4):
        rows, right = [], []
        for w, value in zip(points, values, strict=True):
            weight = 1 / mp.polyval(below[::-1], w, asc=True)
            powers = [weight * (w / end) ** i for i in range(degree, -1, -1)]
            rows.append([power / value for power in powers] + [-power for power in powers[:-1]])
            right.append(weight)
        found = list(mp.lu_solve(mp.matrix(rows), mp.matrix(right)))
        units = [end**-i for i in range(degree, -1, -1)]
        above = [c * unit for c, unit in zip(found[: degree + 1], units, strict=True)]
        below = [c * u for c, u in zip(found[degree + 1 :], units[:-1], strict=True)] + [mp.mpf(1)]
    return above, below


def chebyshev(f: Function, end: mp.mpf, degree: int) -> list[mp.mpf]:
    """Fit a polynomial on [0, end]; coefficients from the lowest."""
    return list(mp.chebyfit(f, [0, end], degree + 1, asc=True))


def split(value: mp.mpf, bits: int) -> tuple[mp.mpf, mp.mpf]:
    """Split into a part of `bits` bits, whose small multiples are exact, and the rest."""
    scale = mp.mpf(2) ** (bits - 1 - mp.floor(mp.log(value, 2)))
    high = mp.nint(value * scale) / scale
    return high, value - high


def tables(dtype: type[np.floating]) -> dict[str, list[mp.mpf]]:
    """All coefficients of one precision, highest degree first, as Horner's rule takes them."""
    single = dtype is np.float32
    ninth = mp.mpf(1) / 9
    square = mp.erf(mp.sqrt(2)) ** 2
    quarter = mp.mpf(float(dtype(mp.pi / 4)))
    return {
        "LN2": list(split(mp.ln(2), 12 if single else 42)),
        "LOG": chebyshev(log_tail, ninth, 4 if single else 10)[::-1],
        "QUARTER_PI": [quarter, mp.pi / 4 - quarter],
        "SIN": chebyshev(sine_tail, mp.mpf(1), 3 if single else 6)[::-1],
        "COS": chebyshev(cosine_tail, mp.mpf(1), 3 if single else 7)[::-1],
        "SQUARE": [1 - square, square],
        "QUANTILE": chebyshev(truncated_ratio, -mp.ln(1 - square), 7 if single else 15)[::-1],
    }


def windows(single: bool) -> list[tuple[list[mp.mpf], ...]]:
    """Numerator and denominator for each window of w, highest degree first."""
    with mp.workdps(80):
        return [
            rational(square_over_log, mp.mpf(begin), mp.mpf(end), 6 if single else 14)
            for begin, end in WINDOWS
        ]


def main() -> None:
    for dtype, suffix in ((np.float32, "32"), (np.float64, "64")):
        for name, values in tables(dtype).items():
            print(f"{name}_{suffix} = _{dtype.__name__}(")
            for value in values:
                # One rounding: by way of float64 a float32 could be rounded twice.
                with mp.workprec(24 if dtype is np.float32 else 53):
                    print(f'    "{float(+value).hex()}",')
            print(")")
    for suffix in ("32", "64"):
        print(f"RATIOS_{suffix} = _ratios(")
        for polynomials in windows(suffix == "32"):
            for values in polynomials:
                with mp.workprec(53):
                    numbers = " ".join(float(+value).hex() for value in values)
                print(textwrap.indent('"""\n' + textwrap.fill(numbers, 96) + '\n""",', "    "))
        print(")")


if __name__ == "__main__":
    main()
