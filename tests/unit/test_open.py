"""`initlib.open`: parts of tensors that aren't there, beside the file that `generate` writes."""

import json
import math
import sys
import threading

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors import safe_open
from verifying import MANIFEST

import initlib
from initlib._checkpoint import open_checkpoint
from initlib._open import _fill
from initlib._open._selection import select

# Initializers of all kinds: drawn, constant, computed, of parts, and those made whole.
TENSORS = [
    {"name": "normal", "shape": [30, 40, 5], "initializer": "random_normal"},
    {"name": "wide", "shape": [7, 900], "initializer": "he_uniform", "dtype": "float64"},
    {"name": "half", "shape": [11, 13, 3, 3], "initializer": "lecun_normal", "dtype": "bfloat16"},
    {"name": "eight", "shape": [50, 3], "initializer": "uniform_(-1, 1)", "dtype": "float8_e5m2"},
    {"name": "between", "shape": [9, 31], "initializer": "trunc_normal(a=-1, b=3)"},
    {"name": "ones", "shape": [400, 3], "initializer": "ones"},
    {"name": "eye", "shape": [20, 20], "initializer": "identity"},
    {"name": "range", "shape": [100], "initializer": "arange", "dtype": "int64"},
    {"name": "where", "shape": [60, 8], "initializer": "sinusoidal"},
    {
        "name": "padded",
        "shape": [50, 6],
        "initializer": "concatenate(sizes=[1, 49], initializers=[zeros(), normal_()])",
    },
    {"name": "square", "shape": [16, 16], "initializer": "orthogonal"},
    {"name": "scalar", "shape": [], "initializer": "random_normal"},
    {"name": "none", "shape": [0, 4], "initializer": "random_normal"},
]


@pytest.fixture(scope="module")
def manifest():
    return {"seed": 5, "layers": TENSORS, "metadata": {"made for": "tests"}}


@pytest.fixture(scope="module")
def stored(manifest, tmp_path_factory):
    path = tmp_path_factory.mktemp("open") / "model.safetensors"
    initlib.generate(manifest, path)
    tensors = {}
    # The real safetensors has no float8 for NumPy.
    with open_checkpoint(path) as checkpoint:
        for each in checkpoint.tensors:
            values = np.empty(each.entry.size, each.entry.dtype)
            checkpoint.read_into(each, 0, values)
            tensors[each.entry.name] = values.reshape(each.entry.shape)
    return path, tensors


def test_whole_tensors_are_those_of_the_file(manifest, stored):
    _, expected = stored
    with initlib.open(manifest) as weights:
        assert weights.keys() == sorted(expected)
        assert weights.offset_keys() == [tensor["name"] for tensor in TENSORS]
        for name, made in weights.get_tensors().items():
            tensor = expected[name]
            assert (made.dtype, made.shape) == (tensor.dtype, tensor.shape)
            assert made.tobytes() == tensor.tobytes()
            assert made.flags.writeable


@pytest.mark.parametrize("name", [tensor["name"] for tensor in TENSORS])
def test_any_part_is_numpys(manifest, stored, name):
    weights, tensor = initlib.open(manifest, "np"), stored[1][name]
    part = weights.get_slice(name)

    @settings(max_examples=40)
    @given(arrays.basic_indices(tensor.shape, allow_newaxis=True, allow_ellipsis=True))
    def check(index):
        made, expected = part[index], tensor[index]
        assert made.shape == np.shape(expected)
        assert made.dtype == tensor.dtype
        assert made.tobytes() == np.asarray(expected).tobytes()

    check()


@pytest.mark.parametrize("name", ["normal", "half", "padded", "ones"])
@pytest.mark.parametrize("call", [-(10**6), 0, 10**6])
def test_all_ways_make_the_same(manifest, stored, monkeypatch, name, call):
    monkeypatch.setattr(_fill, "CALL", call)
    monkeypatch.setattr(_fill, "GAP", call)
    monkeypatch.setattr(_fill, "TASK", 16)
    monkeypatch.setattr(_fill, "FEW", 0)
    monkeypatch.setattr(_fill, "BUFFER", 32)
    part, tensor = initlib.open(manifest, threads=3).get_slice(name), stored[1][name]
    for index in (np.s_[:], np.s_[::3], np.s_[::-7, 1:], np.s_[..., 0], np.s_[5:2:-1, ..., ::2]):
        assert part[index].tobytes() == tensor[index].tobytes()


@given(
    arrays.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=6).flatmap(
        lambda shape: st.tuples(st.just(shape), arrays.basic_indices(shape, allow_newaxis=True))
    )
)
def test_selections_are_numpys(given_):
    shape, index = given_
    expected = np.arange(math.prod(shape)).reshape(shape)[index]
    found = select(index, shape)
    places = np.array([found.start])
    for count, stride in found.axes:
        places = (places[:, None] + stride * np.arange(count)).ravel()
    places = (places[:, None] + np.arange(found.run)).ravel()
    assert found.shape == np.shape(expected)
    assert (places if found.size else places[:0]).tolist() == np.ravel(expected).tolist()


