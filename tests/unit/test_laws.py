"""What is known of tensors while a torch model is built; torch itself is in tests/interop."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initlib._manifest._expressions import evaluate
from initlib._sources._laws import Computed, Formula, Law, Parts, number
from initlib._sources._torch_operations import joined, operate

NORMAL = Law("normal", (1.0, 0.5), draws=1)
UNIFORM = Law("uniform", (-1.0, 2.0), draws=2)
CUT = Law("trunc_normal", (0.0, 0.02, -2.0, 1.0), draws=3)
ONES = Law("constant", (1.0,))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.02, "0.02"),
        (0.0, "0"),
        (-3.0, "-3"),
        (0.02 / math.sqrt(24), "0.02/sqrt(24)"),
        (-1 / math.sqrt(768), "-1/sqrt(768)"),
        (512**-0.5, "1/sqrt(512)"),
        (math.sqrt(5), "sqrt(5)"),
        (1 / 3, "1/sqrt(9)"),
        (0.123456789123, "0.123456789123"),
        (math.inf, "inf"),
        (1e300, "1e+300"),
    ],
)
def test_numbers_are_written_as_a_person_would(value, text):
    assert number(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_read_back(value):
    assert evaluate(number(value), {}) == pytest.approx(value, rel=3e-16, abs=0)


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        (NORMAL.times(-2), (-2, 1)),
        (NORMAL.plus(3), (4, 0.5)),
        (NORMAL.over(2), (0.5, 0.25)),
        (UNIFORM.times(-2), (-4, 2)),
        (UNIFORM.plus(1), (0, 3)),
        (CUT.times(-2), (0, 0.04, -2, 4)),
        (CUT.plus(1), (1, 0.02, -1, 2)),
        (ONES.times(-2), (-2,)),
    ],
)
def test_scaled_and_moved(law, expected):
    assert law.numbers == expected


@pytest.mark.parametrize(
    ("law", "text"),
    [
        (ONES, "ones"),
        (ONES.times(0), "zeros"),
        (ONES.times(2.5), "constant(2.5)"),
        (NORMAL, "random_normal(mean=1, stddev=0.5)"),
        (UNIFORM, "random_uniform(-1, 2)"),
        (CUT, "trunc_normal(std=0.02, a=-2, b=1)"),
        (CUT.plus(1), "trunc_normal(mean=1, std=0.02, a=-1, b=2)"),
    ],
)
def test_calls(law, text):
    assert law.call() == text


def test_what_goes_by_fans_is_for_its_own_shape():
    law = Law("uniform", (-0.1, 0.1), "xavier_uniform", (4, 5))
    assert law.call((4, 5)) == "xavier_uniform"
    assert law.call((5, 4)) == "random_uniform(-0.1, 0.1)"


@pytest.mark.parametrize(
    ("name", "values", "options", "expected"),
    [
        ("mul", [NORMAL, 2], {}, NORMAL.times(2)),
        ("mul", [2, NORMAL], {}, NORMAL.times(2)),
        ("mul", [NORMAL, ONES.times(2)], {}, NORMAL.times(2)),
        ("div", [UNIFORM, 4], {}, UNIFORM.over(4)),
        ("add", [1, UNIFORM], {}, UNIFORM.plus(1)),
        ("sub", [UNIFORM, 1], {}, UNIFORM.plus(-1)),
        ("rsub", [UNIFORM, 1], {}, UNIFORM.times(-1).plus(1)),
        ("neg", [CUT], {}, CUT.times(-1)),
        ("exp", [NORMAL], {}, Formula("exp(x)", NORMAL)),
        ("clamp", [NORMAL, -1], {"max": 2}, Formula("min(max(x, -1), 2)", NORMAL)),
        ("clamp_max", [NORMAL, 2], {}, Formula("min(x, 2)", NORMAL)),
        ("mul", [None, 2], {}, None),
        ("mul", [NORMAL, UNIFORM], {}, Computed("mul")),
        ("add", [NORMAL, NORMAL], {"alpha": 2}, Computed("add")),
        ("div", [NORMAL, 0], {}, Formula("x / 0", NORMAL, alone=False)),
        ("mm", [NORMAL, NORMAL], {}, Computed("mm")),
        ("exp", [ONES], {}, Computed("exp")),
        ("mul", [NORMAL, "?"], {}, Computed("mul")),
    ],
)
def test_operations(name, values, options, expected):
    found = operate(name, values, options)
    assert found == expected
    if isinstance(expected, Formula):
        assert found.text == expected.text


def test_formulas_are_those_of_one_draw_alone():
    other = Law("normal", (1.0, 0.5), draws=9)
    x = operate("exp", [NORMAL], {})
    assert operate("add", [x, NORMAL], {}).text == "exp(x) + x"
    assert operate("add", [x, other], {}) == Computed("add")


def test_formulas_have_the_parentheses_they_need():
    x = operate("exp", [NORMAL], {})
    total = operate("sub", [x, 1], {})
    assert operate("mul", [total, x], {}).text == "(exp(x) - 1) * exp(x)"
    assert operate("div", [x, operate("neg", [x], {})], {}).text == "exp(x) / (-exp(x))"
    assert operate("log", [operate("neg", [total], {})], {}).text == "log(-(exp(x) - 1))"
    assert operate("mul", [x, -2], {}).text == "exp(x) * (-2)"


def test_parts_and_what_they_are_called():
    parts = Parts(((0, NORMAL),), 20).with_run(4, 8, ONES)
    assert parts.written(5) == (
        "concatenate([1, 1, 3], [random_normal(mean=1, stddev=0.5), ones(), "
        "random_normal(mean=1, stddev=0.5)])"
    )
    assert parts.law(4, 8) == ONES
    assert parts.law(3, 8) is None
    # A run that ends inside a row.
    assert parts.with_run(0, 2, ONES).written(5) is None
    assert Parts(((0, None),), 20).with_run(0, 8, ONES).written(5) is None


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(0, 3)), max_size=8))
def test_runs_are_those_that_were_written_last(writes):
    laws = [Law("constant", (float(i),)) for i in range(4)]
    parts, flat = Parts(((0, None),), 12), [None] * 12
    for a, b, law in writes:
        start, end = min(a, b), max(a, b)
        if start < end:
            parts = parts.with_run(start, end, laws[law])
            flat[start:end] = [laws[law]] * (end - start)
    found = [law for first, last, law in parts.spans() for _ in range(first, last)]
    assert found == flat
    assert all(parts.runs[i][1] != parts.runs[i - 1][1] for i in range(1, len(parts.runs)))


def test_what_is_joined():
    assert joined([(3, NORMAL), (4, NORMAL)], in_order=False) == NORMAL
    assert joined([(3, NORMAL), (4, ONES)], in_order=False) == Computed("cat")
    found = joined([(3, NORMAL), (0, UNIFORM), (4, ONES)], in_order=True)
    assert found == Parts(((0, NORMAL), (3, ONES)), 7)
    assert joined([(3, NORMAL), (4, None)], in_order=True) == Computed("cat")
