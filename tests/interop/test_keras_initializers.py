"""initlib's initializers beside Keras's own: configs, values, errors, layers, saved models."""

import math
import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import keras
import ml_dtypes
import numpy as np
import pytest
import torch
from keras.src.initializers import ALL_OBJECTS_DICT
from keras.src.initializers.random_initializers import compute_fans
from scipy import stats

from initlib import initializers, random
from initlib._dtypes import FLOATS
from initlib._stream import Stream
from initlib.initializers import Target, draws_for, materialize

# Both sides construct these.
CALLS = [
    ("Zeros", {}),
    ("Ones", {}),
    ("Constant", {}),
    ("Constant", {"value": 2.5}),
    ("Constant", {"value": np.arange(6, dtype="int16").reshape(2, 3)}),
    ("Constant", {"value": np.array([0.5, 1, 2], ml_dtypes.bfloat16)}),
    ("Constant", {"value": [1, 2, 3]}),
    ("Constant", {"value": np.float32(0.5)}),
    ("RandomNormal", {}),
    ("RandomNormal", {"mean": 1.0, "stddev": 0.5, "seed": 7}),
    ("RandomUniform", {"minval": -1.0, "maxval": 3.0, "seed": 7}),
    ("TruncatedNormal", {"mean": 1.0, "stddev": 0.5}),
    ("VarianceScaling", {}),
    ("VarianceScaling", {"scale": 2.0, "mode": "fan_out", "distribution": "uniform", "seed": 7}),
    ("VarianceScaling", {"distribution": "normal", "input_axes": [0], "output_axes": [1]}),
    *((f"{name}Normal", {"seed": 7}) for name in ("Glorot", "He", "Lecun")),
    *((f"{name}Uniform", {}) for name in ("Glorot", "He", "Lecun")),
    ("Orthogonal", {"gain": 2.0, "seed": 7}),
    ("STFT", {}),
    ("STFT", {"side": "imag", "window": "hamming", "scaling": "spectrum", "periodic": True}),
]
each_call = pytest.mark.parametrize(("name", "arguments"), CALLS)
WINDOWS = [
    *("barthann", "bartlett", "blackman", "blackmanharris", "bohman", "boxcar", "cosine"),
    *("exponential", "flattop", "hamming", "hann", "lanczos", "nuttall", "parzen", "taylor"),
    *("triang", "tukey"),
]
SHAPES = [(), (5,), (5, 7), (3, 5, 7), (3, 3, 5, 7), (2, 3, 4, 5, 6), (0, 3), (1, 1)]


def shape_for(name):
    return (8, 1, 5) if name == "STFT" else (2, 3)


def test_every_identifier_of_keras_is_ours():
    ours = {name: cls.__name__ for name, cls in initializers.IDENTIFIERS.items()}
    theirs = {name: cls.__name__ for name, cls in ALL_OBJECTS_DICT.items()}
    # The base class fills nothing.
    assert theirs.pop("Initializer") == theirs.pop("initializer") == "Initializer"
    assert ours.items() >= theirs.items()
    for name in dir(keras.initializers):
        if not name.startswith("_"):
            assert hasattr(initializers, name), name


@each_call
def test_configs_are_equal(name, arguments):
    ours = initializers.serialize(getattr(initializers, name)(**arguments))
    theirs = keras.initializers.serialize(getattr(keras.initializers, name)(**arguments))
    assert ours == theirs


@each_call
def test_configs_load_on_the_other_side(name, arguments):
    theirs = keras.initializers.serialize(getattr(keras.initializers, name)(**arguments))
    here = initializers.get(theirs)
    assert type(here) is getattr(initializers, name)
    assert initializers.serialize(here) == theirs
    there = keras.initializers.get(initializers.serialize(here))
    assert type(there) is getattr(keras.initializers, name)
    assert keras.initializers.serialize(there) == theirs


def test_identity_keeps_its_gain():
    # Keras leaves it out of the config, but reads it.
    assert keras.initializers.serialize(keras.initializers.Identity(2.0))["config"] == {}
    there = keras.initializers.get(initializers.serialize(initializers.Identity(2.0)))
    assert there.gain == 2.0
    assert initializers.get(keras.initializers.serialize(keras.initializers.Identity())).gain == 1


