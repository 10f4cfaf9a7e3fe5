"""Orthogonal matrices: orthogonal, unique, uniformly distributed, repeatable."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import stats
from scipy.linalg import lapack
from threadpoolctl import threadpool_info

from initlib import initializers
from initlib._dtypes import FLOATS
from initlib._errors import RequestError
from initlib._stream import Normal, Stream
from initlib.initializers import Orthogonal, Target
from initlib.initializers import _orthogonal as module


def whole(shape, layout="keras", dtype="float64", gain=1.0, seed=3):
    target = Target(shape, FLOATS[dtype], Stream.seeded(seed), layout)
    return initializers.materialize(Orthogonal(gain), target)


@pytest.mark.parametrize("shape", [(40, 40), (70, 30), (30, 70), (3, 3, 8, 16), (1, 5), (5, 1)])
@pytest.mark.parametrize("layout", ["keras", "torch"])
def test_rows_or_columns_are_orthonormal(shape, layout):
    w = whole(shape, layout, gain=2.0)
    assert w.shape == shape
    w = w.reshape(shape[0], -1) if layout == "torch" else w.reshape(-1, shape[-1])
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    # 70 terms below 1, each rounded at 2^-53.
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=4 * 70 * 2.0**-52)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5)])
def test_it_is_the_q_of_the_streams_normals(shape):
    tall, short = max(shape), min(shape)
    draws = np.empty(tall * short)
    Normal(0.0, 1.0).fill(draws, 0, Stream.seeded(3))
    q, r = np.linalg.qr(draws.reshape(short, tall).T)
    q *= np.sign(r.diagonal())
    expected = q if shape[0] >= shape[1] else q.T
    np.testing.assert_allclose(whole(shape), expected, atol=1e-13)


def test_layouts_differ_only_in_how_the_shape_is_read():
    w = whole((3, 4, 5), "torch").reshape(3, 20)
    np.testing.assert_array_equal(w, whole((3, 20)))
    np.testing.assert_array_equal(whole((3, 4, 5)).reshape(12, 5), whole((12, 5)))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float8_e4m3fn"])
def test_narrow_dtypes_are_the_rounded_float64(dtype):
    expected = whole((50, 20)).astype(np.float32).astype(FLOATS[dtype])
    assert whole((50, 20), dtype=dtype).tobytes() == expected.tobytes()


def test_pieces_of_rounding_meet(monkeypatch):
    expected = whole((50, 20), dtype="bfloat16")
    monkeypatch.setattr(module, "PIECE", 45)
    assert whole((50, 20), dtype="bfloat16").tobytes() == expected.tobytes()


def test_it_is_uniformly_distributed():
    # A rotation or reflection of the plane: its first column is a point on the circle, its
    # determinant is fair.
    matrices = np.array([whole((2, 2), seed=seed) for seed in range(300)])
    angles = np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0])
    assert stats.kstest(angles, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-4
    reflections = int(np.sum(np.linalg.det(matrices) < 0))
    assert stats.binomtest(reflections, 300).pvalue > 1e-4


def test_threads_neither_change_it_nor_keep_blas_limited():
    before = [library["num_threads"] for library in threadpool_info()]
    expected = whole((150, 120))
    with ThreadPoolExecutor(4) as pool:
        for made in pool.map(whole, [(150, 120)] * 12):
            np.testing.assert_array_equal(made, expected)
    assert [library["num_threads"] for library in threadpool_info()] == before


def test_blas_is_limited_meanwhile(monkeypatch):
    seen = []

    def geqrf(*arguments, **keywords):
        seen.append({x["num_threads"] for x in threadpool_info() if x["user_api"] == "blas"})
        return original(*arguments, **keywords)

    original = lapack.dgeqrf
    monkeypatch.setattr(lapack, "dgeqrf", geqrf)
    whole((4, 3))
    assert seen == [{1}]


def test_calls_repeat_with_an_integer_seed():
    np.testing.assert_array_equal(Orthogonal(seed=3)((4, 3)), Orthogonal(seed=3)((4, 3)))
    np.testing.assert_array_equal(Orthogonal(seed=3)((4, 3), "float64"), whole((4, 3)))


def test_empty():
    assert whole((0, 3)).shape == (0, 3)
    assert whole((3, 0)).shape == (3, 0)


@pytest.mark.parametrize("shape", [(), (3,)])
def test_it_needs_two_axes(shape):
    with pytest.raises(RequestError) as caught:
        Orthogonal()(shape)
    expected = f"Orthogonal fills tensors of 2 axes or more, received the shape {shape}"
    assert str(caught.value) == expected


def test_it_needs_a_float_that_holds_the_gain():
    with pytest.raises(RequestError, match="need a floating-point dtype, received int8"):
        Orthogonal()((2, 2), "int8")
    with pytest.raises(RequestError, match="float16 can hold"):
        Orthogonal(1e5)((2, 2), "float16")
