"""initlib.describe: of checkpoints against NumPy, of manifests against what generate does."""

import dataclasses
import json
import math

import h5py
import numpy as np
import pytest
from pydantic import TypeAdapter
from safetensors.numpy import load_file, save_file
from scipy import stats

import initlib
from initlib._describe import _spectra
from initlib._describe._figures import natural

LAYERS = [
    {"name": "h.0.w", "shape": [40, 30], "initializer": "he_normal"},
    {"name": "h.0.b", "shape": [30], "initializer": "zeros"},
    {"name": "h.1.w", "shape": [30, 20], "initializer": "glorot_uniform"},
    {"name": "h.10.w", "shape": [20, 20], "initializer": "orthogonal"},
    {"name": "out", "shape": [20, 5], "initializer": "identity"},
    {"name": "empty", "shape": [0, 5], "initializer": "ones"},
    {"name": "scalar", "shape": [], "initializer": "constant(0.5)"},
    {"name": "steps", "shape": [], "dtype": "int64", "initializer": "constant(7)"},
]


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.safetensors"
    initlib.generate({"seed": 3, "layers": LAYERS}, path)
    return path


def by_name(found):
    return {tensor.name: tensor for tensor in found.tensors}


def test_figures_are_those_of_numpy(tmp_path):
    values = np.random.default_rng(0).gamma(2.0, size=(300, 40)).astype(np.float32)
    values[0, :3] = 0, np.nan, np.inf
    save_file({"w": values}, tmp_path / "a.safetensors")
    (tensor,) = initlib.describe(tmp_path / "a.safetensors").tensors
    finite = values[np.isfinite(values)].astype(np.float64)
    figures = tensor.statistics
    for name, wanted in (
        ("mean", finite.mean()),
        ("stddev", finite.std()),
        ("skewness", stats.skew(finite)),
        ("kurtosis", stats.kurtosis(finite)),
        ("l2", np.linalg.norm(finite)),
        ("min", finite.min()),
        ("max", finite.max()),
    ):
        assert getattr(figures, name) == pytest.approx(wanted, rel=1e-12), name
    assert (figures.zeros, figures.nan, figures.infinite) == (1, 1, 1)
    assert (tensor.dtype, tensor.shape, tensor.parameters, tensor.nbytes) == (
        "float32",
        (300, 40),
        12_000,
        48_000,
    )
    assert (tensor.fan_in, tensor.fan_out) == (40, 300)
    exact = np.quantile(finite, initlib.QUANTILES, method="inverted_cdf")
    np.testing.assert_allclose(tensor.quantiles, exact, rtol=1 / 512)
    histogram = tensor.histogram
    assert sum(histogram.counts) + histogram.below + histogram.above == pytest.approx(11_998, abs=1)
    assert tensor.expected is None
    assert tensor.judgement is None


def test_provenance_tells_what_to_expect(model):
    found = initlib.describe(model)
    assert (found.format, found.source, found.layout) == ("safetensors", "provenance", "keras")
    assert found.made_by == f"initgen {initlib.__version__}, seed 3"
    assert all(tensor.judgement.verdict == "ok" for tensor in found.tensors if tensor.parameters)
    tensors = by_name(found)
    assert tensors["h.0.w"].expected.distribution == "truncated_normal"
    assert tensors["h.0.w"].expected.stddev == pytest.approx(math.sqrt(2 / 40))
    assert (tensors["h.0.w"].fan_in, tensors["h.0.w"].fan_out) == (40, 30)
    assert tensors["steps"].expected.low == 7
    histogram = tensors["h.0.w"].histogram
    # The histogram ends with the values, short of the support.
    assert sum(histogram.expected) == pytest.approx(1200, rel=0.01)
    assert sum(histogram.counts) == pytest.approx(1200, abs=0.3)
    assert list(tensors) == sorted(tensors, key=natural)
    assert list(tensors).index("h.1.w") < list(tensors).index("h.10.w")
    assert found.total.off == 0
    assert found.total.parameters == sum(tensor.parameters for tensor in found.tensors)


def test_altered_values_are_off(model):
    tensors = load_file(model)
    tensors["h.0.w"] = tensors["h.0.w"] * np.float32(1.5)
    with model.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        metadata = json.loads(file.read(length))["__metadata__"]
    save_file(tensors, model, metadata)
    found = initlib.describe(model, sort="verdict")
    assert found.total.off == 1
    first = found.tensors[0]
    assert (first.name, first.judgement.verdict) == ("h.0.w", "off")
    assert any("stddev" in problem for problem in first.judgement.problems)