def test_seed_generators_cross():
    theirs = keras.initializers.HeNormal(keras.random.SeedGenerator(7, name="mine"))
    config = keras.initializers.serialize(theirs)
    ours = initializers.HeNormal(initializers.SeedGenerator(7, name="mine"))
    assert initializers.serialize(ours) == config
    here, there = initializers.get(config), keras.initializers.get(initializers.serialize(ours))
    assert here.seed.get_config() == there.seed.get_config() == {"seed": 7, "name": "mine"}
    assert isinstance(there.seed, keras.random.SeedGenerator)


def test_arrays_as_windows_cross():
    # Keras can't read back what it writes for an array: we read that, and write a list.
    window = np.array([0.25, 1, 1, 0.5])
    theirs = keras.initializers.STFT(window=window)
    ours = initializers.STFT(window=window)
    expected = np.asarray(theirs((4, 1, 5)))
    for made in (
        ours,
        initializers.get(keras.initializers.serialize(theirs)),
        keras.initializers.get(initializers.serialize(ours)),
    ):
        np.testing.assert_allclose(made((4, 1, 5)), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "arguments", "shape", "dtype"),
    [
        ("Zeros", {}, (2, 3), "int8"),
        ("Ones", {}, (2, 3), "bfloat16"),
        ("Ones", {}, (2, 3), "bool"),
        ("Constant", {"value": 0.1}, (3,), "float16"),
        ("Constant", {"value": 0.1}, (3,), "bfloat16"),
        ("Constant", {"value": 7}, (), "int32"),
        ("Constant", {"value": [1.5, 2.5]}, (3, 2), "float32"),
        ("Constant", {"value": np.arange(3)}, (2, 3), "int32"),
        ("Identity", {}, (3, 5), "float32"),
        ("Identity", {"gain": 2.5}, (5, 3), "float16"),
        ("Identity", {}, (4, 4), "bfloat16"),
    ],
)
def test_constants_are_equal(name, arguments, shape, dtype):
    theirs = np.asarray(getattr(keras.initializers, name)(**arguments)(shape, dtype))
    ours = getattr(initializers, name)(**arguments)(shape, dtype)
    assert ours.shape == theirs.shape
    np.testing.assert_array_equal(ours.astype(np.float64), theirs.astype(np.float64))


@pytest.mark.parametrize("window", [*WINDOWS, None])
@pytest.mark.parametrize("side", ["real", "imag"])
def test_stft_is_equal(window, side):
    for scaling, periodic in (("density", False), ("spectrum", True), (None, False)):
        arguments = (side, window, scaling, periodic)
        theirs = np.asarray(keras.initializers.STFT(*arguments)((16, 1, 9)))
        # Keras computes the angles, up to 2 pi 15 / 2, in float32.
        ours = initializers.STFT(*arguments)((16, 1, 9))
        np.testing.assert_allclose(ours, theirs, atol=50 * 2.0**-23)


@pytest.mark.parametrize("shape", SHAPES)
def test_fans_are_equal(shape):
    assert initializers.compute_fans(shape) == compute_fans(shape)
    if len(shape) > 1:
        axes = [0], [-1, 1]
        assert initializers.compute_fans(shape, *axes) == compute_fans(shape, *axes)


@pytest.mark.parametrize("shape", SHAPES)
def test_torch_fans_are_equal(shape):
    if len(shape) > 1 and 0 not in shape:
        theirs = torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))
        assert initializers.compute_fans(shape, layout="torch") == theirs


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
@pytest.mark.parametrize("distribution", ["truncated_normal", "untruncated_normal", "uniform"])
@pytest.mark.parametrize("shape", SHAPES)
def test_spreads_are_equal(mode, distribution, shape, monkeypatch):
    asked = {}

    def record(shape, dtype=None, seed=None, **parameters):
        asked.update(parameters)

    for function in ("normal", "truncated_normal", "uniform"):
        monkeypatch.setattr(keras.src.backend.random, function, record)
    keras.initializers.VarianceScaling(1.7, mode, distribution)(shape)
    target = Target(shape, FLOATS["float32"], Stream.seeded(0))
    law = initializers.distribution(initializers.VarianceScaling(1.7, mode, distribution), target)
    if distribution == "uniform":
        assert asked == {"minval": law.low, "maxval": law.high}
    else:
        assert asked == {"mean": law.mean, "stddev": law.stddev}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("RandomNormal", {"mean": 0.5, "stddev": 0.25}),
        ("RandomUniform", {"minval": -0.5, "maxval": 1.0}),
        ("TruncatedNormal", {"mean": 0.5, "stddev": 0.25}),
        ("GlorotNormal", {}),
        ("HeUniform", {}),
        ("LecunNormal", {}),
        ("Orthogonal", {"gain": 2.0}),
    ],
)
def test_draws_come_from_the_same_distribution(name, arguments):
    shape = (200, 100)
    theirs = np.asarray(getattr(keras.initializers, name)(**arguments, seed=3)(shape)).reshape(-1)
    ours = getattr(initializers, name)(**arguments, seed=3)(shape).reshape(-1)
    assert stats.ks_2samp(ours, theirs).pvalue > 1e-4
    # The difference of two means, and of two variances (kurtosis at most 3).
    error = ours.std() * math.sqrt(2 / ours.size)
    assert abs(ours.mean() - theirs.mean()) < 4.5 * error
    assert abs(ours.var() / theirs.var() - 1) < 4.5 * math.sqrt(2 * 2 / ours.size)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (3, 3, 4, 8)])
