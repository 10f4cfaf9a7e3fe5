"""Identifiers, configs and the catalogue."""

import json
import re

import ml_dtypes
import numpy as np
import pytest

from initlib import initializers, random
from initlib._errors import RequestError
from initlib.initializers import (
    Constant,
    HeNormal,
    Initializer,
    Ones,
    RandomNormal,
    RandomUniform,
    SeedGenerator,
    VarianceScaling,
    Zeros,
)

# As keras.initializers has them.
ALIASES = {
    "Zeros": ["zeros", "zero", "zeros_", "torch.zeros_", "torch.zeros", "jax.zeros"],
    "Ones": ["ones", "one", "ones_", "torch.ones_", "torch.ones", "jax.ones"],
    "Constant": ["constant", "jax.constant"],
    "Identity": ["identity", "IdentityInitializer", "eye_", "torch.eye_", "torch.eye", "eye"],
    "RandomNormal": ["random_normal", "normal"],
    "RandomUniform": ["random_uniform", "uniform"],
    "TruncatedNormal": ["truncated_normal"],
    "VarianceScaling": ["variance_scaling"],
    "GlorotNormal": ["glorot_normal"],
    "GlorotUniform": ["glorot_uniform"],
    "HeNormal": ["he_normal"],
    "HeUniform": ["he_uniform"],
    "LecunNormal": ["lecun_normal"],
    "LecunUniform": ["lecun_uniform"],
    "Orthogonal": [
        *("orthogonal", "OrthogonalInitializer"),
        *("orthogonal_", "torch.orthogonal_", "torch.orthogonal"),
    ],
    "STFT": ["stft", "STFTInitializer"],
}
# As torch.nn.init has them.
ALIASES |= {
    name: [stem, f"{stem}_", f"torch.{stem}_", f"torch.{stem}"]
    for name, stem in (
        ("KaimingNormal", "kaiming_normal"),
        ("KaimingUniform", "kaiming_uniform"),
        ("XavierNormal", "xavier_normal"),
        ("XavierUniform", "xavier_uniform"),
        ("Dirac", "dirac"),
        ("Sparse", "sparse"),
        ("TruncNormal", "trunc_normal"),
    )
}
ALIASES |= {
    "DeltaOrthogonal": ["delta_orthogonal", "jax.delta_orthogonal"],
    "Arange": ["arange"],
    "RotaryInvFreq": ["rotary_inv_freq"],
    "Sinusoidal": ["sinusoidal"],
    "FromFile": ["from_file"],
    "Concatenate": ["concatenate"],
    "Elementwise": ["elementwise"],
}
# Functions that make one of these.
FUNCTIONS = {
    **{
        f"{name}_": [f"torch.{name}_", f"torch.{name}"]
        for name in ("normal", "uniform", "constant")
    },
    **{f"jax.{name}": [] for name in ("normal", "uniform", "truncated_normal", "variance_scaling")},
    **{f"jax.{name}": [] for name in ("lecun_normal", "lecun_uniform", "orthogonal")},
    "jax.glorot_normal": ["jax.xavier_normal"],
    "jax.glorot_uniform": ["jax.xavier_uniform"],
    "jax.he_normal": ["jax.kaiming_normal"],
    "jax.he_uniform": ["jax.kaiming_uniform"],
    "scaled_normal": ["gpt2_residual", "scaled_init"],
    **{name: [] for name in ("small_init", "wang_init", "mup_input", "mup_hidden", "mup_output")},
    **{name: [] for name in ("lora_a", "lora_a_gaussian", "lora_b")},
}
REQUIRED = {
    "Sparse": {"sparsity": 0.5},
    "FromFile": {"path": "a.safetensors"},
    "Concatenate": {"sizes": [2], "initializers": ["zeros"]},
    "Elementwise": {"formula": "x", "of": "normal"},
}


class Scaled(Initializer):
    def __init__(self, factor, base=None):
        self.factor, self.base = factor, base

    def __call__(self, shape, dtype=None):
        return np.full(shape, self.factor, dtype)

    def get_config(self):
        return {"factor": self.factor, "base": self.base}


def halves(shape, dtype=None):
    return np.full(shape, 0.5, dtype)