def test_a_manifest_tells_what_to_expect_of_anyones_file(model, tmp_path):
    other = {name: values for name, values in load_file(model).items() if name != "out"}
    other["h.1.w"] = other["h.1.w"].T.copy()
    other["extra"] = np.zeros(3, np.float32)
    other["h.0.b"] = other["h.0.b"].astype(np.float16)
    save_file(other, tmp_path / "other.safetensors")
    found = initlib.describe(tmp_path / "other.safetensors", manifest={"seed": 3, "layers": LAYERS})
    tensors = by_name(found)
    assert (found.source, found.made_by, found.layout) == ("<manifest>", None, "keras")
    assert found.missing == ("out",)
    assert tensors["extra"].judgement is None
    assert tensors["h.0.w"].judgement.verdict == "ok"
    assert tensors["h.1.w"].judgement.problems == ("shape [20, 30], expected [30, 20]",)
    assert tensors["h.0.b"].judgement.problems == ("dtype float16, expected float32",)


def test_damaged_provenance_says_nothing(tmp_path):
    values = {"w": np.ones(3, np.float32)}
    for text in (
        "",
        "{",
        "[" * 100_000,
        "[]",
        '{"stream": 1}',
        '{"stream": 99}',
        json.dumps({"stream": 1, "tensors": {"w": [7, ""]}, "initializers": []}),
    ):
        save_file(values, tmp_path / "a.safetensors", {"initgen": text})
        found = initlib.describe(tmp_path / "a.safetensors")
        assert found.tensors[0].judgement is None


def test_provenance_that_names_nonsense_says_nothing(model):
    tensors = load_file(model)
    with model.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        metadata = json.loads(file.read(length))["__metadata__"]
    record = json.loads(metadata["initgen"])
    for config in (
        {},
        {"class_name": "nonesuch"},
        {"class_name": "Zeros", "config": 3},
        {"class_name": "RandomNormal", "config": {"stddev": "x"}},
        {"class_name": "Constant", "config": {"value": [1, 2, 3, 4, 5, 6, 7]}},
        {"custom": True},
    ):
        record["initializers"] = [config] * len(record["initializers"])
        save_file(tensors, model, {**metadata, "initgen": json.dumps(record)})
        assert not any(tensor.judgement for tensor in initlib.describe(model).tensors)


def test_custom_code_is_named_and_not_run(tmp_path):
    (tmp_path / "mine.py").write_text(
        "def ones(shape, dtype): import numpy; return numpy.ones(shape, dtype)"
    )
    manifest = tmp_path / "m.yaml"
    manifest.write_text("layers: [{name: w, shape: [3], initializer: 'mine.py:ones'}]")
    initlib.generate(manifest, tmp_path / "m.safetensors", allow_code=True)
    for options in ({}, {"manifest": manifest}):
        (tensor,) = initlib.describe(tmp_path / "m.safetensors", **options).tensors
        assert tensor.expected == initlib.Expected("mine.py:ones")
        assert tensor.judgement is None
    (tensor,) = initlib.describe(manifest).tensors
    assert tensor.expected == initlib.Expected("mine.py:ones")


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_and_pieces_make_no_difference(tmp_path, threads):
    path = tmp_path / "big.safetensors"
    layers = [
        {"name": f"w.{dtype}", "shape": [700_001], "dtype": dtype, "initializer": "random_normal"}
        for dtype in ("float64", "float32", "float16", "bfloat16", "float8_e5m2")
    ]
    initlib.generate({"layers": layers}, path)
    first = initlib.describe(path, threads=1, depth=1)
    again = initlib.describe(path, threads=threads, depth=1)
    assert dataclasses.replace(again, seconds=0) == dataclasses.replace(first, seconds=0)
    assert all(tensor.judgement.verdict == "ok" for tensor in first.tensors)


def test_a_tensor_that_begins_otherwise_has_fine_quantiles(tmp_path):
    values = 1e8 + np.random.default_rng(0).normal(size=50_000) * 1e-3
    values[:5000] = 0
    save_file({"w": values}, tmp_path / "a.safetensors")
    (tensor,) = initlib.describe(tmp_path / "a.safetensors").tensors
    exact = np.quantile(values, initlib.QUANTILES, method="inverted_cdf")
    np.testing.assert_allclose(tensor.quantiles[3:], exact[3:], atol=1e-4, rtol=0)
    assert tensor.statistics.stddev == pytest.approx(values.std(), rel=1e-9)


def test_formats_say_the_same(model, tmp_path):
    initlib.generate({"seed": 3, "layers": LAYERS}, tmp_path / "model.h5")
    one, other = initlib.describe(model), initlib.describe(tmp_path / "model.h5")
    assert other.format == "hdf5"
    for a, b in zip(one.tensors, other.tensors, strict=True):
        assert dataclasses.replace(a, file="") == dataclasses.replace(b, file="")


