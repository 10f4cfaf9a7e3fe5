"""`initlib.jax` on eight devices: a program that prints nothing if all is as it should be."""

import os
import re
import sys

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"

import jax
import numpy as np
import pytest
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding
from safetensors.flax import load_file

import initlib

LAYERS = [
    {"name": "dense/kernel", "shape": [16, 24], "initializer": "he_normal"},
    {"name": "dense/bias", "shape": [24], "initializer": "zeros", "dtype": "bfloat16"},
    {"name": "conv/kernel", "shape": [3, 3, 8, 16], "initializer": "uniform", "dtype": "float16"},
    {"name": "square/kernel", "shape": [8, 8], "initializer": "orthogonal"},
    {"name": "scale", "shape": [], "initializer": "normal"},
    {"name": "wide", "shape": [8], "initializer": "zeros", "dtype": "float64"},
]
SOURCE = {"seed": 5, "layers": LAYERS[:-1]}


def main(path):
    assert len(jax.devices()) == 8
    initlib.generate(SOURCE, path)
    stored = load_file(path)
    mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("data", "model"))

    def on(*axes):
        return NamedSharding(mesh, PartitionSpec(*axes))

    for shardings in (
        {"kernel": on("data"), "bias": on("model")},
        {"kernel": on("data", "model"), "bias": on(("data", "model"))},
        {"kernel": on(None, ("model", "data")), "bias": on()},
        {"kernel": SingleDeviceSharding(jax.devices()[3]), "bias": on(None)},
    ):
        made = initlib.jax.arrays(path, {"dense": shardings})
        for key, sharding in shardings.items():
            check(made["dense"][key], stored[f"dense/{key}"], sharding)
    flat = {
        name: on("data") if tensor.shape[:1] == (16,) else on() for name, tensor in stored.items()
    }
    for made in (
        initlib.jax.arrays(SOURCE, flat),
        initlib.jax.arrays(SOURCE, lambda name, shape: flat[name]),
    ):
        assert made.keys() == stored.keys()
        for name, array in made.items():
            check(array, stored[name], flat[name])
    weights = initlib.open(SOURCE)
    for source in (weights, SOURCE):
        check(initlib.jax.array(source, "scale", on()), stored["scale"], on())
    for name, array in initlib.jax.arrays(weights, on()).items():
        check(array, stored[name], on())
    layers = [{"name": "a.0.w", "shape": [8], "initializer": "normal"}]
    nested = initlib.jax.arrays({"layers": layers}, {"a": [{"w": on("data")}]}, separator=".")
    assert nested["a"][0]["w"].shape == (8,)
    check_donated(path, stored, on)
    check_parts(mesh)
    check_refused(on)


def check(made, stored, sharding):
    assert made.sharding == sharding
    assert (made.shape, made.dtype) == (stored.shape, stored.dtype)
    assert np.asarray(made).tobytes() == np.asarray(stored).tobytes()
    for shard in made.addressable_shards:
        assert np.asarray(shard.data).tobytes() == np.asarray(stored[shard.index]).tobytes()


def check_donated(path, stored, on):
    """Arrays of several devices may be of the same memory: none may write into it."""
    kernel = initlib.jax.arrays(path, {"dense/kernel": on("data")})["dense/kernel"]
    step = jax.jit(lambda x: x + 1, donate_argnums=0)
    made = step(kernel)
    assert np.array_equal(np.asarray(made), np.asarray(stored["dense/kernel"]) + 1)
    for shard in made.addressable_shards:
        assert np.array_equal(np.asarray(shard.data), np.asarray(made)[shard.index])


def check_parts(mesh):
    """Each part is made alone, and what two devices hold alike is made once."""
    from initlib._open import TensorSlice

    source = {"layers": [{"name": "w", "shape": [8, 10**6], "initializer": "normal"}]}
    asked = []
    read_into = TensorSlice.read_into
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            TensorSlice,
            "read_into",
            lambda part, index, out: (asked.append(out.size), read_into(part, index, out)),
        )
        initlib.jax.arrays(source, {"w": NamedSharding(mesh, PartitionSpec("data"))})
    assert asked == [2 * 10**6] * 4


def check_refused(on):
    for function, message in (
        (lambda: initlib.jax.arrays(SOURCE, {"dense/kernl": on()}), "no tensor is called 'dense/"),
        (lambda: initlib.jax.arrays(SOURCE, {"scale": 3}), "'scale': expected a sharding of JAX's"),
        (
            lambda: initlib.jax.arrays(SOURCE, {"conv/kernel": on("data")}),
            "'conv/kernel': the sharding doesn't fit [3, 3, 8, 16]: ",
        ),
        (
            lambda: initlib.jax.arrays(SOURCE, {"scale": on("data")}),
            "'scale': the sharding doesn't",
        ),
        (
            lambda: initlib.jax.arrays({"layers": LAYERS}, {"wide": on("data")}),
            "'wide': JAX has no float64 unless jax_enable_x64 is set",
        ),
        (
            lambda: initlib.jax.arrays(
                SOURCE, {"scale": NamedSharding(AbstractMesh((2,), ("x",)), PartitionSpec())}
            ),
            "'scale': the sharding doesn't fit []: ",
        ),
        (lambda: initlib.jax.arrays(SOURCE, lambda name, shape: None), "'dense/kernel': expected"),
    ):
        with pytest.raises(initlib.RequestError, match=f"^{re.escape(message)}") as raised:
            function()
        assert "\n" not in str(raised.value)


main(sys.argv[1])
