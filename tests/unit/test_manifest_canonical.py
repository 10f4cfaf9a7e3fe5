"""The canonical form: the same for manifests that say the same, and it loads to the same."""

import io
import json

from initlib._manifest import read


def canonical(text):
    return read(io.StringIO(text)).canonical()


def test_defaults_and_spelling_do_not_matter():
    short = canonical("layers: [{name: w, shape: [2], initializer: zeros}]")
    long = canonical("""
version: 1
seed: 0
dtype: float32
layout: keras
vars: {}
rules: []
metadata: {}
layers:
  - name: "w"
    shape:
      - 2
    dtype: null
    seed: ~
    initializer: 'zeros'
""")
    as_json = canonical(
        '{"layers": [{"shape": [2], "name": "\\u0077", "initializer": "zeros"}], "seed": 0}'
    )
    assert short == long == as_json
    assert short == {
        "version": 1,
        "seed": 0,
        "dtype": "float32",
        "layers": [{"name": "w", "shape": [2], "initializer": "zeros"}],
    }


def test_what_is_written_stays():
    written = {
        "version": 1,
        "seed": 3,
        "dtype": "bfloat16",
        "layout": "torch",
        "vars": {"d": 4, "x": 0.1},
        "rules": [{"match": "*.b", "initializer": "zeros", "dtype": "float32"}],
        "layers": [
            {
                "repeat": {"i": "d"},
                "layers": [
                    {"name": "h.{i}.w", "shape": ["2*d", 3], "initializer": "constant(x)"},
                    {"name": "h.{i}.b", "shape": ["d"], "seed": 0, "dtype": "float64"},
                ],
            },
            {
                "name": "{{k}}",
                "shape": [],
                "initializer": {"class_name": "Constant", "config": {"value": None}},
            },
        ],
        "metadata": {"format": "pt"},
    }
    assert read(written).canonical() == written


def test_vars_are_values():
    assert canonical("vars: {d: 64, f: 4*d}\nlayers: []")["vars"] == {"d": 64, "f": 256}


def test_the_order_of_keys_does_not_matter():
    text = """
vars: {z: 2, a: z + 1}
layers:
  - repeat: {j: z, i: a, h: 1}
    layers: [{name: '{j}{i}{h}', shape: [a], initializer: {class_name: X, config: {b: z, a: a}}}]
"""
    manifest = read(io.StringIO(text))
    shuffled = read(json.loads(json.dumps(manifest.canonical(), sort_keys=True)))
    names = [tensor.name for tensor in manifest.tensors()]
    assert names == ["000", "010", "020", "100", "110", "120"]
    assert [tensor.name for tensor in shuffled.tensors()] == names
    assert shuffled.canonical() == manifest.canonical()


def test_infinities_are_json():
    text = "vars: {x: .inf}\nlayers: [{name: w, shape: [], initializer:"
    text += " {class_name: Constant, config: {value: [-.inf, .nan]}}}]"
    plain = json.loads(json.dumps(canonical(text), allow_nan=False))
    assert plain["vars"] == {"x": "inf"}
    manifest = read(plain)
    assert manifest.vars["x"] == float("inf")
    low, nan = next(manifest.tensors()).initializer.config["value"]
    assert low == float("-inf")
    assert nan != nan


def test_overrides_are_part_of_it():
    manifest = read({"layers": [], "seed": 1}, seed=2, dtype="float64")
    assert manifest.canonical()["seed"] == 2
    assert manifest.canonical()["dtype"] == "float64"
