"""Manifests of Keras models where Keras isn't installed: by the configs of their layers."""

import copy
import json
import sys
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path

import h5py
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_archives import SMALL, dense, kernels, layer, model, write_archive

import initlib
from initlib._errors import InitlibError, RequestError, StorageError
from initlib._sources._keras_config import walk
from initlib._sources._keras_initializers import axes_of, written

NEEDED = "this needs keras, which isn't installed: pip install 'initgen[keras]'"


@pytest.fixture(autouse=True)
def no_keras(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)


@pytest.fixture
def drafted(tmp_path):
    """Return the draft of an archive with this config and these variables."""

    def draft(config, variables, **options):
        return initlib.manifest(write_archive(tmp_path / "m.keras", config, variables), **options)

    return draft


def initializers(draft):
    return {each["name"]: each.get("initializer") for each in draft.manifest["layers"]}


def test_a_model_that_keras_saved(drafted):
    draft = drafted(SMALL["config"], SMALL["variables"])
    assert draft.text.startswith(
        """\
# The Keras model 'small' (Functional) of m.keras: 27 tensors, 753 parameters.
# How they are initialised is in the configs of its layers.
# Left out, for load_weights does without: variables of the optimizer (2).

seed: 0
dtype: float32
layout: keras

layers:
  - {name: layers/conv2d/vars/0, shape: [3, 3, 3, 4], initializer: truncated_normal(stddev=0.02)}
"""
    )
    assert (draft.rules, draft.partial) == (None, False)
    found = {name.removeprefix("layers/"): each for name, each in initializers(draft).items()}
    forget = "concatenate([3, 3, 6], [zeros(), ones(), zeros()])"
    inward = "glorot_uniform(input_axes=[0], output_axes=[1, 2])"
    assert list(found.items()) == [
        ("conv2d/vars/0", "truncated_normal(stddev=0.02)"),
        ("conv2d/vars/1", "zeros"),
        ("batch_normalization/vars/0", "ones"),
        ("batch_normalization/vars/1", "zeros"),
        ("batch_normalization/vars/2", "zeros"),
        ("batch_normalization/vars/3", "ones"),
        ("depthwise_conv2d/vars/0", "glorot_uniform"),
        ("bidirectional/backward_layer/cell/vars/0", "glorot_uniform"),
        ("bidirectional/backward_layer/cell/vars/1", "orthogonal"),
        ("bidirectional/backward_layer/cell/vars/2", forget),
        ("bidirectional/forward_layer/cell/vars/0", "glorot_uniform"),
        ("bidirectional/forward_layer/cell/vars/1", "orthogonal"),
        ("bidirectional/forward_layer/cell/vars/2", forget),
        ("multi_head_attention/key_dense/vars/0", inward),
        ("multi_head_attention/key_dense/vars/1", "zeros"),
        (
            "multi_head_attention/output_dense/vars/0",
            "glorot_uniform(input_axes=[0, 1], output_axes=[2])",
        ),
        ("multi_head_attention/output_dense/vars/1", "zeros"),
        ("multi_head_attention/query_dense/vars/0", inward),
        ("multi_head_attention/query_dense/vars/1", "zeros"),
        ("multi_head_attention/value_dense/vars/0", inward),
        ("multi_head_attention/value_dense/vars/1", "zeros"),
        ("sequential/layers/dense/vars/0", "he_normal(seed=5)"),
        ("sequential/layers/dense/vars/1", "zeros"),
        ("sequential/layers/dense_1/vars/0", "glorot_uniform"),
        ("sequential/layers/dense_1/vars/1", "zeros"),
        ("dense/vars/0", "glorot_uniform"),
        ("dense/vars/1", "zeros"),
    ]


def test_what_it_makes_has_the_names_shapes_and_dtypes(drafted, tmp_path):
    initlib.generate(
        drafted(SMALL["config"], SMALL["variables"]).manifest, tmp_path / "out.weights.h5"
    )
    with h5py.File(tmp_path / "out.weights.h5") as file:
        for name, (shape, dtype) in SMALL["variables"].items():
            if name.startswith("optimizer"):
                assert name not in file
            else:
                assert list(file[name].shape) == shape
                assert file[name].attrs.get("dtype", str(file[name].dtype)) == dtype


