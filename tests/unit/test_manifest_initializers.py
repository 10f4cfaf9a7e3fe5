"""How initializers are written, and what they are read as."""

import pytest

from initlib._errors import ManifestError
from initlib._manifest import InitializerSpec, read

VARS = {"d": 4, "n_layers": 8, "scale": 0.5}


def spec(written):
    layers = [{"name": "w", "shape": [], "initializer": written}]
    return next(read({"vars": VARS, "layers": layers}).tensors()).initializer


@pytest.mark.parametrize(
    "name", ["he_normal", "TruncatedNormal", "zeros", "_x2", "jax.normal", "torch.nn.init.normal_"]
)
def test_names(name):
    assert spec(name) == InitializerSpec(name)
    assert spec(f"{name}()") == InitializerSpec(name)
    assert not spec(name).custom


@pytest.mark.parametrize(
    "name", ["my_inits.py:my_init", "../a b/c.py:f", "package.module:Class", "pkg:Outer.Inner"]
)
def test_custom_code(name):
    assert spec(name) == InitializerSpec(name)
    assert spec(name).custom
    config = {"class_name": name, "config": {"gain": "d/2"}}
    assert spec(config) == InitializerSpec(name, config={"gain": 2.0})


@pytest.mark.parametrize(
    ("call", "args", "config"),
    [
        ("constant(0.5)", (0.5,), {}),
        ("constant(-inf)", (float("-inf"),), {}),
        ("f(1, 'two', [3, d], (4, -d))", (1, "two", [3, 4], (4, -4)), {}),
        ("f(None, True, False)", (None, True, False), {}),
        ("f( stddev = 0.02/sqrt(2*n_layers) )", (), {"stddev": 0.005}),
        ("f(1e-3, seed=18446744073709551615)", (0.001,), {"seed": 2**64 - 1}),
        ('variance_scaling(scale, mode="fan_in")', (0.5,), {"mode": "fan_in"}),
        ("f('d', 'sqrt(')", ("d", "sqrt("), {}),
        ("f(x=[[1, 2], [3, 4.5]])", (), {"x": [[1, 2], [3, 4.5]]}),
        ("f(\n  x=1,\n)", (), {"x": 1}),
        ("jax.normal(stddev=d/8)", (), {"stddev": 0.5}),
        ("jax.he_normal(in_axis=(0, 1))", (), {"in_axis": (0, 1)}),
    ],
)  # fmt: skip
def test_calls(call, args, config):
    result = spec(call)
    assert result == InitializerSpec("f" if call[0] == "f" else call.split("(")[0], args, config)
    assert [type(value) for value in result.args] == [type(value) for value in args]


def test_keras_config():
    written = {
        "module": "keras.initializers",
        "class_name": "VarianceScaling",
        "config": {
            "scale": "1/(2*n_layers)",
            "mode": "fan_in",
            "distribution": "truncated_normal",
            "seed": {
                "class_name": "SeedGenerator",
                "module": "keras.random",
                "config": {"name": "seed_generator", "seed": "n_layers + 1"},
            },
        },
        "registered_name": None,
        "build_config": {"shape": [1]},
    }
    seed = {
        "class_name": "SeedGenerator",
        "module": "keras.random",
        "config": {"name": "seed_generator", "seed": 9},
    }
    assert spec(written) == InitializerSpec(
        "VarianceScaling",
        config={
            "scale": 1 / 16,
            "mode": "fan_in",
            "distribution": "truncated_normal",
            "seed": seed,
        },
        keras={"module": "keras.initializers", "build_config": {"shape": [1]}},
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("0.02/sqrt(2*n_layers)", 0.005), ("d", 4), ("-d", -4), ("2", 2), ("1e-3", 0.001)],
        *[("-inf", float("-inf")), ("max(d, 9)", 9)],
        # An unknown name, an attribute, a function that is not called: text.
        *[("fan_in", "fan_in"), ("2*unknown", "2*unknown"), ("d.x", "d.x"), ("sqrt", "sqrt")],
        *[("hann", "hann"), ("a/b.txt", "a/b.txt"), ("", ""), ("d d", "d d"), ("d[0]", "d[0]")],
        *[("keras.random", "keras.random"), ("open('d')", "open('d')"), ("'d'", "'d'")],
    ],
)
def test_arithmetic_in_configs(text, value):
    written = {"class_name": "X", "config": {"a": text, "b": [{"c": text}]}}
    result = spec(written).config
    assert result == {"a": value, "b": [{"c": value}]}
    assert type(result["a"]) is type(value)


def test_other_values_in_configs_stay():
    config = {"a": None, "b": True, "c": [], "d": {}, "e": 10**30, "f": 1.0}
    assert spec({"class_name": "X", "config": config}).config == config


def test_identifiers_are_not_looked_up():
    assert spec("no_such_initializer").identifier == "no_such_initializer"


def test_place_is_not_part_of_the_value():
    tensors = read(
        {
            "layers": [
                {"name": "a", "shape": [], "initializer": "zeros"},
                {"name": "b", "shape": [], "initializer": "zeros"},
            ]
        }
    ).tensors()
    a, b = (tensor.initializer for tensor in tensors)
    assert a == b
    assert a.where != b.where


@pytest.mark.parametrize(
    "text", ["lambda: 1", "f(g(1))", "f(x for x in d)", "f(d if d else d)", "f(1)(2)", "f(`1`)"]
)
def test_python_is_not_run(text):
    with pytest.raises(ManifestError):
        spec(text)
