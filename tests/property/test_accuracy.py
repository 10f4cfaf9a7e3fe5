"""Transforms stay within 4 ulp of their formula's exact value.

For float32 `tools/exhaustive.py` tries all 2^32 words; here it looks at one in 4,099. For float64
random draws and the hardest ones (near 0 and 1, around a half, at quarter turns) are compared with
mpmath.
"""

import importlib.util
import math
import re
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest

from initlib._dtypes import FLOATS
from initlib._stream import Truncated, _coefficients
from initlib._stream import _reference as reference
from initlib._stream._ratios import RATIOS_32, RATIOS_64
from initlib._stream._reference import DOUBLE, SINGLE

TOOLS = Path(__file__).parents[2] / "tools"
LIMIT = 4.0


def load(tool):
    spec = importlib.util.spec_from_file_location(tool, TOOLS / f"{tool}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_single_precision_over_a_sample_of_all_words():
    worst, words = load("exhaustive").survey(4099)
    assert words == 1_047_809
    assert set(worst) == {"radius", "cos", "sin", "truncated", "normal (bound)"}
    # Every figure is between half an ulp, which rounding alone costs, and the promise.
    assert all(0.5 <= error <= LIMIT for error in worst.values()), worst


@pytest.fixture(scope="module")
def draws():
    edges = [0, 1 << 51, 1 << 52, 3 << 51, 1 << 53]
    near = [edge + offset for edge in edges for offset in range(-40, 40)]
    near += [(1 << i) + offset for i in range(8, 53) for offset in (-1, 0, 1)]
    random = np.random.default_rng(1).integers(0, 1 << 53, 2000).tolist()
    return np.array([d for d in near + random if 0 <= d < 1 << 53], np.int64)


def exact_radius(k):
    return mp.sqrt(-2 * mp.log((mp.mpf(k) + 0.5) / 2**53))


def exact_cos(k):
    return mp.cospi((mp.mpf(k) + 0.5) / 2**52)


def exact_sin(k):
    return mp.sinpi((mp.mpf(k) + 0.5) / 2**52)


def exact_truncated(k):
    signed = mp.mpf(k if k < 1 << 52 else k - (1 << 53)) + 0.5
    return mp.sqrt(2) * mp.erfinv(mp.erf(mp.sqrt(2)) * signed / 2**52)


@pytest.mark.parametrize(
    ("made", "exact"),
    [
        (lambda k: reference.radius(k, DOUBLE), exact_radius),
        (lambda k: reference.cos_sin(k, DOUBLE)[0], exact_cos),
        (lambda k: reference.cos_sin(k, DOUBLE)[1], exact_sin),
        (lambda k: reference.truncated_quantile(k, DOUBLE), exact_truncated),
    ],
    ids=["radius", "cos", "sin", "truncated"],
)
def test_double_precision(draws, made, exact):
    with mp.workdps(40):
        errors = [
            abs(mp.mpf(float(value)) - exact(k)) / float(np.spacing(abs(value)))
            for k, value in zip(draws.tolist(), made(draws), strict=True)
        ]
    assert max(errors) <= LIMIT / 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_coefficients_are_what_the_tool_derives(dtype):
    tool = load("coefficients")
    bits = np.dtype(dtype).itemsize * 8
    tables = tool.tables(dtype)
    frozen = {
        name.removesuffix(f"_{bits}"): values
        for name, values in vars(_coefficients).items()
        if re.fullmatch(rf"[A-Z0-9_]+_{bits}", name)
    }
    assert set(tables) == set(frozen)
    for name, values in frozen.items():
        assert_rounded(values, tables[name])


def assert_rounded(values, exact):
    for value, number in zip(values, exact, strict=True):
        # To the nearest: half a unit in the last place.
        assert abs(mp.mpf(float(value)) - number) <= float(np.spacing(abs(value))) / 2


@pytest.mark.parametrize("ratios", [RATIOS_32, RATIOS_64], ids=["32", "64"])
def test_ratios_are_what_the_tool_derives(ratios):
    derived = load("coefficients").windows(ratios is RATIOS_32)
    for frozen, exact in zip(ratios, derived, strict=True):
        for values, numbers in zip(frozen, exact, strict=True):
            assert_rounded(values, numbers)


def log_tail(z):
    return mp.log(mp.erfc(z / mp.sqrt(2)))


def exact_distance(alpha, beta, k, bits):
    """How far the quantile of a draw is from the anchor, in stddev: by Newton's method."""
    if beta <= 0:
        return -exact_distance(-beta, -alpha, 2**bits - 1 - k, bits)
    share = (mp.mpf(k) + 0.5) / 2**bits
    anchor, tails = max(alpha, mp.mpf(0)), [mp.erfc(b / mp.sqrt(2)) for b in (alpha, beta)]
    tail = tails[0] - (tails[0] - tails[1]) * share
    sign = 1
    if tail > 1:
        # Below the mean, of the tail on that side.
        sign, tail = -1, (2 - tails[0]) + (tails[0] - tails[1]) * share
    if alpha < 0 and tail > 0.5:
        return sign * mp.sqrt(2) * mp.erfinv(1 - tail)
    z, wanted = anchor, mp.log(tail)
    while True:
        # d ln Q / dz
        slope = -mp.sqrt(2 / mp.pi) * mp.exp(-z * z / 2 - log_tail(z))
        step = (wanted - log_tail(z)) / slope
        z += step
        if abs(step) <= mp.mpf(10) ** -30 * (z - anchor):
            return sign * (z - anchor)


BOUNDS = [
    (-1, 3),
    (-0.5, 8),
    (-1e-3, 5),
    (-8.5, 8.5),
    (-1e-5, 1e-5),
    (0, math.inf),
    (-math.inf, 0.3),
    (0.1, 0.2),
    (1, 1.0001),
    (-2.4, -0.9),
    (1.2, 40),
    (5, 6),
    (6.9, 8),
    (26.8, 30),
    (30, 31),
    (-31, -30),
    (200, math.inf),
    (1000, 1001),
    (1400, 1500),
    (2.0, 2 + 1e-14),
]


@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
def test_between_bounds(bounds):
    law = Truncated(0.0, 1.0, *bounds)
    for dtype, precision, from_anchor in (("float32", SINGLE, 0.75), ("float64", DOUBLE, 8.0)):
        transform, (*_, numbers) = law.recipe(FLOATS[dtype])
        if transform != "inverse":
            continue
        numbers, bits = numbers.copy(), precision.draw_bits
        # Distances from the anchor, not clamped: what scaling and a mean would add is known.
        numbers[9:13] = 0, 1, -np.inf, np.inf
        edges = [0, 1 << (bits - 2), 1 << (bits - 1), 3 << (bits - 2), 1 << bits]
        draws = {edge + offset for edge in edges for offset in range(-4, 4)}
        draws |= {(1 << i) - 1 for i in range(bits)}
        draws |= {(1 << bits) - (1 << i) for i in range(bits)}
        draws |= set(np.random.default_rng(2).integers(0, 1 << bits, 100).tolist())
        k = np.array(sorted(d for d in draws if 0 <= d < 1 << bits), np.int64)
        made = reference.inverse(k, precision, numbers)
        alpha, beta = map(mp.mpf, bounds)
        near = max(alpha, -beta, 0)
        with mp.workdps(60):
            for draw, value in zip(k.tolist(), made, strict=True):
                exact = exact_distance(alpha, beta, draw, bits)
                error = abs(mp.mpf(float(value)) - exact)
                ulps = [
                    float(error) / float(np.spacing(precision.float(abs(x))))
                    for x in (float(exact), float(near + abs(exact)))
                ]
                assert ulps[0] <= from_anchor, (dtype, draw)
                assert ulps[1] <= LIMIT, (dtype, draw)
