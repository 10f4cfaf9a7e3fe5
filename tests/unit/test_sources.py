"""Manifests of checkpoints: given back, or drafted from names and shapes by rules."""

import io
import os
import struct

import h5py
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

import initlib
from initlib import _manifest
from initlib._sources._fold import Leaf, fold
from initlib._sources._rules import SETS
from initlib._sources._text import as_text

TENSORS = {
    "wte.weight": (50, 8),
    **{
        f"h.{i}.{name}": shape
        for i in range(12)
        for name, shape in {
            "ln_1.weight": (8,),
            "attn.c_proj.weight": (8, 8),
            "attn.c_proj.bias": (8,),
        }.items()
    },
    "ln_f.weight": (8,),
}


@pytest.fixture
def saved(tmp_path):
    """Save zeros of these shapes, by the real safetensors; return the file."""

    def save(shapes, dtype=np.float32, **others):
        path = tmp_path / "model.safetensors"
        arrays = {name: np.zeros(shape, dtype) for name, shape in shapes.items()}
        save_file({**arrays, **others}, path)
        return path

    return save


def expanded(text):
    """The tensors of a manifest's text: name to shape, dtype and initializer."""
    specs = _manifest.read(io.StringIO(text)).tensors()
    return {spec.name: (spec.shape, spec.dtype, str(spec.initializer)) for spec in specs}


def test_blocks_become_a_repeat(saved):
    draft = initlib.manifest(saved(TENSORS), rules="gpt2")
    assert draft.text == (
        """\
# What is in model.safetensors: 38 tensors, 1,368 parameters.
# How they are initialised is a guess from their names (--rules gpt2).

seed: 0
dtype: float32
layout: keras
vars:
  n_layers: 12
  initializer_range: 0.02

# The first that fits a name counts.
rules:
  - {match: '*bias', initializer: zeros}
  - {match: '*ln_?.weight', initializer: ones}
  - {match: '*c_proj.weight', initializer: random_normal(stddev=initializer_range/sqrt(2*n_layers))}
  - {match: '*weight', initializer: random_normal(stddev=initializer_range)}

layers:
  - repeat: {i: n_layers}
    layers:
      - {name: 'h.{i}.attn.c_proj.bias', shape: [8]}
      - {name: 'h.{i}.attn.c_proj.weight', shape: [8, 8]}
      - {name: 'h.{i}.ln_1.weight', shape: [8]}
  - {name: ln_f.weight, shape: [8]}
  - {name: wte.weight, shape: [50, 8]}
"""
    )
    assert (draft.tensors, draft.parameters, draft.partial) == (38, 1368, False)
    found = expanded(draft.text)
    assert {name: shape for name, (shape, _, _) in found.items()} == TENSORS
    assert found["h.3.attn.c_proj.weight"][2] == f"random_normal(stddev={0.02 / 24**0.5!r})"


def test_blocks_that_differ_are_told_apart(saved):
    shapes = {f"b.{i}.w": (2,) for i in (0, 1, 2, 5)} | {"b.0.x": (3,), "b.3.w": (7,)}
    draft = initlib.manifest(saved(shapes), rules="llama")
    assert dict(draft.missing) == dict.fromkeys(shapes, "no rule fits")
    assert draft.manifest["layers"] == [
        {"name": "b.0.w", "shape": [2]},
        {"name": "b.0.x", "shape": [3]},
        {"repeat": {"i": [1, 2, 5]}, "layers": [{"name": "b.{i}.w", "shape": [2]}]},
        {"name": "b.3.w", "shape": [7]},
    ]


NAMES = st.lists(
    st.sampled_from(["a", "b{", "}c", "0", "1", "2", "3", "10", "07", "x1"]), min_size=1, max_size=6
).flatmap(lambda parts: st.sampled_from("./").map(lambda separator: separator.join(parts)))


@given(st.dictionaries(NAMES, st.sampled_from([(), (2,), (2, 3)]), max_size=40))
def test_folding_loses_nothing(tensors):
    leaves = [Leaf(name, shape, None, "ones") for name, shape in tensors.items()]
    layers = fold(leaves)
    found = {spec.name: spec.shape for spec in _manifest.read({"layers": layers}).tensors()}
    assert found == tensors


