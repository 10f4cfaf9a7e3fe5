"""What distributions accept, and the ends of their support in each dtype."""

import math

import numpy as np
import pytest

from initlib._dtypes import DTYPES, FLOATS, INTEGERS
from initlib._errors import RequestError
from initlib._stream import Normal, Stream, TruncatedNormal, Uniform, _engine

STREAM = Stream.seeded(0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Normal(math.nan, 1.0), "expected a finite mean, received nan"),
        (lambda: Normal(0.0, math.inf), "expected a finite stddev, received inf"),
        (lambda: TruncatedNormal(0.0, math.inf), "expected a finite stddev, received inf"),
        (lambda: TruncatedNormal(0.0, -1.0), "expected a stddev of 0 or more, received -1.0"),
        (lambda: Uniform(0.0, math.nan), "expected a finite high, received nan"),
        (lambda: Uniform(2.0, 1.0), "expected low <= high, received [2.0, 1.0)"),
    ],
)
def test_wrong_parameters(make, message):
    with pytest.raises(RequestError) as caught:
        make()
    assert str(caught.value) == message


@pytest.mark.parametrize("dtype", [*INTEGERS, "bool"])
@pytest.mark.parametrize("distribution", [Normal(0, 1), TruncatedNormal(0, 1), Uniform(0, 1)])
def test_integers_are_refused(distribution, dtype):
    with pytest.raises(RequestError, match=f"need a floating-point dtype, received {dtype}"):
        distribution.check(DTYPES[dtype])


@pytest.mark.parametrize(
    ("distribution", "dtype", "message"),
    [
        (
            Normal(0, 1e4),
            "float16",
            "Normal(mean=0.0, stddev=10000.0) reaches 67637.1, beyond the largest float16, 65504",
        ),
        (TruncatedNormal(0, 300), "float8_e4m3fn", "reaches 600, beyond the largest"),
        (Uniform(-1e39, 0), "float32", "reaches 1e+39, beyond the largest float32"),
        (Uniform(4.5, 5), "float8_e5m2", "no float8_e5m2 value lies inside Uniform(low=4.5"),
    ],
)
def test_what_a_dtype_cannot_hold(distribution, dtype, message):
    with pytest.raises(RequestError) as caught:
        distribution.check(FLOATS[dtype])
    assert message in str(caught.value)


@pytest.mark.parametrize("dtype", FLOATS)
def test_supports_are_reached_and_kept(dtype):
    # Narrow enough that every number of the narrow dtypes inside is drawn.
    out = np.empty(1 << 18, FLOATS[dtype])
    Uniform(1.0, 2.0).fill(out, 0, STREAM)
    values = out.astype(np.float64)
    assert values.min() >= 1
    assert values.max() < 2
    TruncatedNormal(0.0, 0.3).fill(out, 0, STREAM)
    assert np.abs(out.astype(np.float64)).max() <= 0.6
    if np.dtype(FLOATS[dtype]).itemsize == 1:
        Uniform(-1.0, 1.0).fill(out, 0, STREAM)
        every = np.arange(256, dtype=np.uint8).view(FLOATS[dtype]).astype(np.float64)
        inside = np.unique(every[(every >= -1) & (every < 1)])
        big = inside[np.abs(inside) > 0.05]
        assert set(big) <= set(out.astype(np.float64))


@pytest.mark.parametrize("job", [0, 1 << 60])
@pytest.mark.parametrize("dtype", FLOATS)
def test_only_what_is_asked_for_is_written(monkeypatch, job, dtype):
    monkeypatch.setattr(_engine._kernels, "job", job)
    expected, wide = np.empty(100, FLOATS[dtype]), np.full(300, 7, FLOATS[dtype])
    Normal(0.0, 1.0).fill(expected, 3, STREAM)
    Normal(0.0, 1.0).fill(wide[50:250:2], 3, STREAM)
    assert wide[50:250:2].tobytes() == expected.tobytes()
    wide[50:250:2] = 7
    assert (wide == 7).all()
    wide.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        Normal(0.0, 1.0).fill(wide, 3, STREAM)