@pytest.fixture
def registered(monkeypatch):
    from initlib.initializers import _configs

    monkeypatch.setattr(_configs, "REGISTERED", {})
    monkeypatch.setattr(_configs, "_registered_names", {})
    initializers.register("mine")(Scaled)
    initializers.register(name="halved")(halves)


@pytest.mark.parametrize(
    ("name", "alias"), [(name, alias) for name in ALIASES for alias in [name, *ALIASES[name]]]
)
def test_identifiers(name, alias):
    config = REQUIRED.get(name, {})
    assert type(initializers.deserialize({"class_name": alias, "config": config})).__name__ == name
    if not config:
        assert type(initializers.get(alias)).__name__ == name
    space, _, last = alias.rpartition(".")
    if not space or hasattr(getattr(initializers, space), last):
        holder = getattr(initializers, space) if space else initializers
        assert getattr(holder, last).__name__ == name
    assert initializers.lookup(alias).name == name


def test_the_module_lists_its_names():
    assert set(dir(initializers)) >= {*initializers.__all__, "he_normal", "zero"}
    assert all(hasattr(initializers, name) for name in initializers.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'he_norma'"):
        initializers.he_norma  # noqa: B018


def test_the_catalogue_is_complete():
    entries = initializers.catalogue()
    assert {entry.name: list(entry.aliases) for entry in entries} == {**ALIASES, **FUNCTIONS}
    assert list(dict.fromkeys(entry.group for entry in entries)) == [
        *("Keras", "torch", "JAX", "models", "compound")
    ]
    for entry in entries:
        assert re.fullmatch(r"[A-Z].*\.", entry.summary)
        assert entry.formula
    he = next(entry for entry in entries if entry.name == "HeNormal")
    assert he.formula == "stddev = sqrt(2 / fan_in)"
    assert he.arguments == {"seed": None, "input_axes": None, "output_axes": None}
    assert he.required == ()
    assert he.source == 'He et al., "Delving deep into rectifiers", ICCV 2015.'
    sparse = next(entry for entry in entries if entry.name == "Sparse")
    assert sparse.arguments == {"sparsity": None, "std": 0.01, "seed": None}
    assert sparse.required == ("sparsity",)


@pytest.mark.parametrize(
    ("identifier", "message"),
    [
        ("glorot_unifrom", "unknown initializer 'glorot_unifrom'; did you mean 'glorot_uniform'?"),
        ("qqq", "unknown initializer 'qqq'; expected one of zeros, ones, constant, "),
        ("initializer", "unknown initializer 'initializer'; "),
        ({"class_name": "Zeross"}, "unknown initializer 'Zeross'; did you mean 'Zeros'?"),
        ({"config": {}}, "expected a config with a 'class_name', received {'config': {}}"),
        (3, "expected an initializer's name, config, class, array or a callable, received 3"),
        ([1, 2], "expected an initializer's name, config, class, array or a callable, received ["),
        (
            {"class_name": "RandomNormal", "module": "theirs"},
            "unknown initializer 'RandomNormal' of module theirs; pass a custom one in "
            "custom_objects, or register it",
        ),
        ({"class_name": "Zeros", "module": None}, "unknown initializer 'Zeros' of module None; "),
        ({"class_name": "function", "config": "f", "module": "m"}, "unknown initializer 'f' of "),
        ({"class_name": "__lambda__", "config": {}}, "unknown initializer '__lambda__'; "),
        ({"class_name": "Zeros", "config": [1]}, "expected a dict of arguments as 'config', rec"),
        (
            {"class_name": "RandomNormal", "config": {"stdev": 1}},
            "RandomNormal has no argument 'stdev'; did you mean 'stddev'?",
        ),
        (
            {"class_name": "RandomNormal", "config": {"q": 1}},
            "RandomNormal has no argument 'q'; expected mean, stddev, seed",
        ),
        ({"class_name": "Zeros", "config": {"a": 1}}, "Zeros has no argument 'a'; it takes none"),
        (Scaled, "Scaled: missing a required argument: 'factor'"),
    ],
)
def test_what_get_refuses(identifier, message):
    with pytest.raises(RequestError) as caught:
        initializers.get(identifier)
    assert str(caught.value).startswith(message)


def test_lookup_refuses_unknown_names():
    with pytest.raises(RequestError, match="unknown initializer 'he'"):
        initializers.lookup("he")


def test_get_of_objects():
    instance = HeNormal()
    assert initializers.get(instance) is instance
    assert type(initializers.get(HeNormal)) is HeNormal
    assert initializers.get(halves) is halves
    assert initializers.get(None) is None
    assert initializers.deserialize(None) is None


def test_configs_have_keras_form():
    assert initializers.serialize(RandomNormal(0.5, 2, seed=7)) == {
        "module": "keras.initializers",
        "class_name": "RandomNormal",
        "config": {"seed": 7, "mean": 0.5, "stddev": 2.0},
        "registered_name": None,
    }


def test_seed_generators_in_configs():
    config = initializers.serialize(HeNormal(SeedGenerator(7, name="mine")))
    assert config["config"]["seed"] == {
        "module": "keras.random",
        "class_name": "SeedGenerator",
        "config": {"seed": 7, "name": "mine"},
        "registered_name": None,
    }
    first, again = initializers.get(config), initializers.get(config)
    assert isinstance(first.seed, SeedGenerator)
    one, two = first((4,)), first((4,))
    assert not np.array_equal(one, two)
    np.testing.assert_array_equal(again((4,)), one)


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6, dtype=np.int16).reshape(2, 3),
        np.array([0.5, -1], ml_dtypes.bfloat16),
        [[1, 2.5]],
        2,
        True,
    ],
)
def test_constants_in_configs(value):
    config = initializers.serialize(Constant(value))
    again = initializers.get(json.loads(json.dumps(config)))
    assert initializers.serialize(again) == config
    shape = np.shape(value) or (2,)
    np.testing.assert_array_equal(again(shape), Constant(value)(shape))
    if isinstance(value, np.ndarray):
        assert config["config"]["value"]["class_name"] == "__numpy__"
        assert again.value.dtype == value.dtype


