"""What others save becomes a manifest, and what that makes they load: whole or in shards."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ["HF_HUB_OFFLINE"] = "1"

import keras
import pytest
import torch
import transformers

import initlib

SMALL = {
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "vocab_size": 300,
}
# Decoders, encoders, both, vision, a mixture of experts, a state space.
CONFIGS = {
    "gpt2": transformers.GPT2Config(n_embd=48, n_layer=3, n_head=4, vocab_size=300),
    "llama": transformers.LlamaConfig(**SMALL, num_key_value_heads=2),
    "bert": transformers.BertConfig(**SMALL),
    "t5": transformers.T5Config(
        d_model=48, d_kv=12, d_ff=64, num_layers=3, num_heads=4, vocab_size=300
    ),
    "vit": transformers.ViTConfig(
        **{key: value for key, value in SMALL.items() if key != "vocab_size"},
        image_size=32,
        patch_size=8,
    ),
    "mixtral": transformers.MixtralConfig(**SMALL, num_key_value_heads=2, num_local_experts=4),
    "mamba": transformers.MambaConfig(
        hidden_size=48, num_hidden_layers=3, vocab_size=300, state_size=8
    ),
}


def built(kind):
    """Build a model with random values, by the framework."""
    torch.manual_seed(1)
    config = CONFIGS[kind]
    classes = {
        "bert": transformers.BertForMaskedLM,
        "t5": transformers.T5ForConditionalGeneration,
        "vit": transformers.ViTForImageClassification,
    }
    if kind in classes:
        return classes[kind](config)
    return transformers.AutoModelForCausalLM.from_config(config)


@pytest.mark.parametrize("size", ["5GB", "40KB"])
@pytest.mark.parametrize("kind", CONFIGS)
def test_a_model_of_transformers(tmp_path, kind, size):
    model = built(kind)
    model.save_pretrained(tmp_path / "theirs")
    rules = kind if kind in ("gpt2", "llama") else "torch"
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
    built("mixtral").save_pretrained(tmp_path)
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
