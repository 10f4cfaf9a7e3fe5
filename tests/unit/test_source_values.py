"""Values that are known, as an initializer that makes them again."""

import json

import numpy as np
import pytest

import initlib
from initlib._sources._fold import Leaf
from initlib._sources._values import initializer_of


def table(dtype, *, interleaved=False, endpoint=False):
    """Sines and cosines of positions, as frameworks compute them."""
    steps = np.arange(64, dtype=dtype) / dtype(63 if endpoint else 64)
    angles = np.arange(1500, dtype=dtype)[:, np.newaxis] * np.exp(-np.log(dtype(10000)) * steps)
    parts = [np.sin(angles), np.cos(angles)]
    return np.stack(parts, -1).reshape(1500, 128) if interleaved else np.concatenate(parts, 1)


@pytest.mark.parametrize(
    ("values", "written"),
    [
        (np.zeros((3, 4)), "zeros"),
        (np.ones(3, np.int64), "ones"),
        (np.full((2, 2), 0.1, np.float32), "constant(0.1)"),
        (np.array(7), "constant(7)"),
        (np.array([1.5, 2.0]), "constant([1.5, 2.0])"),
        (np.array([True, False]), "constant([1, 0])"),
        # Equal rows are written once.
        (np.tile(np.array([0.1, 0.2], np.float32), (3, 4, 1)), "constant([0.1, 0.2])"),
        (np.zeros((0, 3)), "zeros"),
        (np.array([1.0, np.nan, 2.0]), None),
        (np.sin(np.arange(70000.0)), None),
        # What has a name of its own.
        (np.arange(5000), "arange"),
        (np.arange(512)[np.newaxis], "arange"),
        (np.arange(3, 1, -0.25, np.float32), "arange(start=3.0, step=-0.25)"),
        (table(np.float32, interleaved=True), "sinusoidal(order='interleaved', endpoint=False)"),
        (table(np.float32, endpoint=True), "sinusoidal(order='halves', endpoint=True)"),
        (table(np.float64)[:, ::-1], None),
    ],
)
def test_values(values, written):
    assert initializer_of(values) == written


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "bool"])
@pytest.mark.parametrize("shape", [(5,), (70, 40)])
def test_they_are_made_again(tmp_path, shape, dtype):
    values = (np.random.default_rng(1).normal(size=shape) * 10).astype(dtype)
    initializer = Leaf("w", shape, dtype, initializer_of(values)).written
    layer = {"name": "w", "shape": list(shape), "dtype": dtype, "initializer": initializer}
    initlib.generate({"layers": [json.loads(json.dumps(layer))]}, tmp_path / "m.safetensors")
    from safetensors.numpy import load_file

    assert np.array_equal(load_file(tmp_path / "m.safetensors")["w"], values)
