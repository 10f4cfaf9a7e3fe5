"""Formulas of draws: what they compute, what they accept, and what is refused."""

import math

import numpy as np
import pytest

import initlib
from initlib import initializers
from initlib._errors import RequestError
from initlib.initializers import Elementwise, RandomNormal, RandomUniform


@pytest.mark.parametrize(
    ("formula", "function"),
    [
        ("x", lambda x: x),
        ("-x + 2", lambda x: 2 - x),
        ("x * x - 1 / 3", lambda x: x * x - 1 / 3),
        ("2 / (x + 3)", lambda x: 2 / (x + 3)),
        ("max(min(x, 0.5), -0.5)", lambda x: np.clip(x, -0.5, 0.5)),
        ("exp(log1p(abs(x)))", lambda x: 1 + np.abs(x)),
        ("sqrt(expm1(x * x)) + tanh(x)", lambda x: np.sqrt(np.expm1(x * x)) + np.tanh(x)),
        ("1e-3", lambda x: np.full_like(x, 1e-3)),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_formulas(formula, function, dtype):
    wide = "float64" if dtype == "float64" else "float32"
    draws = RandomNormal(stddev=1, seed=3)((40, 5), wide).astype(np.float64)
    values = Elementwise(formula, RandomNormal(stddev=1), seed=3)((40, 5), dtype)
    assert values.dtype == initlib._dtypes.DTYPES[dtype]
    error = {"float32": 2e-7, "float64": 1e-14, "bfloat16": 5e-3}[dtype]
    np.testing.assert_allclose(values.astype(np.float64), function(draws), rtol=error, atol=error)


def test_a_log_uniform_law():
    """Its logarithm is uniform."""
    law = RandomUniform(math.log(1e-3), math.log(1e-1))
    steps = np.log(Elementwise("exp(x)", law, seed=1)((20000,), "float64"))
    assert abs(steps.mean() - math.log(1e-2)) < 6 * math.log(100) / math.sqrt(12 * 20000)


def test_configs_round_trip():
    mine = Elementwise("exp(x)", RandomUniform(0, 1), seed=4)
    again = initializers.deserialize(initializers.serialize(mine))
    assert again.get_config() == mine.get_config()
    assert np.array_equal(again((3, 5)), mine((3, 5)))


def test_dividing_by_zero_is_infinite():
    assert np.isinf(Elementwise("1 / 0", "normal")((3,))).all()


@pytest.mark.parametrize(
    ("formula", "of", "message"),
    [
        (3, "normal", "expected a formula of at most 1000 characters in x"),
        ("x" * 2000, "normal", "expected a formula of at most 1000 characters in x"),
        ("x +", "normal", "expected a formula in x, received 'x +'"),
        ("", "normal", "expected a formula in x, received ''"),
        ("y", "normal", "expected x, numbers, + - * /, parentheses and abs, exp"),
        ("x ** 2", "normal", "expected x, numbers, + - * /, parentheses and abs, exp"),
        ("x.real", "normal", "expected x, numbers"),
        ("True", "normal", "expected x, numbers"),
        ("eval(x)", "normal", "unknown function 'eval'; expected one of abs, exp"),
        ("sqrtt(x)", "normal", "unknown function 'sqrtt'; did you mean 'sqrt'?"),
        ("max(x)", "normal", "max takes 2 arguments, received 1"),
        ("-" * 60 + "x", "normal", "expected at most 50 levels in the formula"),
        ("(" * 400 + "x" + ")" * 400, "normal", "expected a formula in x, received"),
        (
            "x",
            "zeros",
            "expected independent draws without a seed for the formula, received 'zeros'",
        ),
        ("x", RandomNormal(seed=1), "expected independent draws without a seed for the formula"),
    ],
)
def test_what_is_refused(formula, of, message):
    with pytest.raises(RequestError) as caught:
        Elementwise(formula, of)
    assert str(caught.value).startswith(message)


def test_only_floats_are_drawn():
    with pytest.raises(RequestError, match="floating-point dtype"):
        Elementwise("x", "normal")((3,), "int32")
