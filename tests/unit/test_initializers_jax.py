"""Initializers under JAX's names: Keras's where the law is the same, and what is refused."""

import math

import numpy as np
import pytest

from initlib import initializers
from initlib._errors import RequestError
from initlib._stream import Normal, Stream, TruncatedNormal, Uniform
from initlib.initializers import JaxVarianceScaling, Target, jax


def target(shape, layout="keras"):
    return Target(shape, np.dtype("float32"), Stream.seeded(0), layout)


def law(initializer, shape=(3, 64, 48), layout="keras"):
    return initializers.distribution(initializer, target(shape, layout))


@pytest.mark.parametrize(
    ("made", "same"),
    [
        (jax.normal(), initializers.RandomNormal(0, 0.01)),
        (jax.normal(0.5), initializers.RandomNormal(0, 0.5)),
        (jax.uniform(), initializers.RandomUniform(0, 0.01)),
        (jax.truncated_normal(0.5, -2, 2.0), initializers.TruncatedNormal(0, 0.5)),
        (jax.truncated_normal(0.5, -1, 3), initializers.TruncNormal(0, 0.5, -0.5, 1.5)),
        (jax.constant(3), initializers.Constant(3)),
        (jax.zeros(), initializers.Zeros()),
        (jax.ones(), initializers.Ones()),
        (
            jax.variance_scaling(2, "fan_avg", "normal"),
            initializers.VarianceScaling(2, "fan_avg", "untruncated_normal"),
        ),
        (
            jax.variance_scaling(2, "fan_in", "truncated_normal", -2, -1, ()),
            initializers.VarianceScaling(2),
        ),
        (jax.glorot_normal(), initializers.GlorotNormal()),
        (jax.xavier_normal(), initializers.GlorotNormal()),
        (jax.glorot_uniform(), initializers.GlorotUniform()),
        (jax.xavier_uniform(), initializers.GlorotUniform()),
        (jax.he_normal(), initializers.HeNormal()),
        (jax.kaiming_normal(), initializers.HeNormal()),
        (jax.he_uniform(), initializers.HeUniform()),
        (jax.kaiming_uniform(), initializers.HeUniform()),
        (jax.lecun_normal(seed=4), initializers.LecunNormal(4)),
        (jax.lecun_uniform(), initializers.LecunUniform()),
        (jax.orthogonal(2), initializers.Orthogonal(2)),
    ],
)
def test_keras_classes_where_the_law_is_the_same(made, same):
    assert type(made) is type(same)
    assert made.get_config() == same.get_config()


# Fans of (3, 64, 48) by axes: the others are the kernel's.
@pytest.mark.parametrize(
    ("mode", "axes", "n"),
    [
        ("fan_in", (0, 1), 3 * 48),
        ("fan_out", (0, 1), 64 * 48),
        ("fan_in", (-2, 0), 64 * 48),
        ("fan_avg", ([0, 1], 2), (3 * 64 + 48) / 2),
        ("fan_geo_avg", ((0, 1), 2), math.sqrt(3 * 64 * 48)),
        ("fan_geo_avg", (-2, -1), math.sqrt(3 * 64 * 3 * 48)),
        ("fan_in", (1, 2, 0), 64),
        ("fan_out", (1, [], [0, -1]), 1),
    ],
)
def test_axes(mode, axes, n):
    made = jax.variance_scaling(2, mode, "normal", *axes)
    assert isinstance(made, JaxVarianceScaling)
    found = law(made)
    assert isinstance(found, Normal)
    assert (found.mean, found.stddev) == (0, pytest.approx(math.sqrt(2 / n), rel=1e-14))


def test_default_axes_are_the_layouts():
    made = jax.variance_scaling(1, "fan_geo_avg", "normal")
    n = math.sqrt(3 * 48 * 64 * 48)
    assert law(made, layout="torch").stddev == pytest.approx(1 / math.sqrt(n), rel=1e-14)
    assert law(jax.he_normal(), layout="torch") == law(initializers.HeNormal(), layout="torch")
    named = jax.he_normal(in_axis=0)
    assert law(named, layout="torch") == law(named)