def test_names_count_classes_in_the_order_of_layers(drafted):
    two = [dense("b", kernel_initializer="he_normal"), dense("a", kernel_initializer="ones")]
    inner = layer("Sequential", "keras", name="inner", layers=[*two, layer("Dropout", name="d")])
    operation = layer("Dense", "keras.src.ops.numpy", name="no layer")
    names = ["dense", "sequential/layers/dense", "sequential/layers/dense_1", "dense_1"]
    draft = drafted(model(two[0], inner, operation, two[1]), kernels(*names))
    assert list(initializers(draft).values())[::2] == ["he_normal", "he_normal", "ones", "ones"]
    assert list(initializers(draft))[::2] == [f"layers/{name}/vars/0" for name in names]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("LSTM", "lstm"),
        ("Conv2DTranspose", "conv2d_transpose"),
        ("PReLU", "p_re_lu"),
        ("RMSNormalization", "rms_normalization"),
        ("GRUCell", "gru_cell"),
        ("GroupQueryAttention", "grouped_query_attention"),
    ],
)
def test_names_of_classes(kind, name):
    assert f"layers/{name}" in walk(model(layer(kind, name="x"))).layers


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (None, "glorot_uniform"),
        ("HeNormal", "he_normal"),
        ({"class_name": "Zeros", "config": {}, "module": "keras.initializers"}, "zeros"),
        ({"class_name": "RandomNormal", "config": {"stddev": 0.02}}, "random_normal(stddev=0.02)"),
        (
            {"class_name": "RandomNormal", "config": {"mean": 0.0, "stddev": 0.05, "seed": None}},
            "random_normal",
        ),
        ({"class_name": "Orthogonal", "config": {"seed": 7}}, "orthogonal(seed=7)"),
        (
            {
                "class_name": "HeUniform",
                "config": {
                    "seed": {
                        "class_name": "SeedGenerator",
                        "config": {"seed": 3},
                        "module": "keras.random",
                    }
                },
            },
            "he_uniform",
        ),
        (
            {"class_name": "VarianceScaling", "config": {"mode": "fan_out", "scale": 2.0}},
            "variance_scaling(scale=2.0, mode='fan_out')",
        ),
        ({"class_name": "Constant", "config": {"value": 3}}, "constant(value=3)"),
    ],
)
def test_initializers_are_written_as_calls(config, text):
    assert written(config) == text


def test_long_constants_remain_configs(drafted):
    value = {"class_name": "__numpy__", "config": {"value": [[1.5] * 4] * 3, "dtype": "float32"}}
    constant = {"class_name": "Constant", "config": {"value": value}}
    draft = drafted(model(dense(kernel_initializer=constant)), kernels("dense"))
    assert not draft.partial
    assert initializers(draft)["layers/dense/vars/0"]["class_name"] == "Constant"
    initlib.generate(draft.manifest, dry_run=True)


@pytest.mark.parametrize(
    ("equation", "axes"),
    [
        ("abc,cd->abd", ([0], [1])),
        ("...x,xyz->...yz", ([0], [1, 2])),
        ("abc,bcd->abd", ([1], [0, 2])),
        ("", None),
    ],
)
def test_axes_of_an_einsum(equation, axes):
    assert axes_of(equation) == axes


def test_what_load_weights_does_without_is_left_out(drafted):
    others = {
        "optimizer/vars/0": ((), "int32"),
        "layers/dropout/seed_generator/vars/0": ((2,), "u4"),
    }
    draft = drafted(model(dense()), {**kernels("dense"), **others})
    assert draft.notes == (
        "left out, for load_weights does without: states of seed generators (1)",
        "left out, for load_weights does without: variables of the optimizer (1)",
    )
    assert initializers(draft).keys() == kernels("dense").keys()


def test_statistics_are_not_what_they_were_adapted_to(drafted):
    variables = {
        **{f"layers/normalization/vars/{i}": ((3,), "float32") for i in range(2)},
        "layers/normalization/vars/2": ((), "int32"),
    }
    draft = drafted(model(layer("Normalization", name="n")), variables)
    assert list(initializers(draft).values()) == ["zeros", "ones", "zeros"]
    assert "Normalization layers were adapted to are values" in draft.notes[0]
    assert "# The statistics that Normalization" in draft.text


