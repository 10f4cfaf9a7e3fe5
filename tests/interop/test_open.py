"""`initlib.open` beside `safetensors.safe_open`, for torch and JAX."""

import jax
import numpy as np
import pytest
import torch
from safetensors import safe_open

import initlib

LAYERS = [
    {"name": "a.weight", "shape": [64, 48], "initializer": "he_normal"},
    {"name": "a.bias", "shape": [48], "initializer": "zeros", "dtype": "float64"},
    {"name": "b.weight", "shape": [8, 8, 3, 3], "initializer": "uniform_", "dtype": "bfloat16"},
    {"name": "c.weight", "shape": [40, 6], "initializer": "normal_", "dtype": "float8_e4m3fn"},
    {"name": "c.half", "shape": [], "initializer": "normal_", "dtype": "float16"},
    {"name": "d.ids", "shape": [32], "initializer": "arange", "dtype": "int64"},
    {"name": "d.mask", "shape": [32, 2], "initializer": "ones", "dtype": "bool"},
    {"name": "e.weight", "shape": [24, 24], "initializer": "orthogonal"},
]
MANIFEST = {"seed": 3, "layers": LAYERS}
INDICES = [np.s_[...], np.s_[0], np.s_[1:3], np.s_[2:, ...], np.s_[..., -1], np.s_[::2]]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("open") / "model.safetensors"
    initlib.generate(MANIFEST, path)
    return path


@pytest.mark.parametrize("framework", ["pt", "torch"])
def test_torch(path, framework):
    with safe_open(path, "pt") as file, initlib.open(MANIFEST, framework) as weights:
        assert weights.keys() == sorted(file.keys())
        for name in weights.keys():  # noqa: SIM118
            made, stored = weights.get_tensor(name), file.get_tensor(name)
            assert made.dtype == stored.dtype
            assert made.shape == stored.shape
            bits = [x.reshape(-1).view(torch.uint8) for x in (made, stored)]
            assert torch.equal(*bits)
            mine, theirs = weights.get_slice(name), file.get_slice(name)
            assert (mine.get_shape(), mine.get_dtype()) == (theirs.get_shape(), theirs.get_dtype())


@pytest.mark.parametrize("name", ["a.weight", "b.weight", "d.mask", "e.weight"])
@pytest.mark.parametrize("index", INDICES)
def test_slices_as_safetensors(path, name, index):
    with safe_open(path, "pt") as file:
        stored = file.get_slice(name)[index]
    made = initlib.open(MANIFEST, "pt", device="cpu").get_slice(name)[index]
    assert made.dtype == stored.dtype
    assert torch.equal(made, stored)


def test_no_memory_on_meta():
    assert initlib.open(MANIFEST, "pt", device="meta").get_tensor("a.weight").is_meta


def test_jax(path):
    weights = initlib.open(MANIFEST, "flax", only=["a.weight", "b.*", "c.half", "d.mask", "e.*"])
    with safe_open(path, "flax") as file:
        for name in weights.keys():  # noqa: SIM118
            made, stored = weights.get_tensor(name), file.get_tensor(name)
            assert isinstance(made, jax.Array)
            assert made.dtype == stored.dtype
            assert np.asarray(made).tobytes() == np.asarray(stored).tobytes()


def test_jax_doesnt_narrow_in_silence(path):
    weights = initlib.open(MANIFEST, "jax", device="cpu")
    with pytest.raises(initlib.RequestError, match="no float64 unless jax_enable_x64"):
        weights.get_tensor("a.bias")
    with jax.enable_x64(True):
        assert weights.get_tensor("a.bias").dtype == np.float64


def test_what_is_no_device():
    with pytest.raises(initlib.RequestError, match="expected a device of torch's, received 'gpo'"):
        initlib.open(MANIFEST, "pt", device="gpo")
    # Built without it, as here, or on a machine without one.
    for device in ("cuda", "xpu"):
        with pytest.raises(initlib.RequestError, match=f"received '{device}': "):
            initlib.open(MANIFEST, "pt", device=device)
    with pytest.raises(initlib.RequestError, match="JAX has no device 'gpo'"):
        initlib.open(MANIFEST, "jax", device="gpo")
