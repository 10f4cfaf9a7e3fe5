"""One suite over every initializer, dtype and format: a file doesn't depend on how it was made."""

import os
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

import initlib
from initlib._dtypes import DTYPES, is_float
from initlib._formats import FORMATS

# An initializer for every row of the catalogue, with a shape it can fill.
INITIALIZERS = {
    "zeros": [7, 9, 3],
    "ones": [7, 9, 3],
    "constant(1)": [7, 9, 3],
    "identity": [9, 9],
    "random_normal": [7, 9, 31],
    "random_uniform": [7, 9, 31],
    "truncated_normal": [7, 9, 31],
    "variance_scaling": [7, 9, 31],
    "glorot_normal": [63, 31],
    "glorot_uniform": [63, 31],
    "he_normal": [63, 31],
    "he_uniform": [63, 31],
    "lecun_normal": [63, 31],
    "lecun_uniform": [63, 31],
    "orthogonal": [24, 5],
    "stft": [16, 1, 9],
    "kaiming_normal": [63, 31],
    "kaiming_uniform": [63, 31],
    "xavier_normal": [63, 31],
    "xavier_uniform": [63, 31],
    "dirac": [3, 9, 31],
    "sparse(0.3)": [63, 31],
    "trunc_normal": [63, 31],
    "normal_": [7, 9, 31],
    "uniform_": [7, 9, 31],
    "constant_(1)": [7, 9],
    "jax.normal": [7, 9, 31],
    "jax.uniform": [7, 9, 31],
    "jax.truncated_normal": [7, 9, 31],
    "jax.variance_scaling(1, 'fan_geo_avg', 'normal')": [7, 9, 31],
    "jax.glorot_normal": [63, 31],
    "jax.glorot_uniform": [63, 31],
    "jax.he_normal(in_axis=[0, 1])": [7, 9, 31],
    "jax.he_uniform": [63, 31],
    "jax.lecun_normal": [63, 31],
    "jax.lecun_uniform": [63, 31],
    "jax.orthogonal(column_axis=0)": [7, 9, 31],
    "delta_orthogonal": [3, 9, 31],
    "scaled_normal(0.02, 12)": [63, 31],
    "small_init(768)": [63, 31],
    "wang_init(12, 768)": [63, 31],
    "mup_input(0.02)": [63, 31],
    "mup_hidden(0.02, 4)": [63, 31],
    "mup_output(0.02, 4)": [63, 31],
    "lora_a": [8, 63],
    "lora_a_gaussian(8)": [8, 63],
    "lora_b": [63, 8],
    "arange": [2],
    "rotary_inv_freq": [64],
    "sinusoidal": [63, 31],
    "from_file('source.safetensors', 'w')": [7, 9, 31],
    "concatenate([3, 60], [zeros(), he_uniform()])": [63, 31],
    "elementwise('exp(x)', he_normal())": [63, 31],
}
DETERMINISTIC = {"zeros", "ones", "constant(1)", "identity", "dirac", "constant_(1)", "arange"}
DETERMINISTIC |= {"lora_b"}


def make(initializer):
    """Return what a manifest's name or call stands for."""
    call = initializer if "(" in initializer else f"{initializer}()"
    names = {**initlib.initializers.IDENTIFIERS, "jax": initlib.initializers.jax}
    return eval(call, names)  # noqa: S307


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """Work beside the file that one of them reads."""
    folder = tmp_path_factory.mktemp("folder")
    before = Path.cwd()
    os.chdir(folder)
    save_file({"w": np.sin(np.arange(7.0 * 9 * 31)).reshape(7, 9, 31)}, "source.safetensors")
    yield
    os.chdir(before)


def name_of(initializer):
    return initializer.split("(")[0]


def test_every_initializer_is_here():
    catalogue = [entry.identifier for entry in initlib.initializers.catalogue()]
    assert [name_of(initializer) for initializer in INITIALIZERS] == catalogue


def layers():
    """Every initializer in every dtype that it can be written in."""
    return [
        {"name": f"{name_of(init)}/{dtype}", "shape": shape, "dtype": dtype, "initializer": init}
        for init, shape in INITIALIZERS.items()
        for dtype in DTYPES
        if is_float(DTYPES[dtype]) or init in DETERMINISTIC
    ]


