"""Initializers under JAX's names draw what JAX's draw."""

import jax
import numpy as np
import pytest
from scipy.stats import ks_2samp

from initlib import initializers

AXES = [{}, {"in_axis": 0, "out_axis": (1, 2)}, {"in_axis": -1, "out_axis": 0, "batch_axis": [1]}]
CASES = [
    f"{family}_{law}"
    for family in ("glorot", "he", "kaiming", "lecun", "xavier")
    for law in ("normal", "uniform")
]
CALLS = [
    *(("normal", {"stddev": stddev}) for stddev in (0.01, 3)),
    *(("uniform", {"scale": scale}) for scale in (0.01, 3)),
    *(("truncated_normal", {"stddev": stddev}) for stddev in (0.01, 3)),
    *(
        ("variance_scaling", {"scale": 2, "mode": mode, "distribution": law, **axes})
        for mode in ("fan_in", "fan_out", "fan_avg", "fan_geo_avg")
        for law in ("normal", "truncated_normal", "uniform")
        for axes in AXES
    ),
    *((name, axes) for name in CASES for axes in AXES),
]


@pytest.mark.parametrize(("name", "arguments"), CALLS)
def test_values_are_drawn_alike(name, arguments):
    shape = (30, 40, 50)
    theirs = getattr(jax.nn.initializers, name)(**arguments)(jax.random.key(1), shape)
    theirs = np.asarray(theirs).ravel()
    ours = getattr(initializers.jax, name)(**arguments, seed=1)(shape).ravel()
    # Chance exceeds six standard errors twice in 10^9.
    spread, size = theirs.std(), ours.size
    assert abs(ours.mean() - theirs.mean()) < 6 * spread * np.sqrt(2 / size)
    assert abs(ours.std() - spread) < 6 * spread / np.sqrt(size)
    assert ks_2samp(ours, theirs).pvalue > 1e-9


@pytest.mark.parametrize("name", ["zeros", "ones"])
def test_constants(name):
    theirs = getattr(jax.nn.initializers, name)(jax.random.key(1), (2, 3))
    assert np.array_equal(theirs, getattr(initializers.jax, name)()((2, 3)))
    theirs = jax.nn.initializers.constant(2.5)(jax.random.key(1), (2, 3))
    assert np.array_equal(theirs, initializers.jax.constant(2.5)((2, 3)))


@pytest.mark.parametrize("column_axis", [-1, 0, 1])
@pytest.mark.parametrize("shape", [(6, 4, 5), (3, 40), (40, 3)])
def test_orthogonal_matrices(shape, column_axis):
    theirs = jax.nn.initializers.orthogonal(2.0, column_axis)(jax.random.key(1), shape)
    ours = initializers.jax.orthogonal(2.0, column_axis, seed=1)(shape)
    for values in (np.asarray(theirs), ours):
        matrix = np.moveaxis(values, column_axis, -1).reshape(-1, shape[column_axis])
        rows, columns = matrix.shape
        gram = matrix.T @ matrix if rows >= columns else matrix @ matrix.T
        np.testing.assert_allclose(gram, 4 * np.eye(min(rows, columns)), atol=1e-5)


@pytest.mark.parametrize("kernel", [(3,), (4, 5), (2, 1, 3)])
@pytest.mark.parametrize("column_axis", [-1, 0])
def test_delta_orthogonal_kernels(kernel, column_axis):
    shape = (*kernel, 5, 7)
    theirs = jax.nn.initializers.delta_orthogonal(2.0, column_axis)(jax.random.key(1), shape)
    ours = initializers.jax.delta_orthogonal(2.0, column_axis, seed=1)(shape)
    assert np.array_equal(ours != 0, np.asarray(theirs) != 0)
    matrix = ours.reshape(-1, 5, 7).sum(0)
    np.testing.assert_allclose(matrix @ matrix.T, 4 * np.eye(5), atol=1e-5)


def test_every_name_is_here():
    theirs = {name for name in dir(jax.nn.initializers) if name[0] not in "_I"}
    assert theirs == set(initializers.jax.__all__)
    assert {f"jax.{name}" for name in theirs} <= initializers.IDENTIFIERS.keys()