def test_a_tensor_that_no_machine_holds():
    weights = initlib.open(
        {
            "layers": [
                {"name": "w", "shape": [10**6, 10**6], "initializer": "he_normal"},
                {"name": "row", "shape": [10**12], "initializer": "he_normal(seed=3)"},
            ]
        }
    )
    w = weights.get_slice("w")
    corner = w[-2:, -3:]
    assert corner.tolist() == [w[10**6 - 2, -3:].tolist(), w[10**6 - 1][-3:].tolist()]
    assert w[:, 7][[3, 999_999]].tolist() == [w[3, 7].item(), w[-1, 7].item()]
    assert weights.get_slice("row")[10**12 - 1 :: -(10**11)].shape == (10,)


def test_slices_say_what_they_are_of(manifest):
    part = initlib.open(manifest).get_slice("half")
    assert part.get_shape() == [11, 13, 3, 3]
    assert part.get_dtype() == "BF16"
    rows = [*initlib.open(manifest).get_slice("eye")]
    assert np.array_equal(rows, np.eye(20))
    with pytest.raises(TypeError, match="'scalar' has no axis"):
        iter(initlib.open(manifest).get_slice("scalar"))


def test_the_metadata_are_the_files(manifest, stored):
    with safe_open(stored[0], "np") as file:
        expected = file.metadata()
    del expected["initgen"]
    assert initlib.open(manifest).metadata() == expected
    assert expected == {"format": "pt", "made for": "tests"}


def test_a_file_of_ours_is_a_manifest(manifest, stored, tmp_path):
    path, expected = stored
    for source in (path, str(path)):
        weights = initlib.open(source)
        assert weights.keys() == sorted(expected)
        assert weights.get_tensor("normal").tobytes() == expected["normal"].tobytes()
    initlib.generate(manifest, tmp_path / "shards", max_shard_size=5000)
    for source in (tmp_path / "shards", tmp_path / "shards" / "model.safetensors.index.json"):
        assert initlib.open(source).keys() == sorted(expected)
    initlib.generate(MANIFEST, tmp_path / "model.h5", only="*kernel")
    with h5py.File(tmp_path / "model.h5") as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if hasattr(item, "shape") else None)
        weights = initlib.open(tmp_path / "model.h5")
        assert [name for name in names if name in weights.keys()] == weights.keys()  # noqa: SIM118
        for name in weights.keys():  # noqa: SIM118
            assert weights.get_tensor(name).tobytes() == file[name][()].tobytes()


def test_arguments_replace_the_manifests(manifest, tmp_path):
    path = tmp_path / "model.json"
    path.write_text(json.dumps(manifest))
    initlib.generate(path, tmp_path / "m.safetensors", seed=9, dtype="float16", only="nor*")
    weights = initlib.open(path, seed=9, dtype="float16", only="nor*")
    with safe_open(tmp_path / "m.safetensors", "np") as file:
        assert weights.keys() == ["normal"]
        assert np.array_equal(weights.get_tensor("normal"), file.get_tensor("normal"))


def test_what_is_made_whole_is_kept(manifest, monkeypatch):
    weights = initlib.open(manifest)
    first = weights.get_slice("square")[3]
    first[:] = 0
    monkeypatch.setattr("initlib._open._open.whole", None)
    assert weights.get_slice("square")[3].any()


def test_threads_may_ask_at_once(manifest, stored):
    weights, expected = initlib.open(manifest), stored[1]
    found = []

    def ask():
        found.append([weights.get_tensor(name).tobytes() for name in expected])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == 4 * [[tensor.tobytes() for tensor in expected.values()]]


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (30, "'normal': index 30 is out of bounds for axis 0 with size 30"),
        (1 << 70, f"'normal': index {1 << 70} is out of bounds"),
        ((0, 0, 0, 0), "'normal': too many indices"),
        ([0, 1], "'normal': expected integers, slices, ... or None, received list"),
        (True, "'normal': expected integers, slices, ... or None, received a bool"),
        (1.0, "'normal': expected integers, slices, ... or None, received float"),
        ((..., ...), "'normal': an index can only have a single ellipsis"),
    ],
)
def test_what_is_no_index(manifest, index, message):
    with pytest.raises(IndexError) as raised:
        initlib.open(manifest).get_slice("normal")[index]
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize("name", ["square", "ones"])
def test_no_index_of_what_is_whole_or_constant(manifest, name):
    with pytest.raises(IndexError, match="received list"):
        initlib.open(manifest).get_slice(name)[[0]]


