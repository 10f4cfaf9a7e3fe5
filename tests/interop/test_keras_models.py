"""Keras models, from an archive or a config: what they begin with is what Keras begins with."""

import copy
import functools
import json
import os
import subprocess
import sys
import zipfile
from collections import Counter

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
import pytest
from keras import layers as L  # noqa: N812
from keras_archives import SMALL, write_archive
from scipy import stats

import initlib
from initlib._errors import RequestError
from initlib._sources import _keras
from initlib._sources._draft import Unknown
from initlib._sources._keras_config import walk
from initlib._sources._keras_import import KerasMissingError
from initlib._sources._keras_observed import observe

pytestmark = [
    # Keras's variables take no `copy` argument, which NumPy 2 asks for.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    # An optimizer that has trained stays as it is.
    pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning"),
]

normal = keras.initializers.RandomNormal(stddev=0.02)


# JAX compiles what draws values for each shape: models have few.
def dense():
    return keras.Sequential(
        [
            keras.Input((64,)),
            L.Dense(64, "relu", kernel_initializer="he_normal"),
            L.Dense(64, dtype="bfloat16"),
            L.Dense(64, kernel_initializer=normal, bias_initializer=keras.initializers.Constant(3)),
        ]
    )


def convolutional():
    inputs = x = keras.Input((16, 16, 8))
    for scale in (True, False):
        x = L.Conv2D(8, 3, kernel_initializer="lecun_uniform", use_bias=False)(x)
        x = L.BatchNormalization(scale=scale)(x)
        x = L.Dropout(0.2)(x)
    x = L.Conv2DTranspose(8, 3, dtype="mixed_bfloat16")(L.Rescaling(2.0)(x))
    return keras.Model(inputs, L.Dense(8)(L.GlobalAveragePooling2D()(x)))


def separable():
    inputs = x = keras.Input((12, 12, 8))
    x = L.DepthwiseConv2D(3, depth_multiplier=2, depthwise_initializer="he_uniform")(x)
    x = L.SeparableConv2D(8, 3, pointwise_initializer=normal)(x)
    return keras.Model(inputs, L.GroupNormalization(2)(x))


def recurrent():
    inputs = x = keras.Input((5, 8))
    x = L.Bidirectional(L.LSTM(8, return_sequences=True), "sum")(x)
    back = L.GRU(8, return_sequences=True, go_backwards=True)
    x = L.Bidirectional(L.LSTM(8, return_sequences=True), "sum", backward_layer=back)(x)
    x = L.RNN([L.LSTMCell(8, unit_forget_bias=False), L.GRUCell(8)], return_sequences=True)(x)
    return keras.Model(inputs, L.GRU(8)(L.TimeDistributed(L.Dense(8))(x)))


def transformer():
    tokens = keras.Input((10,), dtype="int32")
    x = L.Embedding(200, 24)(tokens)
    for _ in range(2):
        x = x + L.MultiHeadAttention(3, 8, kernel_initializer="he_uniform")(x, x)
        y = L.LayerNormalization()(x)
        y = L.EinsumDense("btd,dh->bth", (None, 48), bias_axes="h", activation="gelu")(y)
        x = x + L.Dense(24)(y)
    return keras.Model(tokens, L.RMSNormalization()(x))


def nested():
    inputs = keras.Input((8,))
    shared = L.Dense(8, kernel_initializer=keras.initializers.Orthogonal(seed=3))
    inner = keras.Sequential([L.Dense(8), L.Dense(8), shared], name="inner")
    x = shared(keras.ops.add(inner(shared(inputs)), 1.0))
    return keras.Model(inputs, [L.Dense(8)(x), inner(x)], name="nested")


def fitted():
    inputs = keras.Input((8,))
    model = keras.Model(inputs, L.Dense(8)(L.Normalization()(inputs)))
    model.compile("adam", "mse")
    model.fit(np.ones((4, 8)), np.ones((4, 8)), verbose=0)
    return model


def mobile():
    return keras.applications.MobileNet((32, 32, 3), alpha=0.25, weights=None, classes=10)


@keras.saving.register_keras_serializable("mine")
class Block(L.Layer):
    """A layer whose class only a program that has it can know."""

    def __init__(self, units, **others):
        super().__init__(**others)
        self.units, self.steps = units, [L.Dense(units), L.LSTM(units)]

    def build(self, shape):
        self.steps[0].build(shape)
        self.steps[1].build((None, None, self.units))
        self.scale = self.add_weight(shape=shape[-1:], initializer=normal)

    def call(self, inputs):
        return self.steps[0](inputs)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("mine")
