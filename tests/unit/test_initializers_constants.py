"""Zeros, Ones, Constant, Identity, and arrays as initializers."""

import random

import ml_dtypes
import numpy as np
import pytest

from initlib import initializers
from initlib._errors import RequestError
from initlib.initializers import Constant, Identity, Ones, Zeros


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float8_e5m2", "int8", "uint64", "bool"])
def test_zeros_and_ones(dtype):
    assert Zeros()((2, 3), dtype).astype(float).tolist() == [[0.0] * 3] * 2
    assert Ones()((2, 3), dtype).astype(float).tolist() == [[1.0] * 3] * 2


@pytest.mark.parametrize(
    ("value", "shape", "expected"),
    [
        (2.5, (2, 2), [[2.5, 2.5], [2.5, 2.5]]),
        (np.float32(2.5), (), 2.5),
        ([1, 2], (3, 2), [[1, 2]] * 3),
        ([[1], [2]], (2, 3), [[1] * 3, [2] * 3]),
        ([7], (2, 2), [[7, 7], [7, 7]]),
        (np.arange(6.0).reshape(2, 3), (2, 3), [[0, 1, 2], [3, 4, 5]]),
        (np.arange(6.0).reshape(2, 3).T, (3, 2), [[0, 3], [1, 4], [2, 5]]),
        (np.ones((0, 2)), (0, 2), []),
        (float("-inf"), (1,), [float("-inf")]),
    ],
)
def test_constants(value, shape, expected):
    values = Constant(value)(shape)
    assert values.dtype == np.float32
    assert values.tolist() == expected


@pytest.mark.parametrize(("value", "shape"), [([1, 2], (3,)), ([[1, 2]], (2,)), ([1, 2], ())])
def test_constants_of_the_wrong_shape(value, shape):
    with pytest.raises(RequestError, match="expected a value that broadcasts to the shape"):
        Constant(value)(shape)


def test_large_integers_stay_exact():
    assert Constant(2**63 + 1)((1,), "uint64").tolist() == [2**63 + 1]
    assert Constant(-(2**62) - 1)((1,), "int64").tolist() == [-(2**62) - 1]


@pytest.mark.parametrize(
    ("value", "dtype"), [(300, "int8"), (0.5, "int8"), (2, "bool"), (1e39, "float32")]
)
def test_constants_that_a_dtype_cannot_hold(value, dtype):
    with pytest.raises(RequestError) as caught:
        Constant(value)((2,), dtype)
    assert str(caught.value).startswith(f"expected values that {dtype} can hold (")
    assert str(caught.value).endswith(f"received {value}")


def test_constants_are_checked_when_made():
    with pytest.raises(RequestError, match="expected a number or an array of numbers, received"):
        Constant("a")


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3), (1, 7), (7, 1), (0, 3), (3, 0)])
@pytest.mark.parametrize("gain", [1.0, -2.5])
def test_identity(shape, gain):
    np.testing.assert_array_equal(Identity(gain)(shape), gain * np.eye(*shape, dtype=np.float32))


@pytest.mark.parametrize("shape", [(3,), (), (2, 2, 2)])
def test_identity_fills_matrices(shape):
    with pytest.raises(RequestError) as caught:
        Identity()(shape)
    assert str(caught.value) == f"Identity fills 2-dimensional tensors, received {shape}"


def test_identity_needs_a_gain_that_fits():
    assert Identity(2)((2, 2), "int8").tolist() == [[2, 0], [0, 2]]
    with pytest.raises(RequestError, match="int8 can hold"):
        Identity(0.5)((2, 2), "int8")
    with pytest.raises(RequestError, match="expected a number for gain, received 'x'"):
        Identity("x")


def test_an_array_fills_its_own_shape_only():
    array = np.arange(6, dtype=ml_dtypes.bfloat16).reshape(2, 3)
    initializer = initializers.get(array)
    assert initializer((2, 3), "int16").tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(RequestError) as caught:
        initializer((3, 2))
    assert str(caught.value) == "expected the shape of the given array, (2, 3), received (3, 2)"
    assert initializers.serialize(initializer)["class_name"] == "Constant"


def test_constants_leave_pythons_random_alone():
    state = random.getstate()
    for initializer in (Zeros(), Ones(), Constant(3), Identity()):
        initializer((2, 2))
    assert random.getstate() == state
