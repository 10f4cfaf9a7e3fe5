"""The evaluator against Python's own arithmetic and exact fractions."""

import ast
import math
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from initlib._errors import RequestError
from initlib._manifest._expressions import (
    MAX_EXPONENT,
    MAX_INTEGER,
    arithmetic_names,
    evaluate,
    evaluate_integer,
    parse,
)

FIXED = settings(derandomize=True)
NAMES = {"a": 3, "b_2": 1024, "zero": 0, "half": 0.5}
FUNCTIONS = {
    "sqrt": math.sqrt,
    "min": min,
    "max": max,
    "abs": abs,
    "round": round,
    "floor": math.floor,
    "ceil": math.ceil,
}

integers = st.integers(0, 10**6).map(str)
floats = st.floats(0, 1e6, allow_nan=False).map(repr)
names = st.sampled_from(sorted(NAMES))


def expressions(leaves, operators):
    def extend(inner):
        return st.one_of(
            st.tuples(inner, st.sampled_from(operators), inner).map(" ".join),
            inner.map("({})".format),
            inner.map("-{}".format),
            inner.map("+{}".format),
            inner.map("abs({})".format),
            st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(
                lambda parts: f"{parts[0]}({parts[1]}, {parts[2]})"
            ),
        )

    return st.recursive(leaves, extend, max_leaves=12)


def pythons(text):
    """Evaluate generated text by Python itself."""
    return eval(text, {"__builtins__": {}}, {**NAMES, **FUNCTIONS})  # noqa: S307


def ours(text):
    try:
        return evaluate(text, NAMES)
    except RequestError as error:
        return str(error)


@FIXED
@given(expressions(integers | names.filter(lambda name: name != "half"), ["+", "-", "*"]))
def test_integers_are_exact(text):
    result = ours(text)
    expected = pythons(text)
    if isinstance(result, str):
        # Only a partial result that is too large may be refused, which abs values bound.
        unsigned = text.replace("-", "+").replace("min", "max")
        assert "is beyond 2**64" in result
        assert pythons(unsigned) > MAX_INTEGER
    else:
        assert result == expected
        assert type(result) is int


@FIXED
@given(expressions(integers | floats | names, ["+", "-", "*", "/", "//", "%"]))
def test_floats_are_pythons(text):
    try:
        expected = pythons(text)
    except (ZeroDivisionError, OverflowError):
        expected = None
    result = ours(text)
    if isinstance(result, str):
        assert expected is None or "division by zero" in result or "is " in result
        assert any(reason in result for reason in ("division by zero", "beyond", "too large"))
        return
    assert expected is not None
    assert (result, type(result)) == (expected, type(expected))
    assert math.copysign(1, result) == math.copysign(1, expected)


@FIXED
@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(-40, 40))
def test_powers_of_floats_are_rounded_once(base, exponent):
    assume(base != 0 or exponent >= 0)
    try:
        expected = float(Fraction(base) ** exponent)
    except OverflowError:
        with pytest.raises(RequestError, match="too large"):
            evaluate("x**n", {"x": base, "n": exponent})
        return
    assert evaluate("x**n", {"x": base, "n": exponent}) == expected


@FIXED
@given(st.integers(-(2**32), 2**32), st.integers(0, 64))
def test_powers_of_integers_are_exact(base, exponent):
    try:
        assert evaluate("x**n", {"x": base, "n": exponent}) == base**exponent
    except RequestError:
        assert abs(base) ** exponent > MAX_INTEGER


@FIXED
@given(st.integers(1, 10**9), st.integers(1, MAX_EXPONENT))
def test_negative_powers_are_rounded_once(base, exponent):
    assert evaluate("x**-n", {"x": base, "n": exponent}) == float(Fraction(1, base**exponent))


@FIXED
@given(st.floats(-1e18, 1e18))
def test_rounding(x):
    variables = {"x": x}
    assert evaluate("floor(x)", variables) == math.floor(Fraction(x))
    assert evaluate("ceil(x)", variables) == math.ceil(Fraction(x))
    assert evaluate("round(x)", variables) == round(Fraction(x))


@FIXED
@given(st.floats(0, allow_infinity=False))
def test_roots_are_correctly_rounded(x):
    root = evaluate("sqrt(x)", {"x": x})
    assume(1e-140 < root < 1e140)
    below, above = math.nextafter(root, 0), math.nextafter(root, math.inf)
    low = (Fraction(below) + Fraction(root)) / 2
    high = (Fraction(root) + Fraction(above)) / 2
    assert low**2 <= Fraction(x) <= high**2


@FIXED
@given(expressions(integers | floats | names, ["+", "-", "*", "/", "//", "%", "**"]))
def test_printing_and_parsing(text):
    tree = parse(text)
    assert ast.dump(parse(ast.unparse(tree))) == ast.dump(tree)
    assert arithmetic_names(text) == {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in NAMES
    }
    assert ours(ast.unparse(tree)) == ours(text) or isinstance(ours(text), str)


@FIXED
@given(st.text(max_size=40) | st.text(alphabet="0123456789.+-*/%()ab_, '\"", max_size=40))
def test_any_text_is_a_number_or_one_line(text):
    try:
        result = evaluate(text, NAMES)
    except RequestError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert isinstance(result, int | float)


@FIXED
@given(st.integers(-(2**64), 2**64))
def test_integral_results_are_integers(number):
    assert evaluate_integer(str(number), {}) == number
    assert evaluate_integer("n/1", {"n": number}) == int(number / 1)
    with pytest.raises(RequestError, match="expected an integer"):
        evaluate_integer("n + 0.5", {"n": number % 1000})
