"""Fans, and the distribution that a shape gets."""

import math

import numpy as np
import pytest
from scipy import stats

from initlib import initializers
from initlib._errors import RequestError
from initlib._stream import Normal, Stream, TruncatedNormal, Uniform
from initlib.initializers import Target, VarianceScaling, compute_fans

# Of the standard normal cut at two, by SciPy.
CUT = stats.truncnorm(-2, 2).std()


def law(initializer, shape, layout="keras"):
    target = Target(shape, np.dtype("float32"), Stream.seeded(0), layout)
    return initializers.distribution(initializer, target)


@pytest.mark.parametrize(
    ("shape", "layout", "fans"),
    [
        ((), "keras", (1, 1)),
        ((7,), "keras", (7, 7)),
        ((7,), "torch", (7, 7)),
        ((3, 5), "keras", (3, 5)),
        ((5, 3), "torch", (3, 5)),
        ((2, 3, 5), "keras", (6, 10)),
        ((5, 3, 2), "torch", (6, 10)),
        ((3, 3, 16, 32), "keras", (144, 288)),
        ((32, 16, 3, 3), "torch", (144, 288)),
        ((0, 4), "keras", (0, 4)),
    ],
)
def test_fans(shape, layout, fans):
    assert compute_fans(shape, layout=layout) == fans


def test_fans_of_given_axes():
    assert compute_fans((2, 3, 5, 7), [0, 1], [-1]) == (6, 7)
    assert compute_fans((2, 3, 5, 7), [0, 1], [-1], layout="torch") == (6, 7)
    # As in Keras, one of the two alone counts for nothing.
    assert compute_fans((2, 3), input_axes=[1]) == (2, 3)
    with pytest.raises(RequestError) as caught:
        compute_fans((2, 3), [0], [2])
    assert str(caught.value) == "expected output_axes of the shape (2, 3), received [2]"


@pytest.mark.parametrize(
    ("identifier", "variance", "kind"),
    [
        ("glorot_normal", 2 / (30 + 50), TruncatedNormal),
        ("glorot_uniform", 2 / (30 + 50), Uniform),
        ("he_normal", 2 / 30, TruncatedNormal),
        ("he_uniform", 2 / 30, Uniform),
        ("lecun_normal", 1 / 30, TruncatedNormal),
        ("lecun_uniform", 1 / 30, Uniform),
        ("variance_scaling", 1 / 30, TruncatedNormal),
    ],
)
def test_named_cases(identifier, variance, kind):
    found = law(initializers.get(identifier), (30, 50))
    assert type(found) is kind
    # The variance of the values: after the cut, or of the interval.
    if kind is Uniform:
        assert found.low == -found.high
        assert (2 * found.high) ** 2 / 12 == pytest.approx(variance, rel=1e-12)
    else:
        assert found.mean == 0
        assert (found.stddev * CUT) ** 2 == pytest.approx(variance, rel=1e-12)


@pytest.mark.parametrize(("mode", "n"), [("fan_in", 30), ("fan_out", 50), ("fan_avg", 40)])
def test_modes(mode, n):
    found = law(VarianceScaling(3.0, mode, "untruncated_normal"), (30, 50))
    assert found == Normal(0.0, math.sqrt(3.0 / n))
    # Torch's layout has the axes the other way round.
    assert law(VarianceScaling(3.0, mode, "untruncated_normal"), (50, 30), "torch") == found


def test_fans_below_one_count_as_one():
    assert law(VarianceScaling(distribution="untruncated_normal"), (0, 5)) == Normal(0.0, 1.0)


def test_normal_is_the_truncated_one():
    assert VarianceScaling(distribution="Normal").distribution == "truncated_normal"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": 0}, "expected a positive scale, received 0"),
        ({"scale": -1.0}, "expected a positive scale, received -1.0"),
        ({"scale": math.nan}, "expected a positive scale, received nan"),
        ({"scale": "1"}, "expected a number for scale, received '1'"),
        ({"mode": "fanin"}, "unknown mode 'fanin'; did you mean 'fan_in'?"),
        ({"mode": "x"}, "unknown mode 'x'; expected one of fan_in, fan_out, fan_avg"),
        (
            {"distribution": "unifrom"},
            "unknown distribution 'unifrom'; did you mean 'uniform'?",
        ),
        ({"input_axes": 1}, "expected a list of axes for input_axes, received 1"),
        ({"seed": "a"}, "expected a seed from 0 to 2**64 - 1, received 'a'"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(RequestError) as caught:
        VarianceScaling(**arguments)
    assert str(caught.value) == message


def test_axes_are_checked_with_the_shape():
    initializer = VarianceScaling(input_axes=[0], output_axes=[3])
    with pytest.raises(RequestError, match="expected output_axes of the shape"):
        initializer((2, 2))
