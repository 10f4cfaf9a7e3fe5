"""Names and limits of element types."""

import ml_dtypes
import numpy as np
import pytest

from initlib import _dtypes
from initlib._errors import RequestError


@pytest.mark.parametrize("name", _dtypes.DTYPES)
def test_names_go_both_ways(name):
    dtype = _dtypes.as_dtype(name)
    assert _dtypes.dtype_name(dtype) == name
    assert _dtypes.as_dtype(dtype) == _dtypes.as_dtype(dtype.type) == dtype


def test_none_is_float32():
    assert _dtypes.as_dtype(None) == np.float32


@pytest.mark.parametrize(
    ("dtype", "message"),
    [
        ("flot32", "unknown dtype 'flot32'; did you mean 'float32'?"),
        ("fp32", "unknown dtype 'fp32'; did you mean 'float32'?"),
        ("torch.bfloat16", "unknown dtype 'torch.bfloat16'; did you mean 'bfloat16'?"),
        ("complex64", "unknown dtype 'complex64'; expected one of float64, float32, "),
        (np.complex64, "unknown dtype <class 'numpy.complex64'>; expected one of float64, "),
        (3, "unknown dtype 3; expected one of float64, "),
        (">f4", "unknown dtype '>f4'; expected one of float64, "),
    ],
)
def test_unknown(dtype, message):
    with pytest.raises(RequestError) as caught:
        _dtypes.as_dtype(dtype)
    assert str(caught.value).startswith(message)


def test_floats_and_their_largest():
    floats = [name for name, dtype in _dtypes.DTYPES.items() if _dtypes.is_float(dtype)]
    assert floats == [*_dtypes.FLOATS]
    assert _dtypes.largest(np.dtype(ml_dtypes.float8_e4m3fn)) == 448
    assert _dtypes.largest(np.dtype(np.float16)) == 65504