def test_groups(model):
    found = initlib.describe(model, depth=2)
    groups = {group.name: group for group in found.groups}
    assert list(groups) == ["empty", "h.0", "h.1", "h.10", "out", "scalar", "steps"]
    values = load_file(model)
    both = np.concatenate([values["h.0.w"].reshape(-1), values["h.0.b"]]).astype(np.float64)
    assert groups["h.0"].tensors == 2
    assert groups["h.0"].statistics.stddev == pytest.approx(both.std())
    assert groups["h.0"].statistics.zeros == 30
    assert [group.name for group in initlib.describe(model, depth=1).groups][1] == "h"


def test_sorting_and_filtering(model):
    found = initlib.describe(model, filter=["h.*.w", "out"], sort="parameters")
    assert [tensor.name for tensor in found.tensors] == ["h.0.w", "h.1.w", "h.10.w", "out"]
    assert found.missing == ()
    found = initlib.describe(model, sort="stddev")
    spread = [tensor.statistics.stddev for tensor in found.tensors]
    assert spread[:-1] == sorted(spread[:-1], reverse=True)
    assert spread[-1] is None


def test_one_tensor_has_its_spectrum(model):
    values = load_file(model)["h.0.w"].astype(np.float64)
    (tensor,) = initlib.describe(model, tensor="h.0.w").tensors
    singular = np.linalg.svd(values, compute_uv=False)
    assert tensor.spectrum.norm == pytest.approx(singular[0], rel=1e-12)
    assert tensor.spectrum.least == pytest.approx(singular[-1], rel=1e-10)
    assert tensor.spectrum.condition == pytest.approx(singular[0] / singular[-1], rel=1e-10)
    assert tensor.spectrum.rank == 30
    (tensor,) = initlib.describe(model, tensor="h.10.w").tensors
    assert tensor.spectrum.condition == pytest.approx(1.0, abs=1e-5)
    for name in ("h.0.b", "empty", "scalar"):
        assert initlib.describe(model, tensor=name).tensors[0].spectrum is None


@pytest.mark.parametrize("shape", [(90, 7), (7, 90), (5, 3, 4, 6), (1, 50), (50, 1)])
@pytest.mark.parametrize("layout", ["keras", "torch"])
def test_spectra_are_read_in_blocks(tmp_path, monkeypatch, shape, layout):
    monkeypatch.setattr(_spectra, "BLOCK", 16)
    values = np.random.default_rng(1).standard_normal(shape)
    save_file({"w": values}, tmp_path / "a.safetensors")
    (tensor,) = initlib.describe(tmp_path / "a.safetensors", tensor="w", layout=layout).tensors
    matrix = values.reshape(shape[0], -1) if layout == "torch" else values.reshape(-1, shape[-1])
    singular = np.linalg.svd(matrix, compute_uv=False)
    assert tensor.spectrum.norm == pytest.approx(singular[0], rel=1e-12)
    assert tensor.spectrum.least == pytest.approx(singular[-1], rel=1e-10)


def test_a_singular_matrix_has_no_condition(tmp_path):
    save_file({"w": np.ones((4, 4)), "z": np.zeros((2, 2))}, tmp_path / "a.safetensors")
    (tensor,) = initlib.describe(tmp_path / "a.safetensors", tensor="w").tensors
    assert tensor.spectrum.rank == 1
    (tensor,) = initlib.describe(tmp_path / "a.safetensors", tensor="z").tensors
    assert (tensor.spectrum.condition, tensor.spectrum.rank) == (None, 0)


def test_a_spectrum_that_is_too_large_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(_spectra, "LARGEST", 3)
    save_file({"w": np.eye(4), "n": np.full((2, 2), np.nan)}, tmp_path / "a.safetensors")
    for name in "wn":
        (tensor,) = initlib.describe(tmp_path / "a.safetensors", tensor=name).tensors
        assert tensor.spectrum is None


def test_what_is_not_a_tensor_is_marked(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["w"] = np.ones((2, 3))
        file["names"] = ["a", "b"]
        file["soft"] = h5py.SoftLink("/w")
    found = initlib.describe(tmp_path / "a.h5")
    assert [tensor.name for tensor in found.tensors] == ["w"]
    assert {each.name for each in found.unread} == {"names", "soft"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filter": "nothing*"}, "no tensor's name matches 'nothing\\*'"),
        ({"tensor": "h.0.v"}, "there is no tensor 'h.0.v'; did you mean 'h.0.w'"),
        ({"sort": "sdtdev"}, "unknown column to sort by 'sdtdev'; did you mean 'stddev'"),
        ({"layout": "tensorflow"}, "unknown layout 'tensorflow'; expected one of keras, torch"),
        ({"depth": -1}, "expected a depth of 0 or more, received -1"),
        ({"threads": 0}, "expected 1 thread or more, received 0"),
    ],
)
def test_wrong_requests(model, options, message):
    with pytest.raises(initlib.RequestError, match=message):
        initlib.describe(model, **options)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"depth": 1}, "depth is for checkpoints, not for manifests"),
        ({"tensor": "w"}, "tensor is for"),
        ({"manifest": {"layers": LAYERS}}, "manifest is for"),
        ({"sort": "name"}, "sort is for"),
        ({"layout": "keras"}, "layout is for"),
        ({"threads": 0}, "threads is for"),
        ({"tensor": "w", "threads": 2, "depth": 3}, "tensor and depth and threads are for"),
    ],
)
def test_options_for_checkpoints_alone(options, problem):
    with pytest.raises(initlib.RequestError, match=problem):
        initlib.describe({"layers": LAYERS}, **options)


