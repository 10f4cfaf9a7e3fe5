"""What the frameworks save, as initlib reads it: the values are the framework's, bit for bit."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
import pytest
import safetensors.numpy
import torch
import transformers
from safetensors.torch import save_file

from initlib._checkpoint import open_checkpoint
from initlib._description import Unread
from initlib._dtypes import DTYPES

# Keras's own calls of NumPy are not what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:keras")


def values(checkpoint):
    """Every tensor's dtype, shape and bytes."""
    found = {}
    for tensor in checkpoint.tensors:
        out = np.empty(tensor.entry.size, tensor.entry.dtype)
        half = out.size // 2
        checkpoint.read_into(tensor, 0, out[:half])
        checkpoint.read_into(tensor, half, out[half:])
        found[tensor.entry.name] = (out.dtype.name, tensor.entry.shape, out.tobytes())
    return found


def of_torch(tensor):
    flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    return str(tensor.dtype).split(".")[1], tuple(tensor.shape), flat.numpy().tobytes()


def test_torch(tmp_path):
    """Every dtype of ours, and those that only torch and safetensors have."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(7, 3, generator=generator)
    saved = {name: noise.to(getattr(torch, name)) for name in DTYPES}
    others = {
        "C64": noise.to(torch.complex64),
        "F8_E4M3FNUZ": noise.to(torch.float8_e4m3fnuz),
        "F8_E5M2FNUZ": noise.to(torch.float8_e5m2fnuz),
        "F8_E8M0": noise.abs().to(torch.float8_e8m0fnu),
    }
    save_file(saved | others, tmp_path / "m.safetensors", {"format": "pt"})
    with open_checkpoint(tmp_path / "m.safetensors") as checkpoint:
        assert values(checkpoint) == {name: of_torch(tensor) for name, tensor in saved.items()}
        assert set(checkpoint.unread) == {
            Unread(code, f"dtype {code}", "m.safetensors") for code in others
        }
        assert checkpoint.metadata == ({"format": "pt"},)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_transformers_shards(tmp_path, dtype):
    config = transformers.GPT2Config(n_layer=2, n_embd=32, n_head=2, vocab_size=500, n_positions=64)
    torch.manual_seed(1)
    model = transformers.GPT2LMHeadModel(config).to(getattr(torch, dtype))
    model.save_pretrained(tmp_path, max_shard_size="30KB")
    shards = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert len(shards) > 2
    wanted = {name: of_torch(tensor) for name, tensor in model.named_parameters()}
    for path in (tmp_path, tmp_path / "model.safetensors.index.json"):
        with open_checkpoint(path) as checkpoint:
            assert values(checkpoint) == wanted
            assert checkpoint.names == tuple(shards)
            assert checkpoint.unread == ()


def test_shards_of_pickles_are_refused_with_the_way_out(tmp_path):
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text('{"weight_map": {"w": "pytorch_model-00001-of-00001.bin"}}')
    with pytest.raises(OSError, match="is no safetensors file; save it as safetensors"):
        open_checkpoint(index)
    torch.save({"w": torch.ones(3)}, tmp_path / "m.pt")
    with pytest.raises(OSError, match=r"a PyTorch checkpoint; save it with safetensors\.torch"):
        open_checkpoint(tmp_path / "m.pt")
    torch.save({"w": torch.ones(3)}, tmp_path / "old", _use_new_zipfile_serialization=False)
    with pytest.raises(OSError, match=r"a pickle, as of torch\.save"):
        open_checkpoint(tmp_path / "old")
    np.savez(tmp_path / "m.npz", w=np.ones(3))
    with pytest.raises(OSError, match="a file of NumPy arrays"):
        open_checkpoint(tmp_path / "m.npz")


def small_model(policy):
    keras.utils.set_random_seed(1)
    policy = keras.DTypePolicy(policy)
    model = keras.Sequential(
        [
            keras.Input((8, 4), dtype=policy.compute_dtype),
            keras.layers.Conv1D(5, 3, name="conv", dtype=policy),
            keras.layers.BatchNormalization(dtype=policy),
            keras.layers.Flatten(dtype=policy),
            keras.Sequential([keras.layers.Dense(2, dtype=policy)]),
        ]
    )
    for variable in model.weights:
        variable.assign(keras.random.normal(variable.shape, seed=2))
    return model


def of_keras(model):
    arrays = [np.asarray(variable.value) for variable in model.weights]
    return sorted((array.dtype.name, array.shape, array.tobytes()) for array in arrays)


@pytest.mark.parametrize("policy", ["float32", "float16", "bfloat16", "mixed_bfloat16"])
@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5"])
def test_keras(tmp_path, policy, name):
    model = small_model(policy)
    (model.save_weights if "weights" in name else model.save)(tmp_path / name)
    with open_checkpoint(tmp_path / name) as checkpoint:
        found = values(checkpoint)
        assert checkpoint.format == ("keras" if name == "m.keras" else "hdf5")
        assert sorted(found.values()) == of_keras(model)
        assert all(tensor.offset is not None for tensor in checkpoint.tensors)
        assert checkpoint.unread == ()


@pytest.mark.parametrize("policy", ["float32", "float16", "bfloat16"])
def test_keras_models_of_the_older_format(tmp_path, policy):
    """There bfloat16 is two bytes without a word of what they mean: Keras can't load it either."""
    model = small_model(policy)
    model.save(tmp_path / "m.h5")
    with open_checkpoint(tmp_path / "m.h5") as checkpoint:
        if policy == "bfloat16":
            assert checkpoint.tensors == ()
            assert {row.what for row in checkpoint.unread} == {"opaque values of 2 bytes"}
            assert len(checkpoint.unread) == len(model.weights)
        else:
            assert sorted(values(checkpoint).values()) == of_keras(model)
            assert checkpoint.unread == ()


def test_safetensors_of_numpy(tmp_path):
    saved = {"w": np.arange(12.0).reshape(3, 4), "s": np.array(3, np.uint16)}
    safetensors.numpy.save_file(saved, tmp_path / "m.safetensors")
    with open_checkpoint(tmp_path / "m.safetensors") as checkpoint:
        assert values(checkpoint) == {
            name: (array.dtype.name, array.shape, array.tobytes()) for name, array in saved.items()
        }
