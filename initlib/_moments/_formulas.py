"""Sums of powers of distances from a mean: how two of them become one.

Plain arithmetic on floats, one rounding an operation, that Python runs and Numba compiles: the
reference and the kernels agree because they share it. From Pébay, "Formulas for robust,
one-pass parallel computation of covariances and arbitrary-order statistical moments", 2008.
"""

from __future__ import annotations

# Count of values, their mean as the sum of two floats, and the sums of squares, cubes and
# fourth powers of their distances from it. A mean in one float alone would shift what is near 1e8
# by 1e-8, which shows in the skewness of values whose deviation is 1e-3.
Powers = tuple[float, float, float, float, float, float]

NONE: Powers = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def corrected(count: float, guess: float, s1: float, s2: float, s3: float, s4: float) -> Powers:
    """Return the powers of values whose distances from a guess of their mean have these sums.

    Args:
        count: of values, at least 1.
        guess: what they were measured from.
        s1: sum of the distances, nearly 0.
        s2: sum of their squares.
        s3: sum of their cubes.
        s4: sum of their fourth powers.
    """
    r = s1 / count
    square = count * r * r
    m2 = s2 - square
    m4 = s4 - 4.0 * r * s3 + 6.0 * r * r * s2 - 3.0 * r * r * square
    return (
        count,
        guess,
        r,
        # The root of a rounding error below 0 would be no number; NaN stays.
        0.0 if m2 < 0.0 else m2,
        s3 - 3.0 * r * s2 + 2.0 * r * square,
        0.0 if m4 < 0.0 else m4,
    )


def combined(a: Powers, b: Powers) -> Powers:
    """Return the powers of the values of both."""
    if a[0] == 0.0:
        return b
    if b[0] == 0.0:
        return a
    count_a, mean_a, rest_a, a2, a3, a4 = a
    count_b, mean_b, rest_b, b2, b3, b4 = b
    count = count_a + count_b
    p, q = count_a / count, count_b / count
    d = (mean_b - mean_a) + (rest_b - rest_a)
    # Knuth's exact sum: `rest` is what rounding takes from `mean`.
    step = rest_a + d * q
    mean = mean_a + step
    taken = mean - mean_a
    rest = (mean_a - (mean - taken)) + (step - taken)
    square = d * d
    between = square * count_a * q
    return (
        count,
        mean,
        rest,
        a2 + b2 + between,
        a3 + b3 + between * d * (p - q) + 3.0 * d * (p * b2 - q * a2),
        a4
        + b4
        + between * square * (p * p - p * q + q * q)
        + 6.0 * square * (p * p * b2 + q * q * a2)
        + 4.0 * d * (p * b3 - q * a3),
    )