@pytest.mark.parametrize(
    ("name", "kind", "factor"),
    [
        ("glorot_normal", TruncatedNormal, 2 / (64 + 48)),
        ("glorot_uniform", Uniform, 2 / (64 + 48)),
        ("he_normal", TruncatedNormal, 2 / 64),
        ("he_uniform", Uniform, 2 / 64),
        ("lecun_normal", TruncatedNormal, 1 / 64),
        ("lecun_uniform", Uniform, 1 / 64),
    ],
)
def test_cases_with_axes(name, kind, factor):
    # Experts are a batch axis, which counts for nothing.
    found = law(getattr(jax, name)(batch_axis=0))
    assert isinstance(found, kind)
    if kind is Uniform:
        assert found.high == -found.low == pytest.approx(math.sqrt(3 * factor), rel=1e-14)
    else:
        stddev = math.sqrt(factor) / 0.87962566103423978
        assert found.stddev == pytest.approx(stddev, rel=1e-14)


@pytest.mark.parametrize("column_axis", [0, 1, -3])
def test_orthogonal_columns(column_axis):
    values = jax.orthogonal(1.5, column_axis, seed=3)((4, 5, 6), "float64")
    matrix = np.moveaxis(values, column_axis, -1).reshape(-1, values.shape[column_axis])
    np.testing.assert_allclose(matrix.T @ matrix, 1.5**2 * np.eye(matrix.shape[1]), atol=1e-12)


@pytest.mark.parametrize("kernel", [(3,), (4, 5), (2, 1, 3)])
@pytest.mark.parametrize("layout", ["keras", "torch"])
def test_delta_orthogonal(kernel, layout):
    shape = (*kernel, 4, 6) if layout == "keras" else (6, 4, *kernel)
    made = initializers.DeltaOrthogonal(2, seed=3)
    values = initializers.materialize(made, target(shape, layout)).astype(np.float64)
    if layout == "torch":
        values = np.moveaxis(values, (0, 1), (-1, -2))
    center = tuple((size - 1) // 2 for size in kernel)
    np.testing.assert_allclose(values[center] @ values[center].T, 4 * np.eye(4), atol=1e-6)
    values[center] = 0
    assert not values.any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jax.normal("x"), "expected a number for stddev, received 'x'"),
        (lambda: jax.normal(-1), "expected a stddev of 0 or more, received -1"),
        (lambda: jax.uniform(-1), "expected low <= high, received [0.0, -1.0)"),
        (lambda: jax.truncated_normal(1, None), "expected a number for lower, received None"),
        (lambda: jax.truncated_normal(1, 3, 2), "expected "),
        (lambda: jax.variance_scaling(0, "fan_in", "normal"), "expected a positive scale, rec"),
        (
            lambda: jax.variance_scaling(1, "fan_geo", "normal"),
            "unknown mode 'fan_geo'; did you mean 'fan_geo_avg'?",
        ),
        (
            lambda: jax.variance_scaling(1, "fan_in", "untruncated_normal"),
            "unknown distribution 'untruncated_normal'; did you mean 'truncated_normal'?",
        ),
        (lambda: jax.he_normal(in_axis="x"), "expected a list of axes for in_axis, received 'x'"),
        (lambda: jax.he_normal(None), "expected an axis or axes for in_axis, received None"),
        (lambda: jax.he_normal(1.5), "expected a list of axes for in_axis, received 1.5"),
        (
            lambda: jax.he_normal(0, -2)((3, 4, 5)[:2]),
            "expected distinct in, out and batch axes of the shape (3, 4), received 0, -2, []",
        ),
        (lambda: jax.he_normal(3, 0)((3, 4)), "expected distinct in, out and batch axes of the"),
        (lambda: jax.orthogonal(column_axis="x"), "expected an axis for column_axis, received 'x'"),
        (lambda: jax.orthogonal(column_axis=2)((3, 4)), "expected a column_axis of the shape (3,"),
        (lambda: jax.orthogonal(column_axis=0)((3,)), "Orthogonal fills tensors of 2 axes or mo"),
        (lambda: jax.delta_orthogonal(column_axis=2), "expected a column_axis of a matrix, rece"),
        (lambda: jax.delta_orthogonal()((3, 4)), "DeltaOrthogonal fills tensors of 3 to 5 axes"),
        (lambda: jax.delta_orthogonal()((3, 4, 2)), "expected no more inputs than outputs, rece"),
        (lambda: jax.delta_orthogonal()((3, 2, 4), "int8"), "random values need a floating-point"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(RequestError) as error:
        make()
    assert str(error.value).startswith(message)