@pytest.mark.parametrize("value", [np.float32(0.5), np.float64(0.5), ml_dtypes.bfloat16(0.5)])
def test_scalars_become_pythons(value):
    written = initializers.serialize(Constant(value))["config"]["value"]
    assert type(written) is float
    assert written == 0.5


@pytest.mark.parametrize(
    "value",
    [
        {"class_name": "__numpy__", "config": {"value": [1]}},
        {"class_name": "__numpy__", "config": {"value": ["a"], "dtype": "float32"}},
        {"class_name": "__numpy__", "config": {"value": [1e308], "dtype": "float32"}},
        {"class_name": "__numpy__", "config": {"value": [300], "dtype": "int8"}},
        {"class_name": "SeedGenerator", "config": {"seed": "a"}},
        {"class_name": "SeedGenerator", "config": {"foo": 1}},
        {"a": 1},
    ],
)
def test_nested_configs_that_are_wrong(value):
    with pytest.raises(RequestError, match="expected the config of an array or a SeedGenerator"):
        Constant.from_config({"value": value})
    with pytest.raises(RequestError, match="expected the config of an array or a SeedGenerator"):
        RandomNormal(seed=value)


def test_older_configs():
    for extra in (
        {},
        {"module": "keras.initializers", "registered_name": None, "build_config": {}},
        {"module": "tensorflow.keras.initializers", "registered_name": "RandomUniform"},
    ):
        config = {"class_name": "RandomUniform", "config": {"minval": -1, "maxval": 2}, **extra}
        made = initializers.deserialize(config)
        assert (made.minval, made.maxval) == (-1, 2)
    assert type(initializers.deserialize({"class_name": "Ones", "config": None})) is Ones


def test_custom_classes_by_custom_objects():
    config = initializers.serialize(Scaled(3, base=VarianceScaling(2.0)))
    assert config["class_name"] == config["registered_name"] == "Scaled"
    assert config["module"] == __name__
    assert config["config"]["base"] == initializers.serialize(VarianceScaling(2.0))
    made = initializers.deserialize(config, custom_objects={"Scaled": Scaled})
    assert made((2,), "float32").tolist() == [3, 3]
    with pytest.raises(RequestError, match="unknown initializer 'Scaled' of module"):
        initializers.deserialize(config)


def test_custom_objects_come_first():
    assert initializers.deserialize("zeros", {"zeros": halves}) is halves
    assert type(initializers.deserialize("zeros", {"other": halves})) is Zeros


