"""Orthogonal matrices: orthogonal, unique, uniformly distributed, repeatable."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import stats
from scipy.linalg import lapack
from threadpoolctl import threadpool_info, threadpool_limits

import initlib
from initlib import initializers
from initlib._dtypes import FLOATS
from initlib._errors import RequestError
from initlib._parallel import threads
from initlib._stream import Normal, Stream
from initlib.initializers import Orthogonal, Target, _gram, _householder
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


@pytest.mark.parametrize("shape", [(50, 20), (50, 30)])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float8_e4m3fn"])
def test_narrow_dtypes_are_the_rounded_float64(dtype, shape):
    expected = whole(shape).astype(np.float32).astype(FLOATS[dtype])
    assert whole(shape, dtype=dtype).tobytes() == expected.tobytes()


def test_pieces_of_rounding_meet(monkeypatch):
    expected = whole((50, 30), dtype="bfloat16")
    monkeypatch.setattr(module, "PIECE", 45)
    assert whole((50, 30), dtype="bfloat16").tobytes() == expected.tobytes()


@pytest.mark.parametrize("shape", [(60, 50), (64, 64), (50, 60), (33, 32), (100, 70)])
def test_blocks_make_the_same_q(monkeypatch, shape):
    expected = whole(shape)
    monkeypatch.setattr(_householder, "PANEL", 16)
    monkeypatch.setattr(_householder, "TILE", 5)
    np.testing.assert_allclose(whole(shape), expected, atol=1e-13 * 100)


TALL = [(2, 1), (9, 4), (600, 20), (5000, 64), (2050, 1024), (2100, 1025)]


@pytest.mark.parametrize("shape", TALL)
def test_tall_ones_are_the_same_q(shape):
    """Made in pieces or whole, to the last digits."""
    w = whole(shape)
    columns = np.empty(shape[::-1])
    Normal(0.0, 1.0).fill(columns.reshape(-1), 0, Stream.seeded(3))
    _householder.orthonormalize(columns, 1.0)
    np.testing.assert_allclose(w, columns.T, rtol=0, atol=1e-13)
    assert Orthogonal().in_pieces(Target(shape, w.dtype, Stream.seeded(3))) is (shape[1] <= 1024)


@pytest.mark.parametrize("layout", ["keras", "torch"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("rows", [2000, 513])
def test_any_piece_of_a_tall_one(rows, dtype, layout):
    target = Target((rows, 9), FLOATS[dtype], Stream.seeded(3), layout)
    expected = whole((rows, 9), layout, dtype, gain=1.5)
    orthogonal = Orthogonal(1.5)
    rng = np.random.default_rng(1)
    for start, end in np.sort(rng.integers(0, expected.size, (50, 2)), axis=1):
        out = np.empty(end - start, target.dtype)
        orthogonal.fill(out, start, target)
        assert out.tobytes() == expected.reshape(-1)[start:end].tobytes()


def test_a_very_tall_one_is_orthonormal():
    """Of a matrix that isn't held whole, by a sum over its pieces."""
    target = Target((1_000_000, 16), np.dtype(np.float32), Stream.seeded(5))
    product, out = np.zeros((16, 16)), np.empty(160_000, np.float32)
    for start in range(0, target.size, out.size):
        Orthogonal().fill(out, start, target)
        rows = out.reshape(-1, 16).astype(np.float64)
        product += rows.T @ rows
    np.testing.assert_allclose(product, np.eye(16), rtol=0, atol=1e-6)


def test_a_class_derived_from_it_is_made_whole():
    class Twice(Orthogonal):
        def whole(self, target):
            return 2 * super().whole(target)

    target = Target((9, 3), np.dtype(np.float64), Stream.seeded(3))
    made = initializers.materialize(Twice(), target)
    np.testing.assert_allclose(made, 2 * whole((9, 3)), rtol=0, atol=1e-13)


@pytest.mark.parametrize("shape", [(300, 280), (5000, 20)])
def test_the_number_of_threads_changes_no_bit(monkeypatch, shape):
    monkeypatch.setattr(_gram, "PANEL", 2000)
    _gram._factors.clear()
    expected = whole(shape)
    for count in (1, 3, 8):
        _gram._factors.clear()
        with threads(count):
            assert whole(shape).tobytes() == expected.tobytes()


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


@pytest.mark.parametrize("outside", [None, 2])
@pytest.mark.parametrize(
    ("where", "name", "shape"),
    [
        (lapack, "dgeqrt", (4, 3)),
        (_householder, "_reflect_tile", (300, 280)),
        (_gram.Tall, "_gram", (300, 20)),
    ],
)
def test_blas_is_limited_meanwhile(monkeypatch, where, name, shape, outside):
    seen = []
    original = getattr(where, name)

    def noted(*arguments, **keywords):
        seen.append({x["num_threads"] for x in threadpool_info() if x["user_api"] == "blas"})
        return original(*arguments, **keywords)

    monkeypatch.setattr(where, name, noted)
    _gram._factors.clear()
    with threadpool_limits(outside, user_api="blas"):
        whole(shape)
    assert seen
    assert set.union(*seen) == {1}


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


def test_a_manifest_says_it_too():
    layer = {"name": "x", "shape": [], "initializer": "orthogonal"}
    for layout in ("keras", "torch"):
        with pytest.raises(RequestError, match="Orthogonal fills tensors of 2 axes or more"):
            initlib.generate({"layout": layout, "layers": [layer]}, dry_run=True)


def test_it_needs_a_float_that_holds_the_gain():
    with pytest.raises(RequestError, match="need a floating-point dtype, received int8"):
        Orthogonal()((2, 2), "int8")
    with pytest.raises(RequestError, match="float16 can hold"):
        Orthogonal(1e5)((2, 2), "float16")