def test_numbers_of_any_length_and_depth():
    names = ["1" * 4000, "0." * 1200 + "x", "9" * 25 + ".a", "9" * 24 + "8.a"]
    layers = fold([Leaf(name, (), None, "ones") for name in names])
    assert {spec.name for spec in _manifest.read({"layers": layers}).tensors()} == set(names)


def test_variables_of_rules_are_left_alone(tmp_path, saved):
    (tmp_path / "mine.yaml").write_text(
        "layers: []\nvars: {n_layers: 1, i: 3, j: 0.02/sqrt(n_layers)}\n"
        "rules: [{match: '*', initializer: normal(stddev=j*i)}]\n"
    )
    shapes = {f"h.{i}.w": (2,) for i in range(4)} | {"h.0.x": (2,)}
    draft = initlib.manifest(saved(shapes), rules=str(tmp_path / "mine.yaml"))
    # All blocks count, also those that aren't like the others.
    assert draft.manifest["vars"] == {"n_layers": 4, "i": 3, "j": "0.02/sqrt(n_layers)"}
    assert {what[2] for what in expanded(draft.text).values()} == {"normal(stddev=0.03)"}
    assert draft.manifest["layers"][-1]["repeat"] == {"k": [1, 2, 3]}


def test_nested_repeats_are_folded():
    leaves = [
        Leaf(f"layers.{i}.experts.{j}.w{k}", (2, k))
        for i in range(4)
        for j in range(8)
        for k in (1, 2)
    ]
    assert fold(leaves) == [
        {
            "repeat": {"i": 4},
            "layers": [
                {
                    "repeat": {"j": 8},
                    "layers": [
                        {"name": f"layers.{{i}}.experts.{{j}}.w{k}", "shape": [2, k]}
                        for k in (1, 2)
                    ],
                }
            ],
        }
    ]


@given(
    st.text(min_size=1).filter(
        lambda text: "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)
    ),
    st.text(max_size=9).filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text)),
)
def test_any_name_survives_the_text(name, comment):
    manifest = {"layers": [{"name": name.replace("{", "{{").replace("}", "}}"), "shape": []}]}
    manifest["rules"] = [{"match": "*", "initializer": "zeros"}]
    manifest["metadata"] = {name: comment}
    text = as_text(manifest, [comment, f"\nmetadata: {{a: b}}\n{comment}"])
    assert _manifest.read(io.StringIO(text)).canonical() == _manifest.read(manifest).canonical()


@pytest.mark.parametrize(
    "name", ["1e-3", "on", "null", "0x1F", "-", "2024-01-01", "a: b", "#", "~"]
)
def test_text_that_looks_like_something_else_is_quoted(saved, name):
    draft = initlib.manifest(saved({name: (2,)}), rules="torch")
    assert expanded(draft.text).keys() == {name}


@pytest.mark.parametrize("suffix", ["safetensors", "h5"])
def test_our_own_file_gives_its_manifest_back(tmp_path, suffix):
    manifest = {
        "seed": 7,
        "dtype": "bfloat16",
        "vars": {"d": 4},
        "rules": [{"match": "*.b", "initializer": "zeros"}],
        "layers": [
            {"repeat": {"i": 3}, "layers": [{"name": "h.{i}.b", "shape": ["2*d"]}]},
            {"name": "w", "shape": [3, 4], "initializer": "he_normal", "dtype": "float32"},
            {
                "name": "c",
                "shape": [],
                "initializer": {"class_name": "Constant", "config": {"value": 2}},
            },
        ],
        "metadata": {"license": "none: yet"},
    }
    first = tmp_path / f"a.{suffix}"
    initlib.generate(manifest, first)
    draft = initlib.manifest(first)
    assert draft.rules is None
    assert not draft.partial
    again = tmp_path / f"b.{suffix}"
    (tmp_path / "a.yaml").write_text(draft.text)
    initlib.generate(tmp_path / "a.yaml", again)
    assert again.read_bytes() == first.read_bytes()
    assert initlib.manifest(first, rules="torch").rules == "torch"


