"""initlib.random: keras.random's functions, with arrays that follow from the seed."""

import inspect

import ml_dtypes
import numpy as np
import pytest

from initlib import random
from initlib._errors import RequestError
from initlib._seeds import draws_for
from initlib._stream import Normal, Stream, TruncatedNormal, Uniform

FUNCTIONS = [
    (random.normal, Normal(0.0, 1.0)),
    (random.truncated_normal, TruncatedNormal(0.0, 1.0)),
    (random.uniform, Uniform(0.0, 1.0)),
]


@pytest.mark.parametrize(("function", "distribution"), FUNCTIONS)
def test_values_are_those_of_the_seeds_stream(function, distribution):
    expected = np.empty(15, np.float32)
    distribution.fill(expected, 0, Stream.seeded(7))
    values = function((3, 5), seed=7)
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, expected.reshape(3, 5))


@pytest.mark.parametrize(
    ("function", "arguments", "distribution"),
    [
        (random.normal, {"mean": 3, "stddev": 0.5}, Normal(3.0, 0.5)),
        (random.truncated_normal, {"mean": 3, "stddev": 0.5}, TruncatedNormal(3.0, 0.5)),
        (random.uniform, {"minval": -3, "maxval": 0.5}, Uniform(-3.0, 0.5)),
    ],
)
def test_parameters(function, arguments, distribution):
    expected = np.empty(8, ml_dtypes.bfloat16)
    distribution.fill(expected, 0, Stream.seeded(7))
    values = function((8,), **arguments, dtype="bfloat16", seed=7)
    assert values.tobytes() == expected.tobytes()


@pytest.mark.parametrize(("function", "distribution"), FUNCTIONS)
def test_seeds(function, distribution):
    generator = random.SeedGenerator(7)
    first, second = function((4,), seed=generator), function((4,), seed=generator)
    np.testing.assert_array_equal(first, function((4,), seed=7))
    assert not np.array_equal(first, second)
    assert not np.array_equal(function((4,)), function((4,)))
    with draws_for(1, "a"):
        inside = function((4,))
    with draws_for(1, "a"):
        np.testing.assert_array_equal(function((4,)), inside)


@pytest.mark.parametrize(("function", "distribution"), FUNCTIONS)
def test_shapes(function, distribution):
    assert function(()).shape == ()
    assert function((0, 3)).shape == (0, 3)
    assert function([2, 3]).shape == (2, 3)


@pytest.mark.parametrize(("function", "distribution"), FUNCTIONS)
def test_wrong_arguments(function, distribution):
    parameter = list(inspect.signature(function).parameters)[1]
    with pytest.raises(RequestError, match="need a floating-point dtype, received int32"):
        function((2,), dtype="int32")
    with pytest.raises(RequestError, match="expected a shape"):
        function(2)
    with pytest.raises(RequestError, match=f"expected a number for {parameter}, received 'a'"):
        function((2,), **{parameter: "a"})
    with pytest.raises(RequestError, match="expected a seed"):
        function((2,), seed="a")
