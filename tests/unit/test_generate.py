"""What `initlib.generate` accepts, where it writes, and what it returns."""

import getpass
import hashlib
import json
import socket
from pathlib import Path

import h5py
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

import initlib
from initlib._stream import Stream, Uniform


def manifest(**top):
    layers = [
        {"name": "a/kernel", "shape": [30, 20], "initializer": "glorot_uniform"},
        {"name": "a/bias", "shape": [20], "initializer": "zeros", "dtype": "float16"},
    ]
    return {"seed": 3, "layers": layers, **top}


def test_values_are_those_of_the_stream(tmp_path):
    initlib.generate(manifest(), tmp_path / "m.safetensors")
    tensors = load_file(tmp_path / "m.safetensors")
    expected = np.empty(600, np.float32)
    limit = (6 / 50) ** 0.5
    Uniform(-limit, limit).fill(expected, 0, Stream.named(3, "a/kernel"))
    assert tensors["a/kernel"].tobytes() == expected.tobytes()
    assert tensors["a/bias"].dtype == np.float16
    assert not tensors["a/bias"].any()


def test_result(tmp_path):
    path = tmp_path / "m.safetensors"
    done = initlib.generate(manifest(), path)
    assert (done.path, done.format, done.seed) == (path, "safetensors", 3)
    assert (done.parameters, done.nbytes) == (620, 2440)
    assert done.seconds > 0
    kernel, bias = done.tensors
    assert (kernel.name, kernel.dtype, kernel.shape) == ("a/kernel", "float32", (30, 20))
    assert (bias.initializer, bias.nbytes) == ("zeros", 40)
    assert len(kernel.digest) == 64


def test_dry_run_writes_nothing_and_says_the_same(tmp_path):
    path = tmp_path / "m.safetensors"
    planned = initlib.generate(manifest(), path, dry_run=True)
    assert not any(tmp_path.iterdir())
    done = initlib.generate(manifest(), path)
    assert planned.manifest_sha256 == done.manifest_sha256
    assert [t.name for t in planned.tensors] == [t.name for t in done.tensors]
    assert {t.digest for t in planned.tensors} == {None}
    assert planned.seconds == 0


def test_a_single_file_is_as_large_as_it_is(tmp_path):
    """Only folders have several, of 5 GB unless it is said."""
    layers = [{"name": name, "shape": [10**9], "initializer": "ones"} for name in "ab"]
    planned = initlib.generate({"layers": layers}, tmp_path / "m.h5", dry_run=True)
    assert (planned.files, planned.nbytes) == ((), 8 * 10**9)


def test_provenance(tmp_path):
    path = tmp_path / "m.safetensors"
    done = initlib.generate(manifest(metadata={"author": "me"}), path, only=["*kernel"])
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
    record = json.loads(metadata.pop("initgen"))
    assert metadata == {"format": "pt", "author": "me"}
    assert record["version"] == initlib.__version__
    assert (record["stream"], record["seed"], record["only"]) == (1, 3, ["*kernel"])
    assert record["manifest_sha256"] == done.manifest_sha256
    assert record["tensors"] == {"a/kernel": [0, done.tensors[0].digest]}
    (initializer,) = record["initializers"]
    assert initlib.initializers.get(initializer).get_config()["seed"] is None
    again = initlib.generate(record["manifest"], tmp_path / "n.safetensors", only=record["only"])
    assert (tmp_path / "n.safetensors").read_bytes() == path.read_bytes()
    assert again.manifest_sha256 == done.manifest_sha256


def test_inexact_and_custom_initializers_are_marked(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import numpy as np\ndef f(shape, dtype=None):\n    return np.ones(shape, dtype)\n"
    )
    layers = [
        {"name": "q", "shape": [4, 4], "initializer": "orthogonal"},
        {"name": "c", "shape": [4, 4], "initializer": "mine.py:f"},
    ]
    (tmp_path / "m.json").write_text(json.dumps({"layers": layers}))
    initlib.generate(tmp_path / "m.json", tmp_path / "m.h5", allow_code=True)
    with h5py.File(tmp_path / "m.h5") as file:
        metadata = json.loads(file["__metadata__"][()].tobytes())
    orthogonal, custom = json.loads(metadata["initgen"])["initializers"]
    assert orthogonal["tolerance"] == 1e-6
    source = hashlib.sha256((tmp_path / "mine.py").read_bytes()).hexdigest()
    assert custom.pop("source_sha256") == source
    assert custom == {"class_name": "mine.py:f", "config": {}, "custom": True}


@pytest.mark.parametrize("name", ["m.safetensors", "m.h5"])
def test_the_file_does_not_tell_where_it_was_made(tmp_path, name):
    (tmp_path / "here.json").write_text(json.dumps(manifest()))
    initlib.generate(tmp_path / "here.json", tmp_path / name)
    initlib.generate(manifest(), tmp_path / f"other-{name}")
    data = (tmp_path / name).read_bytes()
    assert data == (tmp_path / f"other-{name}").read_bytes()
    user = getpass.getuser().encode()
    for secret in (bytes(tmp_path), b"here", socket.gethostname().encode(), b"/" + user):
        assert secret not in data


def test_the_user_may_say_which_framework_the_tensors_are_for(tmp_path):
    initlib.generate(manifest(metadata={"format": "tf"}), tmp_path / "m.safetensors")
    with safe_open(tmp_path / "m.safetensors", "numpy") as file:
        assert file.metadata()["format"] == "tf"


