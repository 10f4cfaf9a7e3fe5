"""Files of every dtype, loaded by torch and Keras themselves. Needs their environment."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import h5py
import keras
import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from initlib._dtypes import DTYPES
from initlib._formats import FORMATS, Entry, format_for

# Keras's own calls of NumPy are not what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:keras")

POLICIES = ("float32", "float16", "bfloat16", "mixed_bfloat16")


def write(path, entries, values, metadata):
    offsets = format_for(path).create(path, entries, metadata)
    with path.open("r+b") as file:
        for entry, offset in zip(entries, offsets, strict=True):
            file.seek(offset)
            file.write(values[entry.name])


def small_model(policy, seed):
    keras.utils.set_random_seed(seed)
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
    # Zeros and ones, which many biases and scales are, would look loaded when they are not.
    for variable in model.weights:
        variable.assign(keras.random.normal(variable.shape, seed=seed + 1))
    return model


def weights(model):
    """Every variable's dtype and bytes, in Keras's order."""
    arrays = [np.asarray(variable.value) for variable in model.weights]
    return [(array.dtype.name, array.tobytes()) for array in arrays]


def test_torch_reads_every_dtype_bit_for_bit(tmp_path):
    path = tmp_path / "m.safetensors"
    rng = np.random.default_rng(1)
    shapes = ((3, 5), (), (0, 2), (7,))
    entries = [Entry(f"{n}.{s}", d, s) for n, d in DTYPES.items() for s in shapes]
    values = {e.name: rng.bytes(e.nbytes) for e in entries if e.dtype != np.bool_}
    values |= {
        e.name: bytes(i % 2 for i in range(e.nbytes)) for e in entries if e.dtype == np.bool_
    }
    write(path, entries, values, {"format": "pt", "initgen": "{}"})
    tensors = load_file(path)
    assert len(tensors) == len(entries) == 60
    for entry in entries:
        tensor = tensors[entry.name]
        assert str(tensor.dtype) == f"torch.{entry.name.split('.')[0]}"
        assert tensor.shape == entry.shape
        flat = tensor.reshape(-1).view(torch.uint8)
        assert flat.numpy().tobytes() == values[entry.name]
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"format": "pt", "initgen": "{}"}


def test_we_read_what_torch_saves(tmp_path):
    path = tmp_path / "m.safetensors"
    dtypes = {name: getattr(torch, name) for name in DTYPES}
    saved = {f"é.{name}": torch.ones(3, 2).to(dtype) for name, dtype in dtypes.items()}
    save_file(saved, path, metadata={"format": "pt"})
    contents, data = FORMATS["safetensors"].read(path), path.read_bytes()
    assert contents.metadata == {"format": "pt"}
    assert {entry.name for entry in contents.entries} == set(saved)
    for entry, offset in zip(contents.entries, contents.offsets, strict=True):
        assert entry.name == f"é.{entry.dtype}"
        array = np.frombuffer(data, entry.dtype, 6, offset).reshape(entry.shape)
        assert np.array_equal(array.astype(np.float64), np.ones((3, 2)))


@pytest.mark.parametrize("policy", POLICIES)
def test_keras_loads_weights(tmp_path, policy):
    """The names that Keras saves a model under, written by us, load into another such model."""
    keras_file, ours = tmp_path / "keras.weights.h5", tmp_path / "ours.weights.h5"
    model, other = small_model(policy, 1), small_model(policy, 2)
    model.save_weights(keras_file)
    contents, data = FORMATS["hdf5"].read(keras_file), keras_file.read_bytes()
    assert "layers/conv1d/vars/0" in {entry.name for entry in contents.entries}
    assert len(contents.entries) == len(model.weights) == 8
    values = {
        entry.name: data[offset : offset + entry.nbytes]
        for entry, offset in zip(contents.entries, contents.offsets, strict=True)
    }
    write(ours, contents.entries, values, {"format": "pt", "initgen": "é" * 70_000})
    assert weights(other) != weights(model)
    other.load_weights(ours)
    assert weights(other) == weights(model)


@pytest.mark.parametrize("policy", ["float32", "bfloat16"])
def test_datasets_are_those_of_keras(tmp_path, policy):
    keras_file, ours = tmp_path / "keras.weights.h5", tmp_path / "ours.weights.h5"
    model = small_model(policy, 1)
    model.save_weights(keras_file)
    FORMATS["hdf5"].create(ours, FORMATS["hdf5"].read(keras_file).entries, {})
    with h5py.File(keras_file) as theirs, h5py.File(ours) as file:
        first, second = theirs["layers/conv1d/vars/0"], file["layers/conv1d/vars/0"]
        assert first.id.get_type() == second.id.get_type()
        assert first.shape == second.shape
        assert dict(first.attrs) == dict(second.attrs)
        assert bool(first.attrs) == (policy == "bfloat16")


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_h5py_gives_back_what_numpy_has_no_type_for(tmp_path, name):
    path = tmp_path / "m.h5"
    values = np.arange(-4, 4).astype(getattr(ml_dtypes, name))
    write(path, [Entry("w", values.dtype, (8,))], {"w": values.tobytes()}, {})
    with h5py.File(path) as file:
        dataset = file["w"]
        assert dataset.attrs["dtype"] == name
        assert np.array_equal(dataset[()].view(values.dtype), values)
