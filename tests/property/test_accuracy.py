"""Transforms stay within 4 ulp of their formula's exact value.

For float32 `tools/exhaustive.py` tries all 2^32 words; here it looks at one in 4,099. For float64
random draws and the hardest ones (near 0 and 1, around a half, at quarter turns) are compared with
mpmath.
"""

import importlib.util
import re
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest

from initlib._stream import _coefficients
from initlib._stream import _reference as reference
from initlib._stream._reference import DOUBLE

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
        for value, exact in zip(values, tables[name], strict=True):
            # To the nearest: half a unit in the last place.
            assert abs(mp.mpf(float(value)) - exact) <= float(np.spacing(abs(value))) / 2
