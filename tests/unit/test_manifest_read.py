"""Reading manifests: where from, and what YAML's and JSON's values become."""

import gc
import io
import json
import math
import sys
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import yaml

from initlib._errors import ManifestError, StorageError
from initlib._manifest import _yaml, read

SMALL = """\
seed: 42
dtype: float32
layers:
  - {name: dense/kernel, shape: [784, 256], initializer: glorot_uniform}
  - {name: dense/bias, shape: [256], initializer: zeros}
"""


def config(text):
    """Return what a YAML value becomes, by way of a config, where any value may stand."""
    manifest = read(
        io.StringIO(
            "layers: [{name: w, shape: [], initializer:"
            f" {{class_name: X, config: {{value: {text}}}}}}}]"
        )
    )
    return next(manifest.tensors()).initializer.config["value"]


def test_smallest_useful_manifest(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    manifest = read(path)
    assert (manifest.version, manifest.seed, manifest.dtype) == (1, 42, "float32")
    assert (manifest.layout, manifest.vars, manifest.rules) == ("keras", {}, ())
    assert (manifest.source, manifest.folder) == (str(path), tmp_path)
    kernel, bias = manifest.tensors()
    assert (kernel.name, kernel.shape, kernel.dtype) == ("dense/kernel", (784, 256), "float32")
    assert (kernel.layout, kernel.seed) == ("keras", 42)
    assert (kernel.initializer.identifier, kernel.initializer.config) == ("glorot_uniform", {})
    assert (bias.name, bias.shape, bias.initializer.identifier) == ("dense/bias", (256,), "zeros")
    assert (bias.where.source, bias.where.path, bias.where.line) == (str(path), "layers[1]", 5)


def tensors(source):
    return [(t.name, t.shape, t.dtype, t.seed, t.initializer) for t in read(source).tensors()]


def test_all_sources_agree(tmp_path, monkeypatch):
    data = yaml.safe_load(SMALL)
    (tmp_path / "m.yaml").write_text("\ufeff" + SMALL, encoding="utf-8")
    (tmp_path / "m.json").write_text(json.dumps(data))
    monkeypatch.setattr(sys, "stdin", io.StringIO(SMALL))
    sources = [
        data,
        MappingProxyType(data),
        io.StringIO(SMALL),
        io.BytesIO(SMALL.encode()),
        io.StringIO(json.dumps(data, indent=2)),
        tmp_path / "m.yaml",
        str(tmp_path / "m.json"),
        "-",
    ]
    first, *others = [tensors(source) for source in sources]
    assert len(first) == 2
    assert all(other == first for other in others)


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SMALL.encode())))
    manifest = read("-")
    assert (manifest.source, manifest.folder) == ("<stdin>", Path.cwd())
    assert next(manifest.tensors()).where.line == 4


def test_folder_of_a_relative_path(tmp_path, monkeypatch):
    (tmp_path / "m.yaml").write_text(SMALL)
    monkeypatch.chdir(tmp_path)
    assert (read("m.yaml").source, read("m.yaml").folder) == ("m.yaml", tmp_path)


def test_overrides():
    text = "seed: 1\nlayers: [{name: a, shape: [], initializer: zeros}, {name: b, shape: [],"
    text += " initializer: zeros, seed: 5, dtype: int8}]"
    manifest = read(io.StringIO(text), seed=np.uint64(7), dtype="bfloat16")
    assert [(t.seed, t.dtype) for t in manifest.tensors()] == [(7, "bfloat16"), (5, "int8")]
    assert (manifest.canonical()["seed"], manifest.canonical()["dtype"]) == (7, "bfloat16")


def test_mapping_of_python_values():
    layers = ({"name": "w", "shape": (np.int64(2), 3), "initializer": "zeros"},)
    data = {"layers": layers, "vars": MappingProxyType({"x": math.inf})}
    manifest = read(data)
    assert next(manifest.tensors()).shape == (2, 3)
    assert manifest.vars == {"x": math.inf}