def test_options_for_manifests_alone(model):
    with pytest.raises(initlib.RequestError, match="format is for manifests, not for checkpoints"):
        initlib.describe(model, format="hdf5")


def test_json_is_what_the_types_say(model, tmp_path):
    save_file({"n": np.full(3, np.nan), "e": np.empty((0, 2))}, tmp_path / "a.safetensors")
    for found in (
        initlib.describe(model, tensor="h.0.w"),
        initlib.describe(tmp_path / "a.safetensors", depth=1),
        initlib.describe({"layers": LAYERS}),
    ):
        text = json.dumps(dataclasses.asdict(found), allow_nan=False)
        assert TypeAdapter(type(found)).validate_json(text) == found


@pytest.mark.parametrize("format", ["safetensors", "hdf5"])
def test_an_outline_is_what_generate_does(tmp_path, format):
    manifest = {"seed": 3, "layers": LAYERS}
    found = initlib.describe(manifest, format=format)
    path = tmp_path / "model"
    done = initlib.generate(manifest, path, format=format)
    assert found.file_bytes == path.stat().st_size
    assert (found.seed, found.parameters, found.nbytes) == (3, done.parameters, done.nbytes)
    assert found.manifest_sha256 == done.manifest_sha256
    data = path.read_bytes()
    tensors = {tensor.name: tensor for tensor in found.tensors}
    assert [tensor.name for tensor in found.tensors] == [layer["name"] for layer in LAYERS]
    one = tensors["steps"]
    assert np.frombuffer(data[one.offset : one.offset + one.nbytes], "<i8") == [7]
    assert tensors["h.0.w"].expected.stddev == pytest.approx(math.sqrt(2 / 40))
    assert (tensors["h.0.w"].fan_in, tensors["h.0.w"].fan_out) == (40, 30)


def warnings(layers, *globs, **rest):
    found = initlib.describe({"layers": layers, **rest}, filter=globs)
    return {tensor.name: tensor.warnings for tensor in found.tensors if tensor.warnings}


def layer(name, shape, initializer):
    return {"name": name, "shape": shape, "initializer": initializer}


def test_what_looks_like_a_mistake():
    assert warnings(LAYERS) == {}
    assert "all zeros" in warnings([layer("w", [3, 4], "zeros")])["w"][0]
    assert warnings([layer("b", [3], "zeros")]) == {}
    assert "more than 1" in warnings([layer("w", [3, 4], "random_normal(stddev=2)")])["w"][0]
    twice = [layer(name, [3, 4], "he_normal(seed=1)") for name in "ab"]
    assert warnings(twice).keys() == {"b"}
    assert "same values as 'a'" in warnings(twice)["b"][0]
    assert warnings(twice, "b") == warnings(twice)


@pytest.mark.parametrize(
    ("shape", "bias", "wrong"),
    [
        ([256, 784], [256], "keras"),
        ([784, 256], [256], "torch"),
        ([64, 32, 3, 3], [64], "keras"),
        ([3, 3, 32, 64], [64], "torch"),
        ([64, 32, 5], [64], "keras"),
    ],
)
def test_shapes_that_look_transposed(shape, bias, wrong):
    layers = [layer("a.weight", shape, "he_normal"), layer("a.bias", bias, "zeros")]
    right = "torch" if wrong == "keras" else "keras"
    assert warnings(layers, layout=right) == {}
    (found,) = warnings(layers, layout=wrong)["a.weight"]
    assert found == f"its shape looks like layout {right}, but is read as {wrong}"
    # The bias tells, shown or not.
    assert warnings(layers, "*.weight", layout=wrong) == {"a.weight": (found,)}
    # Fans are of no importance to others.
    layers[0]["initializer"] = "random_normal"
    assert warnings(layers, layout=wrong) == {}


def test_names_sort_as_people_sort_them():
    names = ["h.10.w", "h.2.w", "h.1.w", "a", "h", "h.02.w", "h." + "9" * 5000]
    assert sorted(names, key=natural) == [
        "a",
        "h",
        "h.1.w",
        "h.02.w",
        "h.2.w",
        "h.10.w",
        names[-1],
    ]
