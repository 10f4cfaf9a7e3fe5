"""The JSON Schema: complete, and it judges manifests as `read` does."""

import json
import re
from pathlib import Path

import pytest
import yaml

from initlib import schema
from initlib._dtypes import DTYPES
from initlib._errors import ManifestError
from initlib._manifest import _yaml, read

HERE = Path(__file__).parent
SCHEMA = schema()
EXAMPLES = sorted((HERE.parents[1] / "examples").rglob("*.yaml"))
TABLE = yaml.safe_load((HERE / "bad_manifests.yaml").read_text(encoding="utf-8"))
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


def has_type(value, name):
    return isinstance(value, TYPES[name]) and not isinstance(value, bool)


def valid(value, schema):
    """Judge a value by the keywords of JSON Schema that ours uses; refuse any other keyword."""
    return all(
        CHECKS[key](value, argument, schema)
        for key, argument in schema.items()
        if key not in ANNOTATIONS
    )


def valid_properties(value, properties, _):
    return not isinstance(value, dict) or all(
        valid(value[key], inner) for key, inner in properties.items() if key in value
    )


def valid_additional(value, additional, schema):
    if not isinstance(value, dict) or additional is True:
        return True
    rest = [inner for key, inner in value.items() if key not in schema.get("properties", {})]
    return not rest if additional is False else all(valid(inner, additional) for inner in rest)


ANNOTATIONS = {"$schema", "$defs", "title", "description", "examples", "default"}
CHECKS = {
    "$ref": lambda value, ref, _: valid(value, SCHEMA["$defs"][ref.removeprefix("#/$defs/")]),
    "type": lambda value, types, _: any(
        has_type(value, name) for name in ([types] if isinstance(types, str) else types)
    ),
    "enum": lambda value, choices, _: value in choices,
    "pattern": lambda value, pattern, _: re.search(pattern, value) is not None,
    "const": lambda value, only, _: value == only,
    "not": lambda value, inner, _: not valid(value, inner),
    "anyOf": lambda value, inner, _: any(valid(value, one) for one in inner),
    "oneOf": lambda value, inner, _: sum(valid(value, one) for one in inner) == 1,
    "items": lambda value, inner, _: (
        not isinstance(value, list) or all(valid(item, inner) for item in value)
    ),
    "required": lambda value, keys, _: not isinstance(value, dict) or set(keys) <= value.keys(),
    "minProperties": lambda value, least, _: not isinstance(value, dict) or len(value) >= least,
    "propertyNames": lambda value, inner, _: (
        not isinstance(value, dict) or all(valid(key, inner) for key in value)
    ),
    "minimum": lambda value, least, _: not has_type(value, "number") or value >= least,
    "maximum": lambda value, most, _: not has_type(value, "number") or value <= most,
    "properties": valid_properties,
    "additionalProperties": valid_additional,
}


def test_it_is_json_with_a_draft():
    assert json.loads(json.dumps(SCHEMA, allow_nan=False)) == SCHEMA
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["title"] == "initgen manifest"
    assert SCHEMA["required"] == ["layers"]
    assert SCHEMA["properties"]["dtype"]["enum"] == list(DTYPES)


def test_everything_is_described_for_editors():
    for part in (SCHEMA, *SCHEMA["$defs"].values()):
        assert part["description"]
        for name, field in part["properties"].items():
            assert field.get("description"), name


def test_its_examples_are_manifests():
    for example in SCHEMA["examples"]:
        assert list(read(example).tensors())
        assert valid(example, SCHEMA)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_it_accepts_the_examples(path):
    data, _ = _yaml.load_yaml(path.read_text(encoding="utf-8"), path.name)
    assert valid(data, SCHEMA)
    assert valid(read(path).canonical(), SCHEMA)


def test_there_are_examples():
    assert EXAMPLES


@pytest.mark.parametrize(
    "layer",
    [
        {"name": "w", "shape": [2, "4*d", 8.0], "initializer": "constant(0.5)"},
        {"name": "w", "shape": [], "dtype": None, "seed": 2**64 - 1},
        {
            "name": "w",
            "shape": [],
            "initializer": {
                "class_name": "VarianceScaling",
                "module": "keras.initializers",
                "registered_name": None,
                "build_config": {"shape": [1]},
                "config": {"seed": {"class_name": "SeedGenerator", "config": {}}},
            },
        },
        {"repeat": {"i": 2, "j": [1, "n"], "k": "n"}, "layers": []},
        {"repeat": {"i": 2}, "layers": [{"repeat": {"j": 2}, "layers": []}]},
    ],
)
def test_it_accepts(layer):
    manifest = {"version": 1, "layout": "torch", "vars": {"n": 1, "x": "n/2"}, "layers": [layer]}
    manifest["rules"] = [{"match": "*", "initializer": "zeros", "dtype": "int8"}]
    manifest["metadata"] = {"format": "pt"}
    read(manifest)
    assert valid(manifest, SCHEMA)


# What read finds beyond the reach of a schema: in the text itself, or by arithmetic and names.
BEYOND = ("name", "cannot evaluate", "already has a meaning", "half a character", "a variable")


def structural(case):
    """Tell a case whose text can be loaded and which `read` itself, not `tensors`, refuses."""
    try:
        data, _ = _yaml.load_yaml(case["text"], "m.yaml")
        read(data if isinstance(data, dict) else {})
    except ManifestError as error:
        loaded = error.source == "<manifest>"
        return loaded and not any(part in error.problem for part in BEYOND)
    return False


REFUSED = [case for case in TABLE if structural(case)]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case["what"])
def test_it_refuses(case):
    data, _ = _yaml.load_yaml(case["text"], "m.yaml")
    assert not valid(data, SCHEMA)


def test_many_are_refused():
    assert len(REFUSED) > 50


@pytest.mark.parametrize(
    ("initializer", "accepted"),
    [
        ("he_normal", True),
        ("HeNormal", True),
        ("constant(0.5)", True),
        ("mine.py:f", True),
        ("jax.normal", True),
        ("torch.normal_", True),
        ("jax.normal(stddev=0.01)", True),
        ("glorot_unifrom", False),
        ("jax.nomal", False),
    ],
)
def test_editors_know_the_initializers(initializer, accepted):
    layer = {"name": "w", "shape": [1], "initializer": initializer}
    assert valid({"layers": [layer]}, SCHEMA) == accepted