def test_names_of_older_files(drafted):
    attention = layer(
        "MultiHeadAttention", name="a", kernel_initializer="ones", bias_initializer="zeros"
    )
    older = "_layer_checkpoint_dependencies/multi_head_attention/_key_dense/vars"
    draft = drafted(
        model({**attention, "config": {**attention["config"], "use_bias": False}}),
        {f"{older}/0": ((3, 2, 2), "float32")},
    )
    assert initializers(draft) == {f"{older}/0": "ones"}


@pytest.mark.parametrize(
    ("kind", "count"), [("LayerScale", 1), ("SpectralNormalization", 2), ("Dense", 3)]
)
def test_what_only_keras_knows(drafted, kind, count):
    odd = dense("odd") if kind == "Dense" else layer(kind, name="odd")
    name = {"Dense": "dense_1"}.get(kind) or next(
        path.removeprefix("layers/") for path in walk(model(odd)).layers if path.count("/") == 1
    )
    variables = {f"layers/{name}/vars/{i}": ((3,), "float32") for i in range(count)}
    with pytest.raises(RequestError) as caught:
        drafted(model(dense(), odd), {**kernels("dense"), **variables})
    assert str(caught.value).endswith(f"m.keras: its layer 'odd' ({kind}): {NEEDED}")


def custom(name="mine", **config):
    return {**layer("Mine", "my.layers", name=name, **config), "registered_name": "my>Mine"}


def test_custom_layers_are_left_to_complete(drafted, tmp_path):
    mine = {
        "layers/mine/vars/0": ((3, 3), "float32"),
        "layers/mine/inner/vars/1": ((2,), "float32"),
    }
    draft = drafted(model(custom(), dense()), {**kernels("dense"), **mine})
    reason = "its layer 'mine' (my>Mine): its class is custom"
    assert dict(draft.missing) == dict.fromkeys(mine, reason)
    assert draft.notes[0].startswith(
        "for custom layers, write their initializers into the manifest"
    )
    assert "# PARTIAL: 2 of its tensors can't be made from this:\n" in draft.text
    assert initializers(draft)["layers/dense/vars/0"] == "glorot_uniform"
    with pytest.raises(RequestError, match="layers/mine"):
        initlib.generate(draft.manifest, tmp_path / "x.h5")
    for each in draft.manifest["layers"]:
        each.setdefault("initializer", "zeros")
    initlib.generate(draft.manifest, tmp_path / "x.h5")


def test_custom_layers_without_variables_do_no_harm(drafted):
    draft = drafted(model(custom(), dense()), kernels("dense"))
    assert (draft.partial, draft.notes) == (False, ())


def test_a_custom_model(drafted):
    draft = drafted(custom("net"), kernels("dense"))
    reasons = set(dict(draft.missing).values())
    assert reasons == {"the model 'net' (my>Mine): its class is custom"}


@pytest.mark.parametrize(
    ("initializer", "reason"),
    [
        (
            {"class_name": "Odd", "module": "my", "config": {}, "registered_name": "my>Odd"},
            "its initializer 'my>Odd' is custom",
        ),
        (
            {"class_name": "function", "module": "builtins", "config": "drawn"},
            "its initializer 'drawn' is custom",
        ),
        (
            {"class_name": "FromFile", "module": "keras", "config": {"path": "secret"}},
            "its initializer 'FromFile' is none of Keras's",
        ),
        ({"class_name": "RandomNormal", "config": {"stddev": -1}}, "stddev"),
        (5, "expected a config with a 'class_name', received 5"),
    ],
)
def test_initializers_that_no_manifest_can_have(drafted, initializer, reason):
    draft = drafted(model(dense("x", kernel_initializer=initializer)), kernels("dense"))
    ((name, problem),) = draft.missing
    assert name == "layers/dense/vars/0"
    assert problem.startswith("its layer 'x' (Dense): ")
    assert reason in problem


