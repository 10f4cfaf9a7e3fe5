"""Expansion: names, shapes, repeats, rules, dtypes and seeds."""

import io

import pytest

from initlib._errors import ManifestError
from initlib._manifest import read
from initlib._manifest._expand import MAX_RANK


def expand(text):
    return list(read(io.StringIO(text)).tensors())


def names(*layers, **top):
    layers = [{"shape": [], "initializer": "zeros", **layer} for layer in layers]
    return [t.name for t in read({"layers": layers, **top}).tensors()]


def repeat(variables, *layers):
    layers = [{"shape": [], "initializer": "zeros", "name": name} for name in layers]
    return [t.name for t in read({"layers": [{"repeat": variables, "layers": layers}]}).tensors()]


def test_a_transformer():
    text = """
seed: 7
vars: {d_model: 768, d_ff: 4*d_model, n_layers: 2}
rules:
  - {match: '*.bias', initializer: zeros, dtype: float32}
  - {match: '*', initializer: truncated_normal(stddev=0.02)}
dtype: bfloat16
layers:
  - {name: wte.weight, shape: [50257, d_model]}
  - repeat: {i: n_layers}
    layers:
      - {name: 'h.{i}.fc.weight', shape: [d_model, d_ff]}
      - {name: 'h.{i}.fc.bias', shape: [d_ff]}
      - {name: 'h.{i}.proj.weight', shape: [d_ff, d_model],
         initializer: random_normal(stddev=0.02/sqrt(2*n_layers)), seed: 1}
"""
    tensors = expand(text)
    assert [t.name for t in tensors] == [
        "wte.weight",
        *["h.0.fc.weight", "h.0.fc.bias", "h.0.proj.weight"],
        *["h.1.fc.weight", "h.1.fc.bias", "h.1.proj.weight"],
    ]
    assert [t.shape for t in tensors[:4]] == [(50257, 768), (768, 3072), (3072,), (3072, 768)]
    assert [t.dtype for t in tensors[:4]] == ["bfloat16", "bfloat16", "float32", "bfloat16"]
    assert [t.seed for t in tensors[:4]] == [7, 7, 7, 1]
    kinds = [t.initializer.identifier for t in tensors[:4]]
    assert kinds == ["truncated_normal", "truncated_normal", "zeros", "random_normal"]
    assert tensors[3].initializer.config == {"stddev": 0.01}
    assert tensors[3].where.path == "layers[1].layers[2]"
    assert (tensors[3].where.line, tensors[3].initializer.where.line) == (14, 15)
    assert tensors[1].initializer.where.path == "rules[1].initializer"


@pytest.mark.parametrize(
    ("name", "expanded"),
    [
        ("a{i}", ["a0", "a1"]),
        ("{i+1}{2*i}", ["10", "22"]),
        ("{i:02d}.{i:3}", ["00.  0", "01.  1"]),
        ("{i:02}", ["00", "01"]),
        ("{{{i}}}", ["{0}", "{1}"]),
        ("{max(i, 1)}.{i}", ["1.0", "1.1"]),
        ("{6/3}.{i}", ["2.0", "2.1"]),
        ("{-i}", ["0", "-1"]),
    ],
)
def test_names(name, expanded):
    assert repeat({"i": 2}, name) == expanded


def test_braces_outside_repeats():
    assert names({"name": "{{x}}"}, {"name": "b{d}"}, vars={"d": 3}) == ["{x}", "b3"]


def test_values_of_a_repeat():
    assert repeat({"i": [5, 0, "2*3"]}, "a{i}") == ["a5", "a0", "a6"]
    assert repeat({"i": "2**2 - 1"}, "a{i}") == ["a0", "a1", "a2"]
    assert repeat({"i": 0}, "a{i}") == []
    assert repeat({"i": []}, "a{i}") == []


def test_several_variables_are_nested():
    assert repeat({"i": 2, "j": [7, 8]}, "{i}.{j}") == ["0.7", "0.8", "1.7", "1.8"]


def test_the_items_of_a_repeat_alternate():
    assert repeat({"i": 2}, "a{i}", "b{i}") == ["a0", "b0", "a1", "b1"]


def test_nested_repeats_use_outer_variables():
    text = """
layers:
  - repeat: {i: 3}
    layers:
      - repeat: {j: i}
        layers:
          - {name: 'w{i}{j}', shape: [i, j + 1, 8/2], initializer: constant(i*10 + j)}
"""
    tensors = expand(text)
    assert [t.name for t in tensors] == ["w10", "w20", "w21"]
    assert [t.shape for t in tensors] == [(1, 1, 4), (2, 1, 4), (2, 2, 4)]
    assert [t.initializer.args for t in tensors] == [(10,), (20,), (21,)]


def test_initializers_are_shared_where_they_can_be():
    text = """
layers:
  - repeat: {i: 2}
    layers:
      - {name: 'a{i}', shape: [], initializer: random_normal(stddev=0.02)}
      - {name: 'b{i}', shape: [], initializer: constant(i)}
      - {name: 'c{i}', shape: [], initializer: {class_name: Constant, config: {value: [i + 1]}}}
      - {name: 'd{i}', shape: [], initializer: {class_name: Constant, config: {value: 'i'}}}
"""
    a0, b0, c0, d0, a1, b1, c1, d1 = (t.initializer for t in expand(text))
    assert a0 is a1
    assert (b0.args, b1.args) == ((0,), (1,))
    assert (c0.config, c1.config) == ({"value": [1]}, {"value": [2]})
    assert (d0.config, d1.config) == ({"value": 0}, {"value": 1})