def test_orthogonal_has_the_same_properties(shape):
    for module in (initializers, keras.initializers):
        w = np.asarray(module.Orthogonal(2.0, seed=1)(shape)).reshape(-1, shape[-1])
        product = w @ w.T if w.shape[0] < w.shape[1] else w.T @ w
        np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-5)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (8, 4, 3, 3), (4, 8, 3, 3)])
def test_orthogonal_in_torchs_layout(shape):
    theirs = torch.nn.init.orthogonal_(torch.empty(shape)).numpy().reshape(shape[0], -1)
    target = Target(shape, FLOATS["float32"], Stream.seeded(0), "torch")
    ours = materialize(initializers.Orthogonal(), target).reshape(shape[0], -1)
    for w in (theirs, ours):
        product = w @ w.T if w.shape[0] < w.shape[1] else w.T @ w
        np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda m: m.get("foo"),
        lambda m: m.get(3),
        lambda m: m.get([1, 2]),
        lambda m: m.get({"config": {}}),
        lambda m: m.get({"class_name": "foo", "config": {}}),
        lambda m: m.get(np.ones((2, 2)))((2, 3)),
        lambda m: m.Identity()((3,)),
        lambda m: m.Orthogonal()((3,)),
        lambda m: m.RandomNormal(seed=1.5),
        lambda m: m.RandomNormal(seed="a"),
        lambda m: m.RandomNormal()((2,), "int32"),
        lambda m: m.RandomUniform()((2,), "int32"),
        lambda m: m.TruncatedNormal()((2,), "int32"),
        lambda m: m.VarianceScaling(scale=0),
        lambda m: m.VarianceScaling(scale=-1),
        lambda m: m.VarianceScaling(mode="x"),
        lambda m: m.VarianceScaling(distribution="x"),
        lambda m: m.STFT(side="x"),
        lambda m: m.STFT(window="x"),
        lambda m: m.STFT(window="kaiser"),
        lambda m: m.STFT(scaling="x"),
        lambda m: m.STFT()((2, 3)),
        lambda m: m.STFT(window=[1, 2])((3, 1, 5)),
        lambda m: m.Zeros()((2,), "foo"),
        lambda m: m.Constant("a")((2,)),
    ],
)
def test_wrong_arguments_raise_value_errors_on_both_sides(wrong):
    with pytest.raises(ValueError):  # noqa: PT011
        wrong(keras.initializers)
    with pytest.raises(ValueError):  # noqa: PT011
        wrong(initializers)


def test_the_base_class_raises_the_same():
    for module in (keras.initializers, initializers):
        with pytest.raises(NotImplementedError):
            module.Initializer()((2,))


def test_unknown_arguments_are_refused_on_both_sides():
    config = {"class_name": "RandomNormal", "config": {"stdev": 1}}
    with pytest.raises(TypeError):
        keras.initializers.get(config)
    with pytest.raises(ValueError, match="did you mean 'stddev'"):
        initializers.get(config)


