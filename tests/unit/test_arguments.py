"""Shapes, numbers and axes, as users write them."""

import ml_dtypes
import numpy as np
import pytest

from initlib._arguments import as_axes, as_number, as_shape
from initlib._errors import RequestError


@pytest.mark.parametrize("shape", [(2, 3), [2, 3], np.array([2, 3]), (np.int32(2), 3)])
def test_shapes(shape):
    assert as_shape(shape) == (2, 3)
    assert {type(size) for size in as_shape(shape)} == {int}


def test_empty_shapes():
    assert as_shape(()) == ()
    assert as_shape((0, 2)) == (0, 2)


@pytest.mark.parametrize("shape", [3, None, (2, None), (2, -1), (2.0, 3), "23", ("2",)])
def test_wrong_shapes(shape):
    with pytest.raises(RequestError) as caught:
        as_shape(shape)
    assert str(caught.value) == f"expected a shape of integers of 0 or more, received {shape!r}"


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.array(0.5), ml_dtypes.bfloat16(0.5)])
def test_numbers(value):
    assert as_number("gain", value) == 0.5
    assert type(as_number("gain", value)) is float


@pytest.mark.parametrize("value", ["0.5", None, [1.0], 1j, 10**400])
def test_wrong_numbers(value):
    with pytest.raises(RequestError) as caught:
        as_number("gain", value)
    assert str(caught.value) == f"expected a number for gain, received {value!r}"


def test_axes():
    assert as_axes("input_axes", None) is None
    assert as_axes("input_axes", (0, np.int64(-1))) == [0, -1]


@pytest.mark.parametrize("axes", [1, [0.5], "a"])
def test_wrong_axes(axes):
    with pytest.raises(RequestError, match="expected a list of axes for input_axes, received"):
        as_axes("input_axes", axes)