def tensors_of(path, file_format):
    """Return each tensor's bytes by name, found by the format's own reader."""
    contents = FORMATS[file_format].read(path)
    data = path.read_bytes()
    return {
        entry.name: data[offset : offset + entry.nbytes]
        for entry, offset in zip(contents.entries, contents.offsets, strict=True)
    }


@pytest.fixture(scope="module")
def expected():
    """Every tensor as the initializer makes it when the library is asked for it alone."""
    made = {}
    for layer in layers():
        initializer = make(layer["initializer"])
        stream = initlib.initializers.stream_for(initializer, 11, layer["name"])
        target = initlib.initializers.Target(tuple(layer["shape"]), DTYPES[layer["dtype"]], stream)
        made[layer["name"]] = initlib.initializers.materialize(initializer, target).tobytes()
    return made


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize(
    ("threads", "memory"), [(1, "1MiB"), (2, "2MiB"), (3, "24MiB"), (8, "64MiB")]
)
def test_tensors_are_those_of_the_library(tmp_path, expected, file_format, threads, memory):
    path = tmp_path / "m"
    initlib.generate(
        {"seed": 11, "layers": layers()}, path, format=file_format, threads=threads, memory=memory
    )
    assert tensors_of(path, file_format) == expected


@pytest.mark.parametrize("file_format", FORMATS)
def test_files_are_equal_byte_for_byte(tmp_path, file_format):
    for i, (threads, memory) in enumerate([(1, "1MiB"), (4, "64MiB"), (2, "6MiB")]):
        path = tmp_path / f"{i}"
        initlib.generate(
            {"layers": layers()}, path, format=file_format, threads=threads, memory=memory
        )
        assert path.read_bytes() == (tmp_path / "0").read_bytes()


@pytest.mark.parametrize("file_format", FORMATS)
def test_tensors_depend_on_their_own_name_alone(tmp_path, expected, file_format):
    some = layers()[::-3]
    for layer in some[::2]:
        layer["name"] = "renamed/" + layer["name"]
    initlib.generate({"seed": 11, "layers": some}, tmp_path / "m", format=file_format)
    found = tensors_of(tmp_path / "m", file_format)
    assert len(found) == len(some)
    for name, data in found.items():
        if not name.startswith("renamed/"):
            assert data == expected[name]
        elif name.split("/")[1] in ("he_normal", "random_uniform") and len(data) > 1000:
            assert data != expected[name.removeprefix("renamed/")]


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float8_e4m3fn", "float64"])
def test_large_tensors_are_those_of_the_library(tmp_path, file_format, dtype):
    """Larger than a chunk: pieces come from several threads."""
    layer = {"name": "w", "shape": [1201, 1777], "dtype": dtype}
    layer["initializer"] = "truncated_normal(stddev=0.5)"
    path = tmp_path / "m"
    initlib.generate({"layers": [layer]}, path, format=file_format, threads=2, memory="2MiB")
    target = initlib.initializers.Target(
        (1201, 1777), DTYPES[dtype], initlib._stream.Stream.named(0, "w")
    )
    expected = np.empty(target.size, DTYPES[dtype])
    initlib.initializers.TruncatedNormal(stddev=0.5).fill(expected, 0, target)
    assert tensors_of(path, file_format)["w"] == expected.tobytes()
    assert np.abs(expected.astype(np.float64)).max() <= 1.0


def test_numbers_in_bfloat16_and_float8_are_rounded_once(tmp_path):
    """The narrow dtypes hold the float32 stream, rounded to nearest even."""
    wide, narrow = {}, {}
    for dtype in ("float32", "bfloat16", "float8_e5m2"):
        layer = {"name": "w", "shape": [999], "dtype": dtype, "initializer": "random_normal"}
        initlib.generate({"layers": [layer]}, tmp_path / dtype, format="safetensors")
        narrow[dtype] = tensors_of(tmp_path / dtype, "safetensors")["w"]
    wide = np.frombuffer(narrow["float32"], np.float32)
    assert narrow["bfloat16"] == wide.astype(ml_dtypes.bfloat16).tobytes()
    assert narrow["float8_e5m2"] == wide.astype(ml_dtypes.float8_e5m2).tobytes()