def test_bad_requests(manifest, tmp_path):
    with pytest.raises(initlib.RequestError, match=r"no tensor is called 'nromal'; did you mean"):
        initlib.open(manifest).get_tensor("nromal")
    with pytest.raises(initlib.RequestError, match=r"no tensor is called None"):
        initlib.open(manifest).get_tensor(None)
    with pytest.raises(initlib.RequestError, match="expected numpy, torch or jax, received 'tf'"):
        initlib.open(manifest, "tf")
    with pytest.raises(initlib.RequestError, match="NumPy's arrays are on the cpu alone"):
        initlib.open(manifest, device="cuda")
    with pytest.raises(initlib.RequestError, match="there is no such file"):
        initlib.open(tmp_path / "none.safetensors")
    with pytest.raises(initlib.RequestError, match="only where --allow-code"):
        initlib.open({"layers": [{"name": "x", "shape": [2], "initializer": "a.py:f"}]})


def test_a_file_of_others_has_no_manifest(tmp_path):
    path = tmp_path / "theirs.h5"
    with h5py.File(path, "w") as file:
        file["w"] = np.zeros(3)
    with pytest.raises(initlib.RequestError, match="no manifest of its own: initgen didn't make"):
        initlib.open(path)


def test_a_checkpoint_opens_nothing_outside_its_folder(tmp_path):
    initlib.generate(
        {"layers": [{"name": "x", "shape": [3], "initializer": "ones"}]}, tmp_path / "a.h5"
    )
    (tmp_path / "sub").mkdir()
    layer = {"name": "x", "shape": [3], "initializer": "from_file('../a.h5')"}
    path = tmp_path / "sub" / "m.json"
    path.write_text(json.dumps({"layers": [layer]}))
    initlib.generate(path, path.with_suffix(".safetensors"))
    assert initlib.open(path).get_tensor("x").tolist() == [1, 1, 1]
    with pytest.raises(initlib.RequestError, match="isn't in the folder"):
        initlib.open(path.with_suffix(".safetensors"))
    own = initlib.open(path.with_suffix(".safetensors"), allow_files=True)
    assert own.get_tensor("x").tolist() == [1, 1, 1]


def test_custom_code(tmp_path):
    (tmp_path / "own.py").write_text(
        "class Mine:\n"
        "    def fill(self, out, start, target):\n"
        "        out[:] = range(start, start + out.size)\n"
    )
    path = tmp_path / "model.yaml"
    path.write_text("layers: [{name: x, shape: [4, 5], initializer: own.py:Mine}]")
    part = initlib.open(path, allow_code=True).get_slice("x")
    assert part[1:3, ::2].tolist() == [[5, 7, 9], [10, 12, 14]]


@pytest.mark.parametrize("name", ["normal", "ones", "square", "none"])
def test_into_memory_that_is_there(manifest, stored, name):
    part, tensor = initlib.open(manifest).get_slice(name), stored[1][name]
    for index in (np.s_[...], np.s_[1:3], np.s_[:0]):
        out = np.full(tensor[index].shape, 7, tensor.dtype)
        assert part.read_into(index, out) is None
        assert out.tobytes() == tensor[index].tobytes()


@pytest.mark.parametrize(
    "out",
    [
        np.empty((2, 5), np.float32),
        np.empty((5, 2), np.float16),
        np.empty((2, 5), np.float32).T,
        [[0.0] * 2] * 5,
    ],
)
def test_into_other_memory(out):
    part = initlib.open({"layers": [{"name": "w", "shape": [9, 2], "initializer": "ones"}]})
    message = r"'w': expected a writable NumPy array of float32 in C order of shape \(5, 2\)"
    with pytest.raises(initlib.RequestError, match=message):
        part.get_slice("w").read_into(np.s_[:5], out)
    out = np.empty((5, 2), np.float32)
    out.flags.writeable = False
    with pytest.raises(initlib.RequestError, match=message):
        part.get_slice("w").read_into(np.s_[:5], out)
    with pytest.raises(IndexError, match="'w': index 9 is out of bounds"):
        part.get_slice("w").read_into(9, out)


def test_sharded_modules_and_arrays_need_their_frameworks(monkeypatch):
    manifest = {"layers": [{"name": "w", "shape": [9, 2], "initializer": "ones"}]}
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(initlib.RequestError, match=r"needs torch.*'initgen\[torch\]'"):
        initlib.torch.materialize(object(), manifest)
    with pytest.raises(initlib.RequestError, match=r"needs jax.*'initgen\[jax\]'"):
        initlib.jax.arrays(manifest, {})
    with pytest.raises(initlib.RequestError, match=r"needs jax.*'initgen\[jax\]'"):
        initlib.jax.array(initlib.open(manifest), "w", None)