def test_our_own_part_of_a_manifest(tmp_path, mlp):
    path = tmp_path / "part.safetensors"
    initlib.generate(mlp, path, only="*bias")
    draft = initlib.manifest(path)
    assert draft.notes == ("it is a part of what the manifest makes: 1 tensors",)
    assert "# It is a part of what the manifest makes: 1 tensors.\n" in draft.text
    assert expanded(draft.text).keys() == {"dense/kernel", "dense/bias"}


def test_a_changed_file_of_ours_is_anyones(tmp_path, mlp):
    path = tmp_path / "model.safetensors"
    initlib.generate(mlp, path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b'\\"seed\\":42', b'\\"seed\\":43', 1))
    draft = initlib.manifest(path)
    assert draft.rules == "torch"
    assert "checksum" in draft.notes[0]
    assert "# Its own manifest isn't as it was written" in draft.text


def test_what_torch_modules_draw(saved):
    path = saved(
        {
            "fc.weight": (3, 5),
            "fc.bias": (3,),
            "conv.weight": (4, 3, 2, 2),
            "conv.bias": (4,),
            "layer.0.weight": (4,),
            "layer.0.bias": (4,),
            "layer.0.running_var": (4,),
            "embed.weight": (9, 2),
        },
        num_batches_tracked=np.array(3),
    )
    draft = initlib.manifest(path)
    assert draft.rules == "torch"
    found = {name: what[2] for name, what in expanded(draft.text).items()}
    uniform = f"kaiming_uniform(a={5**0.5!r})"
    assert found == {
        "fc.weight": uniform,
        "fc.bias": f"random_uniform({-1 / 5**0.5!r}, {1 / 5**0.5!r})",
        "conv.weight": uniform,
        "conv.bias": f"random_uniform({-1 / 12**0.5!r}, {1 / 12**0.5!r})",
        "layer.0.weight": "ones",
        "layer.0.bias": "zeros",
        "layer.0.running_var": "ones",
        "embed.weight": "random_normal(stddev=1)",
        "num_batches_tracked": "zeros",
    }
    assert expanded(draft.text)["num_batches_tracked"][1] == "int64"
    assert not draft.partial


def test_what_shapes_tell_of_torch_modules(saved):
    path = saved(
        {
            "norm1.linear.weight": (6, 4),
            "patch_embed.proj.weight": (4, 3, 2, 2),
            "attn.in_proj_weight": (12, 4),
            "attn.in_proj_bias": (12,),
            "attn.out_proj.weight": (4, 4),
            "attn.out_proj.bias": (4,),
            "rnn.weight_ih_l0": (16, 3),
            "rnn.weight_hh_l0": (16, 4),
            "rnn.bias_hh_l0": (16,),
        }
    )
    found = {name: what[2] for name, what in expanded(initlib.manifest(path).text).items()}
    linear, half = f"kaiming_uniform(a={5**0.5!r})", "random_uniform(-0.5, 0.5)"
    assert found == {
        "norm1.linear.weight": linear,
        "patch_embed.proj.weight": linear,
        "attn.in_proj_weight": "xavier_uniform",
        "attn.in_proj_bias": "zeros",
        "attn.out_proj.weight": linear,
        "attn.out_proj.bias": "zeros",
        "rnn.weight_ih_l0": half,
        "rnn.weight_hh_l0": half,
        "rnn.bias_hh_l0": half,
    }


def test_what_is_given_instead_of_a_rule_is_checked_too(saved):
    path = saved({"l.weight": (8, 8)}, **{"l.bias": np.zeros(8, np.int32)})
    assert [name for name, _ in initlib.manifest(path).missing] == ["l.bias"]