@pytest.mark.parametrize(
    ("glob", "name", "fits"),
    [
        ("*.bias", "a.b.bias", True),
        ("bias", "a.bias", False),
        ("*BIAS", "a.bias", False),
        ("h.?.w", "h.1.w", True),
        ("h.?.w", "h.10.w", False),
        ("h.[0-4].w", "h.3.w", True),
        ("h.[!0-4].w", "h.3.w", False),
        ("dense/*", "dense/kernel\nx", True),
    ],
)
def test_rules_are_globs_over_whole_names(glob, name, fits):
    manifest = {
        "rules": [{"match": glob, "initializer": "ones"}, {"match": "*", "initializer": "zeros"}],
        "layers": [{"name": name, "shape": []}, {"name": "h.9.w", "shape": []}],
    }
    # Both rules must fit something; what the first gives is seen on the first tensor.
    try:
        found = next(read(manifest).tensors()).initializer.identifier
    except ManifestError:
        found = None
    assert (found == "ones") is fits


def test_the_first_rule_that_fits_counts():
    rules = [
        {"match": "a*", "initializer": "ones", "dtype": "float16"},
        {"match": "*", "initializer": "zeros", "dtype": "float64"},
    ]
    layers = [
        {"name": "a", "shape": []},
        {"name": "b", "shape": []},
        {"name": "a2", "shape": [], "dtype": "int8"},
        {"name": "a3", "shape": [], "initializer": "he_normal"},
    ]
    tensors = list(read({"rules": rules, "layers": layers, "dtype": "bfloat16"}).tensors())
    got = [(t.initializer.identifier, t.dtype) for t in tensors]
    # A rule's dtype comes with its initializer only.
    expected = [("ones", "float16"), ("zeros", "float64"), ("ones", "int8")]
    assert got == [*expected, ("he_normal", "bfloat16")]


def test_a_rule_for_layers_with_initializers_is_not_unused():
    rules = [{"match": "a", "initializer": "ones"}]
    assert names({"name": "a"}, rules=rules) == ["a"]


def test_rules_may_use_vars():
    rules = [{"match": "*", "initializer": "constant(1/d)"}]
    manifest = read({"vars": {"d": 4}, "rules": rules, "layers": [{"name": "a", "shape": []}]})
    assert next(manifest.tensors()).initializer.args == (0.25,)


def test_shapes():
    text = "layers: [{name: a, shape: [0, 8/2, 3.0, 2**10], initializer: zeros},"
    text += " {name: b, shape: [], initializer: zeros}]"
    first, scalar = expand(text)
    assert first.shape == (0, 4, 3, 1024)
    assert [type(size) for size in first.shape] == [int] * 4
    assert scalar.shape == ()


def test_most_dimensions():
    shape = [1] * MAX_RANK
    layers = [{"name": "w", "shape": shape, "initializer": "zeros"}]
    (tensor,) = read({"layers": layers}).tensors()
    assert tensor.shape == tuple(shape)
    shape.append(1)
    with pytest.raises(ManifestError, match=r"shape: expected at most 64 dimensions, received 65$"):
        list(read({"layers": layers}).tensors())


def test_largest_shape():
    layer = {"name": "a", "shape": [2**63 - 1], "dtype": "int8", "initializer": "zeros"}
    assert next(read({"layers": [layer]}).tensors()).shape == (2**63 - 1,)
    with pytest.raises(ManifestError, match=r"is larger than 2\*\*63 - 1 bytes"):
        list(read({"layers": [{**layer, "dtype": "float16"}]}).tensors())


@pytest.mark.parametrize("seed", [0, 2**64 - 1])
def test_extreme_seeds(seed):
    layer = {"name": "a", "shape": [], "initializer": "zeros", "seed": seed}
    assert next(read({"layers": [layer], "seed": 3}).tensors()).seed == seed


def test_layout():
    layer = {"name": "a", "shape": [], "initializer": "zeros"}
    assert next(read({"layers": [layer], "layout": "torch"}).tensors()).layout == "torch"


def test_vars_use_earlier_ones():
    manifest = read({"vars": {"a": 3, "b": "a*2", "c": "b/4", "d": "1e-3"}, "layers": []})
    assert manifest.vars == {"a": 3, "b": 6, "c": 1.5, "d": 0.001}


def test_tensors_can_be_walked_twice():
    manifest = read({"layers": [{"name": "a", "shape": [], "initializer": "zeros"}]})
    assert list(manifest.tensors()) == list(manifest.tensors())


def test_where_makes_errors():
    tensor = expand("layers:\n  - {name: a, shape: [], initializer: zeros}\n")[0]
    error = tensor.initializer.where.error("unknown initializer")
    assert isinstance(error, ManifestError)
    assert str(error) == "<manifest>:2: layers[0].initializer: unknown initializer"