class Network(keras.Model):
    """A model that is no graph of layers."""

    def __init__(self, **others):
        super().__init__(**others)
        self.blocks, self.head = [Block(8), Block(8)], L.Dense(8)

    def call(self, inputs):
        for block in self.blocks:
            inputs = block(inputs)
        return self.head(inputs)


class Unregistered(L.Layer):
    """A custom layer that Keras doesn't find."""


def drawn(shape, dtype=None):
    return keras.random.normal(shape, dtype=dtype)


def subclassed():
    model = Network()
    model(np.ones((1, 8), np.float32))
    return model


# Whose configs tell everything, and those of which Keras must be asked.
PLAIN = [dense, convolutional, separable, recurrent, transformer, nested, fitted, mobile]
MODELS = [*PLAIN, subclassed]


@functools.cache
def built(kind):
    """A model, and the values that Keras gave its variables."""
    keras.utils.set_random_seed(1)
    model = kind()
    return model, [variable.numpy() for variable in model.weights]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keras")

    def save(kind):
        path = folder / f"{kind.__name__}.keras"
        if not path.exists():
            built(kind)[0].save(path)
        return path

    return save


def alone(monkeypatch):
    """Take Keras away."""

    def missing(config):
        raise KerasMissingError("no Keras")

    monkeypatch.setattr(_keras, "observe", missing)


def layers(draft):
    """What a manifest lists, in any order: Keras may build layers side by side in another one."""
    return {layer["name"]: layer for layer in draft.manifest["layers"]}


@pytest.mark.parametrize("kind", MODELS)
def test_values_are_those_that_keras_would_draw(saved, tmp_path, monkeypatch, kind):
    if kind in PLAIN:
        alone(monkeypatch)
    draft = initlib.manifest(saved(kind))
    assert (draft.missing, draft.rules) == ((), None)
    initlib.generate(draft.manifest, tmp_path / "ours.weights.h5")
    model, theirs = built(kind)
    for variable in model.weights:
        variable.assign(np.full(variable.shape, -7))
    model.load_weights(tmp_path / "ours.weights.h5")
    for variable, before in zip(model.weights, theirs, strict=True):
        check(variable, before.astype(np.float64))


def check(variable, theirs):
    """Check that a variable was loaded, and that its values are drawn as Keras's were."""
    ours = variable.numpy().astype(np.float64)
    assert not (ours == -7).any(), variable.path
    # Constants, also in parts.
    if len(np.unique(theirs)) < 3:
        assert np.array_equal(ours, theirs), variable.path
        return
    # Six standard errors of the difference of two means, and of two deviations of normals, whose
    # tails are the longest here.
    error = theirs.std() / theirs.size**0.5
    assert abs(ours.mean() - theirs.mean()) < 6 * 2**0.5 * error, variable.path
    assert abs(ours.std() - theirs.std()) < 6 * error, variable.path
    assert stats.ks_2samp(ours.ravel(), theirs.ravel()).pvalue > 1e-8, variable.path
    if variable.name == "recurrent_kernel":
        assert np.allclose(ours @ ours.T, np.eye(len(ours)), atol=1e-5), variable.path


def as_config(path, archive):
    """Write the config in an archive to a file by itself."""
    with zipfile.ZipFile(archive) as opened:
        path.write_bytes(opened.read("config.json"))
    return path


@pytest.mark.parametrize("kind", PLAIN)
def test_configs_tell_what_keras_does(saved, tmp_path, monkeypatch, kind):
    asked = initlib.manifest(as_config(tmp_path / "config.json", saved(kind)))
    alone(monkeypatch)
    told = initlib.manifest(saved(kind))
    assert layers(told) == layers(asked)
    assert (told.tensors, told.parameters) == (asked.tensors, asked.parameters)


def test_what_a_program_registered_is_known(saved, tmp_path):
    archive = saved(subclassed)
    asked = initlib.manifest(as_config(tmp_path / "config.json", archive))
    assert asked.manifest == initlib.manifest(archive).manifest
    names = [layer["name"] for layer in asked.manifest["layers"]]
    assert "blocks/block_1/steps/lstm/cell/vars/2" in names
    bias = asked.manifest["layers"][names.index("blocks/block/steps/lstm/cell/vars/2")]
    assert bias["initializer"] == "concatenate([8, 8, 16], [zeros(), ones(), zeros()])"


