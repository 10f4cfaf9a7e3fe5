"""What others save becomes a manifest, and what that makes they load: whole or in shards."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import pytest
from architectures import CONFIGS, built

import initlib

# Of whose names a set of rules knows more than of any torch module's.
RULES = {"GPT2LMHeadModel": "gpt2", "LlamaForCausalLM": "llama"}


@pytest.mark.parametrize("size", ["5GB", "40KB"])
@pytest.mark.parametrize("kind", CONFIGS)
def test_a_model_of_transformers(tmp_path, kind, size):
    model = built(kind)
    model.save_pretrained(tmp_path / "theirs")
    rules = RULES.get(kind, "torch")
    draft = initlib.manifest(tmp_path / "theirs", rules=rules)
    assert not draft.partial
    ours = tmp_path / "ours"
    done = initlib.generate(
        draft.manifest, ours, max_shard_size=size, copy_from=tmp_path / "theirs"
    )
    assert (len(done.files) > 1) is (size == "40KB")
    loaded, report = type(model).from_pretrained(ours, output_loading_info=True)
    assert not any(report.values()), report
    theirs = dict(model.named_parameters())
    for name, parameter in loaded.named_parameters():
        assert parameter.shape == theirs[name].shape
        if rules != "torch" and theirs[name].std() > 0:
            a, b = parameter.std().item(), theirs[name].std().item()
            assert abs(a - b) < 6 * b / parameter.numel() ** 0.5, name


def test_blocks_of_transformers_are_repeats(tmp_path):
    built("MixtralForCausalLM").save_pretrained(tmp_path)
    layers = initlib.manifest(tmp_path, rules="llama").manifest["layers"]
    repeats = [item for item in layers if "repeat" in item]
    assert [item["repeat"] for item in repeats] == [{"i": 3}]
    assert len(layers) < 6


def network():
    """Build a Keras model that has most kinds of layers."""
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3)(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.DepthwiseConv2D(3)(x)
    x = keras.layers.LayerNormalization()(x)
    x = keras.layers.Reshape((-1, 4))(x)
    x = keras.layers.Bidirectional(keras.layers.LSTM(5, return_sequences=True))(x)
    x = keras.layers.MultiHeadAttention(2, 3)(x, x)
    x = keras.layers.GRU(6)(x)
    return keras.Model(inputs, keras.layers.Dense(7)(x))


# Keras's variables take no `copy` argument, which NumPy 2 asks for.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("name", ["m.weights.h5", "m.keras"])
def test_a_model_of_keras(tmp_path, name):
    model = network()
    path = tmp_path / name
    model.save_weights(path) if name.endswith(".h5") else model.save(path)
    draft = initlib.manifest(path)
    # Weights alone don't say how they began; an archive does.
    assert (draft.rules, draft.partial) == ("keras" if path.suffix == ".h5" else None, False)
    ours = tmp_path / "ours.weights.h5"
    initlib.generate(draft.manifest, ours)
    model.load_weights(ours)
    for variable in model.variables:
        values = variable.numpy()
        if variable.name in ("gamma", "moving_variance"):
            assert (values == 1).all(), variable.path
        elif variable.name in ("beta", "moving_mean"):
            assert (values == 0).all(), variable.path
