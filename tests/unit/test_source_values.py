"""Values that are known, as an initializer that makes them again."""

import json

import numpy as np
import pytest

import initlib
from initlib._sources._fold import Leaf
from initlib._sources._values import initializer_of


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
        (np.array([1.0, np.nan]), None),
        (np.arange(5000.0), None),
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