def test_a_model_of_to_json(saved, tmp_path):
    (tmp_path / "model.json").write_text(built(transformer)[0].to_json())
    draft = initlib.manifest(tmp_path / "model.json")
    assert draft.manifest == initlib.manifest(saved(transformer)).manifest


def seen(layer, *shapes):
    """What initialises a layer's variables: as Keras makes them, and as the config tells."""
    inputs = [keras.Input(shape) for shape in shapes]
    if isinstance(layer, L.Attention):
        inputs = [inputs]
    with keras.StatelessScope(initialize_variables=False):
        config = json.loads(keras.Model(inputs, layer(*inputs)).to_json())
    found, told = observe(config), walk(config)
    beside = Counter(each.name.rpartition("/")[0] for each in found)
    return {
        each.name: (
            each.initializer,
            told.initializer(each.name, beside[each.name.rpartition("/")[0]]),
        )
        for each in found
    }


STEPS, IMAGE = (6, 4), (9, 9, 4)
OTHERS = {"kernel_initializer": "he_normal", "bias_initializer": normal}
# Of which the configs tell everything: layers, and the shapes of their inputs.
TOLD = [
    *((getattr(L, f"Conv{n}D")(3, 2, **OTHERS), (9,) * n + (4,)) for n in (1, 2, 3)),
    *((getattr(L, f"Conv{n}DTranspose")(3, 2), (9,) * n + (4,)) for n in (1, 2, 3)),
    *((getattr(L, f"ConvLSTM{n}D")(3, 2, **OTHERS), (3,) + (9,) * n + (4,)) for n in (1, 2, 3)),
    *((getattr(L, f"DepthwiseConv{n}D")(2), (9,) * n + (4,)) for n in (1, 2)),
    *((getattr(L, f"SeparableConv{n}D")(3, 2, use_bias=False), (9,) * n + (4,)) for n in (1, 2)),
    (L.BatchNormalization(center=False, moving_variance_initializer="zeros"), IMAGE),
    (L.LayerNormalization(scale=False), IMAGE),
    (L.GroupNormalization(2), IMAGE),
    (L.RMSNormalization(), IMAGE),
    (L.Normalization(), IMAGE),
    (L.PReLU("ones"), IMAGE),
    (L.LSTM(5, bias_initializer="ones"), STEPS),
    (L.LSTM(5, bias_initializer=normal, dtype="mixed_float16"), STEPS),
    (L.RNN([L.SimpleRNNCell(3), L.GRUCell(3), L.LSTMCell(4), L.LSTMCell(2)]), STEPS),
    (L.Dense(4, lora_rank=2, **OTHERS), STEPS),
    (L.Dense(4, kernel_initializer=keras.initializers.Constant([[1.0, 2, 3, 4]] * 4)), STEPS),
    (L.Dense(4, kernel_initializer=keras.initializers.Orthogonal(2.0, seed=3)), STEPS),
    (L.Dense(4, kernel_initializer=keras.initializers.VarianceScaling(2, "fan_out")), STEPS),
    (
        L.Dense(4, kernel_initializer=keras.initializers.HeNormal(keras.random.SeedGenerator())),
        STEPS,
    ),
    (L.Dense(4, kernel_initializer=None, bias_initializer=None), STEPS),
    (L.EinsumDense("...x,xyz->...yz", (3, 5), kernel_initializer="lecun_normal"), STEPS),
    (L.EinsumDense("abc,bcd->abd", (6, 7), bias_axes="d"), STEPS),
    (L.MultiHeadAttention(2, 3, output_shape=(3, 5), use_gate=True), STEPS, STEPS),
    (L.MultiHeadAttention(2, 3, use_bias=False, **OTHERS), STEPS, STEPS),
    (L.GroupQueryAttention(3, 4, 2, use_gate=True), STEPS, STEPS),
    (L.Attention(use_scale=True), STEPS, STEPS),
    (L.AdditiveAttention(), STEPS, STEPS),
    (L.Embedding(9, 3, embeddings_initializer="truncated_normal"), (4,)),
    (L.ReversibleEmbedding(9, 3), (4,)),
]
# Of which Keras must be asked.
ASKED = [
    (L.BatchNormalization(renorm=True), IMAGE),
    (L.SpectralNormalization(L.Conv2D(3, 2)), IMAGE),
    (L.ReversibleEmbedding(9, 3, tie_weights=False), (4,)),
    (L.Dense(4, dtype="int8_from_float32"), STEPS),
    (L.Dense(4, dtype="float8_from_float32"), STEPS),
    (L.STFTSpectrogram(), (500, 1)),
]


