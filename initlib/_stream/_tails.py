"""What the normal truncated at any bounds computes with: probabilities of tails, exactly rounded.

In decimal and rational arithmetic, which are the same on every machine, with far more digits than
the binary64 numbers that come of them. With P(z) = erf(z / sqrt 2) and Q(z) = 1 - P(z), a draw k of
n bits stands for the probability (k + 1/2) / 2^n of what is inside the bounds.
"""

from __future__ import annotations

import decimal
from bisect import bisect_right
from decimal import Decimal
from fractions import Fraction

from initlib._stream._ratios import WINDOWS, Ratio

_CONTEXT = decimal.Context(
    prec=110, rounding=decimal.ROUND_HALF_EVEN, Emin=decimal.MIN_EMIN, Emax=decimal.MAX_EMAX
)
_PI = Decimal(
    "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534"
    "211706798214808651328230664709384460955"
)
# From here on Laplace's continued fraction is quicker than the series.
_FAR = 12


def beyond(z: Fraction) -> Decimal:
    """Return Q(z) for z >= 0, the probability that a normal is more than z stddev from its mean."""
    x = Decimal(z.numerator) / Decimal(z.denominator)
    density = (2 / _PI).sqrt() * (-x * x / 2).exp()
    if z < _FAR:
        term = total = x
        divisor = 1
        while term > total.scaleb(-_CONTEXT.prec):
            divisor += 2
            term = term * x * x / divisor
            total += term
        return 1 - density * total
    fraction = x
    for i in range(100, 0, -1):
        fraction = x + i / fraction
    return density / fraction


def constants(
    alpha: Fraction, beta: Fraction, bits: int, ratios: tuple[Ratio, ...]
) -> tuple[list[float], list[float]]:
    """Return the numbers of a truncation between alpha and beta stddev from the mean.

    Args:
        alpha: the lower bound.
        beta: the upper one, above alpha.
        bits: of a draw.
        ratios: the tables for draws of so many bits.

    Returns:
        origin, base, half, low, high, inner, outer, near and slope, as docs/stream.md has them, and
        the coefficients of both polynomials.
    """
    with decimal.localcontext(_CONTEXT):
        count = 1 << bits
        if alpha < 0 < beta:
            numbers = _both_sides(beyond(-alpha), beyond(beta), count)
            near, inner, w = Fraction(0), Decimal(1), 0.0
        else:
            near, far = sorted((abs(alpha), abs(beta)))
            tail = beyond(near)
            rest = beyond(far) / tail
            origin = Decimal(count if beta <= 0 else 0)
            numbers = [origin, Decimal(0), (1 - rest) / count / 2, rest, rest]
            inner, w = tail / (2 - tail), -float((tail * (2 - tail)).ln())
        numbers += [inner, 1 - inner]
    slope, polynomials = _rise(w, ratios)
    return [*map(float, numbers), float(near), slope], polynomials


def _both_sides(lower: Decimal, upper: Decimal, count: int) -> list[Decimal]:
    """Return origin, base, half, low and high where the mean is between the bounds.

    Args:
        lower: Q of the lower bound.
        upper: Q of the upper bound.
        count: how many draws there are.
    """
    step, first = (2 - lower - upper) / count, lower - 1
    origin = (-first / step).to_integral_value()
    return [origin, first + origin * step, step / 2, lower, upper]


def _rise(w: float, ratios: tuple[Ratio, ...]) -> tuple[float, list[float]]:
    """Return what tells how z^2 grows from w to w + y: y (slope + y E(y) / D(y)).

    Where z^2 is w A(w) / B(w), that is ((w + y) A(w + y) - z^2 B(w + y)) / B(w + y). The quotients
    by y are exact, in rational numbers.

    Returns:
        The slope, and the coefficients of E and D.
    """
    above, below = ratios[bisect_right(WINDOWS, w)]
    top = _shifted([*map(Fraction, above), Fraction(0)], Fraction(w))
    bottom = _shifted([*map(Fraction, below)], Fraction(w))
    unit, square = bottom[-1], top[-1] / bottom[-1]
    rise = [top[0], *(c - square * d for c, d in zip(top[1:-1], bottom[:-1], strict=True))]
    slope = rise[-1] / unit
    rest = [c - slope * d for c, d in zip(rise[:-1], bottom[:-1], strict=True)]
    return float(slope), [float(c / unit) for c in (*rest, *bottom)]


def _shifted(polynomial: list[Fraction], start: Fraction) -> list[Fraction]:
    """Return the coefficients of p(start + y) in y, highest degree first, by Horner's rule."""
    coefficients = list(polynomial)
    for end in range(len(coefficients), 1, -1):
        for i in range(1, end):
            coefficients[i] += start * coefficients[i - 1]
    return coefficients