def test_classes_without_from_config():
    class Plain:
        def __init__(self, value=1):
            self.value = value

        def __call__(self, shape, dtype=None):
            return np.full(shape, self.value, dtype)

    config = {"class_name": "Plain", "config": {"value": 3}}
    assert initializers.deserialize(config, {"Plain": Plain}).value == 3
    config["config"] = {"valeu": 3}
    with pytest.raises(RequestError, match="Plain has no argument 'valeu'; did you mean 'value'"):
        initializers.deserialize(config, {"Plain": Plain})


def test_registered_ones(registered):
    assert initializers.serialize(Scaled(3))["registered_name"] == "mine>Scaled"
    made = initializers.get(initializers.serialize(Scaled(3)))
    assert (type(made), made.factor) == (Scaled, 3)
    assert initializers.get({"class_name": "mine>Scaled", "config": {"factor": 4}}).factor == 4
    assert initializers.get("Custom>halved") is halves
    assert initializers.get(initializers.serialize(halves)) is halves


def test_functions_in_configs():
    config = initializers.serialize(halves)
    assert config == {
        "module": "builtins",
        "class_name": "function",
        "config": "halves",
        "registered_name": "function",
    }
    assert initializers.deserialize(config, {"halves": halves}) is halves


def test_what_has_no_config():
    with pytest.raises(RequestError, match="can't write a lambda to a config"):
        initializers.serialize(lambda shape, dtype=None: None)
    with pytest.raises(RequestError, match="to a config: it has no get_config"):
        initializers.serialize(Zeros)
    with pytest.raises(RequestError, match="to a config: it has no get_config"):
        initializers.serialize(object())


def test_the_random_functions_share_the_class():
    assert random.SeedGenerator is initializers.SeedGenerator
    assert type(initializers.get("uniform")) is RandomUniform


@pytest.mark.parametrize(
    ("elsewhere", "here"),
    [
        ("trunc_norml", "trunc_normal"),
        ("torch.nn.init.normal_", "torch.normal_"),
        ("nn.init.kaiming_normal_", "torch.kaiming_normal_"),
        ("jax.nn.initializers.he_normal", "jax.he_normal"),
        ("jax.nomal", "jax.normal"),
        ("torch.normla_", "torch.normal_"),
    ],
)
def test_the_names_of_other_libraries_lead_to_ours(elsewhere, here):
    with pytest.raises(RequestError, match=f"did you mean '{here}'"):
        initializers.get(elsewhere)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("jax.qqq", "unknown initializer 'jax.qqq'; expected one of jax.normal, jax.uniform, "),
        ("mine.qqq", "unknown initializer 'mine.qqq'; expected one of zeros, ones, "),
    ],
)
def test_unknown_names_after_a_dot(name, message):
    with pytest.raises(RequestError) as caught:
        initializers.get(name)
    assert str(caught.value).startswith(message)
    assert str(caught.value).endswith("file.py:name") == name.startswith("mine")


def test_functions_count_as_classes():
    assert initializers.get(initializers.jax.normal).stddev == 0.01
    assert initializers.get({"class_name": "torch.normal_", "config": {"std": 2}}).stddev == 2
    assert initializers.normal_ is initializers.torch.normal_
    with pytest.raises(RequestError, match="normal_ has no argument 'stddev'; did you mean 'std'"):
        initializers.get({"class_name": "normal_", "config": {"stddev": 2}})
    with pytest.raises(RequestError, match="small_init: missing a required argument: 'dim'"):
        initializers.get("small_init")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_make_what_a_config_tells(name):
    needed = initializers.lookup(name).required
    values = {"mode": "fan_in", "distribution": "uniform"}
    config = {key: values.get(key, 2.0) for key in needed}
    made = initializers.deserialize({"class_name": name, "config": config})
    again = initializers.deserialize(json.loads(json.dumps(initializers.serialize(made))))
    assert type(again) is type(made)
    assert again.get_config() == made.get_config()
    assert type(made).__name__ in ALIASES


def test_initializers_show_how_to_make_them():
    assert repr(initializers.RandomNormal(seed=1)) == "RandomNormal(seed=1, mean=0.0, stddev=0.05)"