def name(case):
    return case[0].name


@pytest.mark.parametrize("case", TOLD, ids=name)
def test_what_configs_tell_of_a_layer(case):
    found = seen(*case)
    assert found
    for variable, (keras_says, config_says) in found.items():
        # Functions, of parts that are random, are known by configs alone.
        assert config_says == keras_says or isinstance(keras_says, Unknown), variable
        assert isinstance(config_says, str), variable


@pytest.mark.parametrize("case", ASKED, ids=name)
def test_what_keras_tells_of_a_layer(case):
    """Nothing that configs tell alone is wrong, and Keras tells the rest."""
    for variable, (keras_says, config_says) in seen(*case).items():
        assert isinstance(keras_says, str), variable
        assert config_says in (None, keras_says), variable


def test_what_the_unit_tests_have_is_kerass(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text(json.dumps(SMALL["config"]))
    asked = initlib.manifest(tmp_path / "config.json")
    alone(monkeypatch)
    told = initlib.manifest(
        write_archive(tmp_path / "small.keras", SMALL["config"], SMALL["variables"])
    )
    assert told.manifest == asked.manifest


@pytest.fixture
def config(tmp_path):
    """Write a model's config as model.to_json() has it; return the file."""

    def write(*layers, build=keras.Sequential):
        with keras.StatelessScope(initialize_variables=False):
            (tmp_path / "model.json").write_text(build(list(layers)).to_json())
        return tmp_path / "model.json"

    return write


def test_values_take_no_memory(config):
    rows = 2_000_000
    path = config(keras.Input((9,)), L.Embedding(rows, 4096), L.LSTM(20_000), L.Dense(rows))
    assert initlib.manifest(path).parameters > 50_000_000_000


def test_nothing_is_left_of_it(config):
    path = config(keras.Input((4,)), L.Dense(3, name="d"), L.Dropout(0.5))
    tracker = keras.src.backend.common.global_state.GLOBAL_STATE_TRACKER
    before = {name: copy.copy(value) for name, value in vars(tracker).items()}
    initlib.manifest(path)
    assert vars(tracker) == before


def test_states_between_batches_are_no_weights(tmp_path):
    model = keras.Sequential([keras.Input(batch_shape=(2, 6, 4)), L.GRU(5, stateful=True)])
    (tmp_path / "model.json").write_text(model.to_json())
    assert initlib.manifest(tmp_path / "model.json").tensors == 3


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([L.Dense(3)], "it has no shapes: build the model before its config is saved"),
        ([keras.Input((3,)), Unregistered()], "it has the custom 'Unregistered': call initlib."),
        ([keras.Input((3,)), L.Lambda(lambda x: x)], "Keras can't make it: Requested the deseria"),
        ([keras.Input((3,)), L.Dense(2, drawn)], "Keras can't make it: Could not locate function"),
    ],
)
def test_what_keras_cannot_make(config, layers, message):
    path = config(*layers)
    with pytest.raises(RequestError) as caught:
        initlib.manifest(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("backend", ["torch", "tensorflow"])
def test_the_command_by_itself(config, tmp_path, backend):
    """Another backend, nothing in the home folder, no log on standard error."""
    path = config(keras.Input((4, 8)), L.LSTM(3), L.BatchNormalization())
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if "KERAS" not in name}
    environment |= {"HOME": str(home), "KERAS_BACKEND": backend}
    run = subprocess.run(
        [sys.executable, "-m", "initgen", "manifest", path.name, "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if backend == "tensorflow":
        assert (run.returncode, run.stdout) == (2, "")
        assert run.stderr == (
            "initgen: model.json: Keras needs tensorflow, which isn't installed; pip install jax\n"
        )
        return
    assert (run.returncode, run.stderr) == (0, "")
    assert json.loads(run.stdout) == initlib.manifest(path).manifest
    assert not list(home.glob("*keras*")) + list(home.glob(".keras"))