def test_a_dtype_that_its_initializer_cannot_fill(drafted):
    variables = {**kernels("dense"), "layers/dense/vars/0": ((3, 4), "int8")}
    ((name, problem),) = drafted(model(dense()), variables).missing
    assert (name, problem) == (
        "layers/dense/vars/0",
        "random values need a floating-point dtype, received int8",
    )


def test_rules_are_a_guess_as_for_any_file(drafted):
    draft = drafted(model(custom()), kernels("mine"), rules="keras")
    assert (draft.rules, draft.partial) == ("keras", False)


def test_archives_without_a_config_are_guessed(tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["layers/dense/vars/0"] = [[0.0]]
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.write(tmp_path / "w.h5", "model.weights.h5")
    assert initlib.manifest(tmp_path / "m.keras").rules == "keras"


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot read the config as JSON: Expecting property name"),
        (DEEP, "cannot read the config as JSON: it nests too deeply"),
        ('{"a": 1, "a": 2}', "cannot read the config as JSON: it gives a name twice"),
        ("[]", "expected the config of a Keras model, as model.to_json() returns it"),
        ('{"class_name": "Dense"}', "expected the config of a Keras model"),
        ('{"model_type": "gpt2"}', "expected the config of a Keras model"),
    ],
)
@pytest.mark.parametrize("name", ["m.keras", "m.json"])
def test_what_is_no_config(tmp_path, name, content, message):
    path = tmp_path / name
    if name == "m.json":
        path.write_text(content)
    else:
        write_archive(path, content, kernels("dense"))
    with pytest.raises(InitlibError) as caught:
        initlib.manifest(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def test_a_damaged_archive(tmp_path):
    path = write_archive(tmp_path / "m.keras", model(dense()), kernels("dense"))
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"class_name": "Dense"', b'"class_name": "Tense"', 1))
    with pytest.raises(StorageError, match=r"cannot read as a zip archive: Bad CRC-32"):
        initlib.manifest(path)
    path.write_bytes(content[:-30])
    with pytest.raises(StorageError, match=r"cannot read as a zip archive: File is not a zip"):
        initlib.manifest(path)


def test_a_config_that_would_fill_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("initlib._checkpoint._archive.MAX_CONFIG", 100)
    path = write_archive(tmp_path / "m.keras", model(dense()), kernels("dense"))
    with pytest.raises(StorageError, match=r"its config has \d+ bytes, more than 100"):
        initlib.manifest(path)


def test_a_config_by_itself_needs_keras(tmp_path):
    (tmp_path / "m.json").write_text(json.dumps(SMALL["config"]))
    with pytest.raises(RequestError) as caught:
        initlib.manifest(tmp_path / "m.json")
    assert str(caught.value) == f"{tmp_path / 'm.json'}: {NEEDED}"
    with pytest.raises(RequestError, match=r"there is no such file; did you mean 'm\.json'"):
        initlib.manifest(tmp_path / "n.json")


def places(value, path=()):
    """Yield the paths to all values inside one."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(each, (*path, key))


PLACES = list(places(SMALL["config"]))
ODD = [
    None,
    True,
    -1,
    1e400,
    "",
    "Dense",
    "a/b",
    [],
    {},
    [[]],
    {"class_name": "LSTM", "config": {}},
]


@settings(max_examples=80)
@given(st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from(ODD)), min_size=1, max_size=3))
def test_whatever_is_in_a_config_is_a_draft_or_one_line(changes):
    config = copy.deepcopy(SMALL["config"])
    for (*path, last), value in changes:
        at = config
        with suppress(KeyError, IndexError, TypeError):
            for key in path:
                at = at[key]
            at[last] = copy.deepcopy(value)
    with tempfile.TemporaryDirectory() as folder:
        archive = write_archive(Path(folder) / "m.keras", config, SMALL["variables"])
        try:
            draft = initlib.manifest(archive)
        except InitlibError as caught:
            draft, problem = None, str(caught)
    if draft is None:
        assert problem.startswith(f"{archive}: ")
        assert "\n" not in problem
        return
    named = {each["name"] for each in draft.manifest["layers"]}
    assert named == {name for name in SMALL["variables"] if "optimizer" not in name}
    unknown = {each["name"] for each in draft.manifest["layers"] if "initializer" not in each}
    assert unknown <= set(dict(draft.missing))