def test_seed_and_dtype_replace_the_manifest_s(tmp_path):
    initlib.generate(manifest(), tmp_path / "a.safetensors", seed=8, dtype="float64")
    initlib.generate(manifest(seed=8, dtype="float64"), tmp_path / "b.safetensors")
    initlib.generate(manifest(), tmp_path / "c.safetensors", seed=8, dtype=np.float64)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "c.safetensors").read_bytes()
    tensors = load_file(tmp_path / "a.safetensors")
    assert tensors["a/kernel"].dtype == np.float64
    assert tensors["a/bias"].dtype == np.float16


@pytest.mark.parametrize(
    ("arguments", "name", "kind"),
    [
        ({}, "model.safetensors", "safetensors"),
        ({"format": "hdf5"}, "model.h5", "hdf5"),
        ({"output": "x.hdf5"}, "x.hdf5", "hdf5"),
        ({"output": "x.bin", "format": "safetensors"}, "x.bin", "safetensors"),
    ],
)
def test_where_it_is_written(tmp_path, monkeypatch, arguments, name, kind):
    monkeypatch.chdir(tmp_path)
    Path("model.json").write_text(json.dumps(manifest()))
    done = initlib.generate("model.json", **arguments)
    assert (str(done.path), done.format) == (name, kind)
    assert Path(name).is_file()


def test_only_is_a_glob_or_several(tmp_path):
    layers = [{"name": name, "shape": [1], "initializer": "ones"} for name in ("a", "b", "bb")]
    for only, expected in [("b*", ["b", "bb"]), (["a", "bb"], ["a", "bb"])]:
        done = initlib.generate({"layers": layers}, dry_run=True, only=only)
        assert [tensor.name for tensor in done.tensors] == expected


def test_a_manifest_without_a_name_makes_a_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(initlib.generate(manifest(), dry_run=True).path) == "model.safetensors"
    assert str(initlib.generate(manifest(), format="hdf5").path) == "model.h5"


def test_progress(tmp_path):
    calls = []
    big = manifest()
    big["layers"].append({"name": "b", "shape": [3000, 1000], "initializer": "ones"})
    done = initlib.generate(
        big, tmp_path / "m.h5", progress=lambda *now: calls.append(now), threads=1, memory="1MiB"
    )
    assert calls[-1] == (done.nbytes, done.nbytes)
    assert [a for a, _ in calls] == sorted(a for a, _ in calls)
    assert len(calls) == 13


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threads": 0}, "expected 1 thread or more, received 0"),
        ({"threads": 4, "memory": "3MiB"}, "expected 4MiB of memory or more for 4 threads"),
        ({"threads": 10**6}, "threads on "),
        ({"memory": "1PiB"}, "that there are, received 1PiB of memory"),
        ({"memory": "much"}, "expected a size of memory such as 64MiB, received 'much'"),
        ({"memory": -5}, "expected a size of memory such as 64MiB, received -5"),
        ({"format": "hdf"}, "unknown format 'hdf'; expected safetensors or hdf5; did you mean"),
        ({"output": "m.safetensor"}, "did you mean '.safetensors'?"),
        ({"dtype": np.complex64}, "unknown dtype <class 'numpy.complex64'>; expected one of"),
        ({"dtype": "float31"}, "unknown dtype 'float31'; did you mean 'float32'?"),
        ({"seed": -1}, r"expected a seed from 0 to 2**64 - 1, received -1"),
        ({"only": ["nothing"]}, "no tensor's name matches 'nothing'"),
    ],
)
def test_wrong_arguments(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(initlib.RequestError) as caught:
        initlib.generate(manifest(), **{"output": "m.safetensors", **arguments})
    assert message in str(caught.value)
    assert not any(tmp_path.iterdir())


def test_nothing_to_write_is_written(tmp_path):
    done = initlib.generate({"layers": []}, tmp_path / "m.safetensors")
    assert (done.parameters, done.nbytes, done.tensors) == (0, 0, ())
    assert load_file(tmp_path / "m.safetensors") == {}


CODE = """\
import initlib
def f(shape, dtype=None):
    return initlib.random.normal(shape).astype(dtype)
"""


def test_what_code_draws_depends_on_the_seed_and_the_name_alone(tmp_path):
    (tmp_path / "c.py").write_text(CODE)
    layers = [{"name": name, "shape": [4], "initializer": "c.py:f"} for name in "abc"]
    made = []
    for seed, some in ((1, layers), (1, layers[::-1]), (2, layers)):
        path = tmp_path / "m.json"
        path.write_text(json.dumps({"seed": seed, "layers": some}))
        initlib.generate(path, tmp_path / "m.safetensors", allow_code=True, force=True)
        made.append({n: t.tobytes() for n, t in load_file(tmp_path / "m.safetensors").items()})
    assert made[0] == made[1]
    assert len({value for each in (made[0], made[2]) for value in each.values()}) == 6


def test_a_folder_is_named_as_the_manifest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.json").write_text(json.dumps(manifest()))
    done = initlib.generate("net.json", max_shard_size=2000)
    assert (done.path, len(done.files)) == (Path("net"), 2)
    assert (tmp_path / "net" / done.files[1]).is_file()