def test_the_mapping_is_copied():
    data = {"layers": [{"name": "w", "shape": [2], "initializer": "zeros"}]}
    manifest = read(data)
    data["layers"][0]["shape"][0] = 3
    assert next(manifest.tensors()).shape == (2,)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("1e-3", 1e-3), ("1E5", 1e5), ("+1.5e+2", 150.0), (".5", 0.5), ("1.", 1.0)],
        *[("12", 12), ("-3", -3), ("+4", 4), ("010", 10), ("0x1F", 31), ("0o17", 15)],
        *[("1_000", 1000), ("18446744073709551615", 2**64 - 1)],
        *[(".inf", math.inf), ("-.Inf", -math.inf), ("inf", math.inf)],
        *[("null", None), ("~", None), ("", None), ("Null", None)],
        *[("true", True), ("False", False), ("TRUE", True)],
        *[(word, word) for word in ("yes", "no", "on", "off", "y", "N", "tRuE", "nUll")],
        *[("2024-01-01", "2024-01-01"), ("2024-01-01T00:00:00", "2024-01-01T00:00:00")],
        *[("1:30", "1:30"), ("0o9", "0o9"), ("1e", "1e"), ("fan_in", "fan_in")],
        *[("'true'", "true"), ('"on"', "on"), ("!!str true", "true"), ("'~'", "~")],
        *[("[1, [x, 2.0]]", [1, ["x", 2.0]]), ("{a: {b: 1}}", {"a": {"b": 1}})],
        *[("{1: x, on: y, ~: z}", {"1": "x", "on": "y", "~": "z"})],
    ],
)
def test_yaml_values(text, value):
    result = config(text)
    assert result == value
    assert type(result) is type(value)


def test_not_a_number():
    assert math.isnan(config(".nan"))
    assert math.isnan(config("nan"))


def test_words_are_names():
    text = "layers: [{name: on, shape: [], initializer: zeros}]"
    assert [t.name for t in read(io.StringIO(text)).tensors()] == ["on"]


def test_anchors_and_aliases():
    text = """
layers:
  - {name: a, shape: &shape [2, &d 3], initializer: &small random_normal(stddev=1e-3)}
  - {name: b, shape: *shape, initializer: *small}
  - {name: c, shape: [*d], initializer: *small}
"""
    a, b, c = read(io.StringIO(text)).tensors()
    assert a.shape == b.shape == (2, 3)
    assert c.shape == (3,)
    assert a.initializer == b.initializer == c.initializer
    assert b.where.line == 4


def test_lines_of_block_and_flow():
    text = "# comment\nlayers:\n- name: a\n  shape:\n  - 2\n  - x\n  initializer: zeros\n"
    with pytest.raises(ManifestError) as caught:
        list(read(io.StringIO(text)).tensors())
    assert (caught.value.line, caught.value.path) == (6, "layers[0].shape[1]")


def test_without_libyaml(monkeypatch):
    monkeypatch.setattr(_yaml, "_Loader", yaml.SafeLoader)
    assert len(tensors(io.StringIO(SMALL))) == 2
    for text in ("a: [", "\ta: 1", "layers: [\x01]"):
        with pytest.raises(ManifestError):
            read(io.StringIO(text))


def test_streams_hold_yaml_that_begins_like_json():
    assert tensors(io.StringIO("{layers: [{name: w, shape: [], initializer: zeros}]}"))
    text = '{"layers": [{"name": "\\ud83d\\ude00", "shape": [], "initializer": "zeros"}]}'
    assert tensors(io.StringIO(text))[0][0] == "\N{GRINNING FACE}"


@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_is_left_as_it_was(enabled):
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        read({"layers": []})
        with pytest.raises(ManifestError):
            read({})
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()


def test_empty_list_of_layers():
    assert list(read({"layers": []}).tensors()) == []


@pytest.mark.parametrize(
    "source",
    [{"layers": []}, io.StringIO("layers: []"), "-", "m.yaml"],
    ids=["mapping", "stream", "standard input", "file"],
)
def test_no_current_folder(tmp_path, monkeypatch, source):
    monkeypatch.setattr("sys.stdin", io.StringIO("layers: []"))
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(StorageError) as error:
        read(source)
    assert str(error.value) == "there is no current folder: No such file or directory"