LAYERS = {
    "Dense": ("kernel_initializer", {"units": 8}, (None, 6), "kernel"),
    "Conv2D": ("kernel_initializer", {"filters": 8, "kernel_size": 3}, (None, 9, 9, 6), "kernel"),
    "Embedding": (
        "embeddings_initializer",
        {"input_dim": 9, "output_dim": 6},
        (None, 4),
        "embeddings",
    ),
    "LSTM": ("recurrent_initializer", {"units": 8}, (None, 4, 6), "recurrent_kernel"),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("identifier", ["he_normal", "orthogonal", "uniform", "truncated_normal"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_layers_take_ours(name, identifier, dtype):
    argument, arguments, inputs, weight = LAYERS[name]
    initializer = initializers.get({"class_name": identifier, "config": {"seed": 5}})
    layer = getattr(keras.layers, name)(**arguments, **{argument: initializer}, dtype=dtype)
    layer.build(inputs)
    variable = getattr(getattr(layer, "cell", layer), weight)
    expected = initializer(tuple(variable.shape), dtype)
    assert np.asarray(variable.value).tobytes() == expected.tobytes()


@keras.saving.register_keras_serializable("tests")
class Tripled(initializers.Initializer):
    def __init__(self, base):
        self.base = initializers.get(base)

    def __call__(self, shape, dtype=None):
        return (3 * self.base(shape, "float64")).astype(dtype)

    def get_config(self):
        return {"base": initializers.serialize(self.base)}


# Keras's variables hand their arrays over in the way of NumPy 1.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_saved_models(tmp_path):
    ours = [
        initializers.HeNormal(seed=5),
        initializers.Constant(np.arange(4.0)),
        initializers.Orthogonal(0.5),
        Tripled(initializers.RandomUniform(seed=initializers.SeedGenerator(3))),
    ]
    model = keras.Sequential([keras.Input((4,))])
    for initializer in ours:
        model.add(keras.layers.Dense(4, kernel_initializer=initializer))
    model.save(tmp_path / "model.keras")
    # Without our classes at hand, Keras takes its own of the same names.
    for objects in ({}, {cls.__name__: cls for cls in map(type, ours[:3])}):
        again = keras.models.load_model(tmp_path / "model.keras", custom_objects=objects)
        for layer, before, initializer in zip(again.layers, model.layers, ours, strict=True):
            np.testing.assert_array_equal(layer.kernel, before.kernel)
            loaded = layer.kernel_initializer
            custom = objects or type(initializer) is Tripled
            home = initializers if custom else keras.initializers
            assert isinstance(loaded, home.Initializer)
            assert loaded.get_config() == initializer.get_config()


@pytest.mark.parametrize("normal", [keras.random.normal, random.normal])
def test_the_guides_function_initializes_a_layer(normal):
    def my_init(shape, dtype=None):
        return normal(shape, dtype=dtype)

    layer = keras.layers.Dense(64, kernel_initializer=my_init)
    layer.build((None, 64))
    # 4.5 standard errors of 4,096 values.
    assert abs(float(np.std(np.asarray(layer.kernel.value))) - 1) < 4.5 / math.sqrt(2 * 4096)


@pytest.mark.parametrize("dtype", FLOATS)
def test_tensors_of_the_frameworks_are_accepted(dtype):
    target = Target((2, 3), FLOATS[dtype], Stream.seeded(0))
    expected = np.arange(6).reshape(2, 3).astype(FLOATS[dtype]).tobytes()

    def of_torch(shape, dtype=None):
        made = torch.arange(6.0).reshape(shape).to(getattr(torch, dtype))
        return torch.nn.Parameter(made)

    def of_keras(shape, dtype=None):
        return keras.ops.cast(keras.ops.reshape(keras.ops.arange(6.0), shape), dtype)

    def of_jax(shape, dtype=None):
        return jnp.arange(6.0).reshape(shape).astype(dtype)

    assert materialize(of_torch, target).tobytes() == expected
    with jax.enable_x64(True):
        assert materialize(of_keras, target).tobytes() == expected
        assert materialize(of_jax, target).tobytes() == expected


def test_keras_initializers_serve_as_callables():
    target = Target((64, 64), FLOATS["float32"], Stream.seeded(0))
    with draws_for(0, "w"):
        made = materialize(keras.initializers.HeNormal(seed=5), target)
    np.testing.assert_array_equal(made, keras.initializers.HeNormal(seed=5)((64, 64)))


def test_arrays_of_the_frameworks_are_initializers():
    for array in (torch.ones(2, 3), jnp.ones((2, 3)), keras.ops.ones((2, 3))):
        theirs = keras.initializers.get(np.asarray(array))((2, 3))
        np.testing.assert_array_equal(initializers.get(array)((2, 3)), theirs)