def test_what_no_rule_can_fill(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["x/cell/vars/1"] = np.zeros(3, "f4")
    ((name, problem),) = initlib.manifest(path).missing
    assert name == "x/cell/vars/1"
    assert problem == "Orthogonal fills tensors of 2 axes or more, received the shape (3,)"


def test_what_keras_layers_draw(tmp_path):
    path = tmp_path / "m.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = np.zeros((3, 4), "f4")
        file["layers/dense/vars/1"] = np.zeros(4, "f4")
        for i in range(4):
            file[f"layers/batch_normalization_1/vars/{i}"] = np.zeros(4, "f4")
        for i, shape in enumerate([(3, 8), (2, 8), (8,)]):
            file[f"layers/lstm/cell/vars/{i}"] = np.zeros(shape, "f4")
    draft = initlib.manifest(path)
    assert draft.rules == "keras"
    found = {name.removeprefix("layers/"): what[2] for name, what in expanded(draft.text).items()}
    norm = "batch_normalization_1/vars"
    assert found == {
        "dense/vars/0": "glorot_uniform",
        "dense/vars/1": "zeros",
        f"{norm}/0": "ones",
        f"{norm}/1": "zeros",
        f"{norm}/2": "zeros",
        f"{norm}/3": "ones",
        "lstm/cell/vars/0": "glorot_uniform",
        "lstm/cell/vars/1": "orthogonal",
        "lstm/cell/vars/2": "zeros",
    }


@pytest.mark.parametrize("name", SETS)
def test_a_set_of_rules_is_a_manifest(tmp_path, name, saved):
    source = saved(
        {"model.norm.weight": (3,), "a.b.weight": (3, 3), "h/kernel/vars/0": (3, 3), "2.w": (3,)}
    )
    (tmp_path / "mine.yaml").write_text(
        "layout: torch\nvars: {n_layers: 3}\nlayers: []\n"
        "rules: [{match: '*', initializer: random_normal(stddev=1/n_layers)}]\n"
    )
    assert initlib.manifest(source, rules=name).rules == name
    mine = initlib.manifest(source, rules=str(tmp_path / "mine.yaml"))
    assert (mine.manifest["layout"], mine.manifest["vars"]) == ("torch", {"n_layers": 1})
    assert {what[2] for what in expanded(mine.text).values()} == {"random_normal(stddev=1.0)"}


def test_what_cannot_be_made_is_named(saved):
    path = saved(
        {"a.weight": (2, 2)}, position_ids=np.arange(5), half=np.zeros(2, ml_dtypes.bfloat16)
    )
    draft = initlib.manifest(path, rules="torch")
    problem = "random values need a floating-point dtype, received int64"
    assert draft.missing == (("position_ids", problem),)
    assert draft.partial
    assert (
        f"# PARTIAL: 1 of its tensors can't be made from this:\n#   'position_ids': {problem}\n"
    ) in draft.text
    assert expanded(draft.text)["half"][1] == "bfloat16"
    with pytest.raises(initlib.ManifestError, match="position_ids"):
        initlib.generate(draft.manifest, path.with_name("x.safetensors"))


def test_tensors_of_other_dtypes_are_named(tmp_path):
    header = b'{"odd":{"dtype":"F4","shape":[4],"data_offsets":[0,2]}}'
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0\0")
    draft = initlib.manifest(path)
    assert [name for name, _ in draft.missing] == ["odd"]
    assert "layers: []" in draft.text


def test_shards_are_one_manifest(tmp_path):
    for i in range(2):
        shard = tmp_path / f"model-0000{i + 1}-of-00002.safetensors"
        save_file({f"h.{i}.w": np.zeros((2, 3), np.float32)}, shard)
    draft = initlib.manifest(tmp_path, rules="torch")
    assert draft.manifest["layers"] == [
        {"repeat": {"i": 2}, "layers": [{"name": "h.{i}.w", "shape": [2, 3]}]}
    ]


def test_no_value_is_read(tmp_path):
    size = 100 << 30
    header = f'{{"w":{{"dtype":"U8","shape":[{size}],"data_offsets":[0,{size}]}}}}'.encode()
    path = tmp_path / "huge.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    os.truncate(path, 8 + len(header) + size)
    assert initlib.manifest(path, rules="torch").parameters == size


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("torhc", "no rules 'torhc'; did you mean 'torch'?"),
        ("x", "no rules 'x'; expected gpt2, keras, llama, torch or a file"),
        ("none.yaml", "there is no file 'none.yaml'"),
    ],
)
def test_rules_that_are_not_there(saved, rules, message):
    with pytest.raises(initlib.RequestError) as error:
        initlib.manifest(saved(TENSORS), rules=rules)
    assert str(error.value) == message


def test_a_manifest_without_rules_gives_none(saved, mlp):
    with pytest.raises(initlib.RequestError, match="expected a manifest with rules"):
        initlib.manifest(saved(TENSORS), rules=str(mlp))
