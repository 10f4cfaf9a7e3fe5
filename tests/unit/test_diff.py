"""`initlib.diff`: how two checkpoints differ."""

import json
import math
import warnings

import h5py
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

import initlib
from initlib._diff import _pairs
from initlib._diff._distance import distance, merged, norm
from initlib._dtypes import DTYPES, is_float


def values(dtype, shape):
    """Some numbers of any dtype."""
    rng = np.random.default_rng(5)
    return (rng.standard_normal(shape) * 40).astype(np.int64).astype(DTYPES[dtype])


@pytest.fixture
def compare(tmp_path):
    """Write two files and compare them."""

    def run(a, b, *, suffixes=(".safetensors", ".safetensors"), metadata=(None, None), **options):
        paths = [tmp_path / f"{name}{suffix}" for name, suffix in zip("ab", suffixes, strict=True)]
        for path, tensors, texts in zip(paths, (a, b), metadata, strict=True):
            write(path, tensors, texts)
        return initlib.diff(*paths, **options)

    return run


def write(path, tensors, metadata=None):
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array
    elif path.suffix:
        save_file(arrays, path, metadata)
    else:
        path.mkdir()
        for index, (name, array) in enumerate(arrays.items()):
            save_file({name: array}, path / f"model-{index}.safetensors", metadata)


@pytest.mark.parametrize("suffixes", [(".safetensors", ".h5"), ("", ".safetensors"), (".h5", "")])
def test_formats_and_shards_do_not_matter(compare, suffixes):
    tensors = {
        f"g/{name}": values(name, (5, 7))
        for name in DTYPES
        if DTYPES[name].type.__module__ == "numpy"
    }
    tensors |= {"scalar": values("float32", ()), "empty": values("int8", (0, 3))}
    found = compare(tensors, tensors, suffixes=suffixes)
    assert (found.same, found.tensors, found.equal) == (True, (), len(tensors))
    assert found.nbytes == sum(array.nbytes for array in tensors.values())


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_bit_in_every_dtype(compare, dtype):
    a = values(dtype, (1201, 300))
    b = a.copy()
    b[700, 3] = 0 if a[700, 3] else 1
    found = compare({"w": a, "v": a}, {"w": b, "v": a}, threads=3)
    assert (found.same, found.equal) == (False, 1)
    (row,) = found.tensors
    assert (row.name, row.kind, row.a_dtype, row.b_dtype) == ("w", "changed", dtype, dtype)
    assert (row.a_shape, row.elements, row.differing) == ((1201, 300), 360_300, 1)
    assert row.share == 1 / 360_300
    number = float if is_float(DTYPES[dtype]) else int
    gap = abs(number(b[700, 3]) - number(a[700, 3]))
    assert row.max_difference == gap > 0
    assert row.rms == pytest.approx(gap / math.sqrt(360_300))
    size = math.sqrt((a.astype(np.float64) ** 2).sum())
    assert row.relative_rms == pytest.approx(gap / size)
    assert (row.first, row.first_index, row.rounded) == (210_003, (700, 3), None)
    assert isinstance(row.max_difference, number)


def test_added_removed_and_reshaped(compare):
    a = {"gone": values("int8", (3,)), "s": values("float32", (2, 6)), "t": values("float32", (4,))}
    b = {"new": values("float16", ()), "s": a["s"].reshape(3, 4), "t": values("float64", (5,))}
    gone, new, reshaped, other = compare(a, b).tensors
    assert (gone.kind, gone.a_dtype, gone.a_shape) == ("removed", "int8", (3,))
    assert (gone.b_dtype, gone.b_shape, gone.elements) == (None, None, None)
    assert (new.kind, new.a_dtype, new.b_dtype, new.b_shape) == ("added", None, "float16", ())
    assert (reshaped.kind, reshaped.a_shape, reshaped.b_shape) == ("reshaped", (2, 6), (3, 4))
    assert (reshaped.elements, reshaped.differing, reshaped.max_difference) == (12, 0, 0)
    assert (other.kind, other.b_dtype, other.elements) == ("reshaped", "float64", None)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_recast(compare, dtype):
    a = np.random.default_rng(5).standard_normal(3000).astype(np.float32)
    a[:3] = np.nan, np.inf, 0
    if dtype == "float8_e4m3fn":
        a[1] = 1  # It has no infinity.
    b = a.astype(DTYPES[dtype])
    (row,) = compare({"w": a}, {"w": b}).tensors
    assert (row.kind, row.rounded, row.not_finite) == ("recast", True, 0)
    assert row.differing == np.count_nonzero(a[3:] != b[3:].astype(np.float32)) > 2000
    exact = np.abs(a[3:].astype(np.float64) - b[3:].astype(np.float64))
    assert row.max_difference == exact.max()
    b[77] += DTYPES[dtype].type(1)
    (row,) = compare({"w": a}, {"w": b}).tensors
    assert row.rounded is False


@pytest.mark.parametrize(("to", "rounded"), [("float64", True), ("int32", True), ("int8", False)])
def test_recast_without_loss(compare, to, rounded):
    a = values("float32", (50,))
    a[3] = 1000
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        b = a.astype(DTYPES[to])
    (row,) = compare({"w": a}, {"w": b}).tensors
    assert (row.kind, row.rounded, row.differing) == ("recast", rounded, 0 if rounded else 1)


def test_float64_is_rounded_once():
    """By way of float32 this would be a tie, and go to the wrong side."""
    a = np.array([1 + 2**-8 + 2**-40])
    b = np.array([1 + 2**-7], ml_dtypes.bfloat16)
    assert distance(a, b, 0).rounded
    assert not distance(a, np.array([1], ml_dtypes.bfloat16), 0).rounded


def test_special_values(compare):
    nan = np.array([0x7FC00000, 0x7FC00001], np.uint32).view(np.float32)
    a = np.array([nan[0], nan[0], 0.0, np.inf, np.inf, 1, 2], np.float32)
    b = np.array([nan[0], nan[1], -0.0, np.inf, -np.inf, np.nan, 2.5], np.float32)
    (row,) = compare({"w": a}, {"w": b}).tensors
    assert (row.differing, row.not_finite, row.max_difference) == (5, 3, 0.5)
    assert row.rms == 0.5 / math.sqrt(4)
    assert row.relative_rms == 0.5 / math.sqrt(5)
    (row,) = compare({"w": a[2:3]}, {"w": b[2:3]}).tensors
    assert (row.differing, row.max_difference, row.rms) == (1, 0, 0)
    assert row.relative_rms is None


def test_integers_are_exact(compare):
    a = np.array([2**63 - 1, -(2**63), 2**53], np.int64)
    b = np.array([-(2**63), -(2**63), 2**53 + 1], np.int64)
    (row,) = compare({"w": a}, {"w": b}).tensors
    assert (row.differing, row.max_difference) == (2, 2**64 - 1)
    (row,) = compare({"w": a[2:]}, {"w": b[2:]}).tensors
    assert (row.max_difference, row.rms) == (1, 1.0)


def test_huge_and_tiny_values(compare):
    (row,) = compare({"w": np.array([1e200, 0])}, {"w": np.array([-1e200, 0])}).tensors
    assert row.rms == pytest.approx(2e200 / math.sqrt(2))
    (row,) = compare({"w": np.array([5e-324, 0])}, {"w": np.array([0.0, 0])}).tensors
    assert (row.max_difference, row.relative_rms) == (5e-324, 1.0)
    big = np.full(4, 1.7e308)
    (row,) = compare({"w": big}, {"w": -big}).tensors
    assert (row.not_finite, row.max_difference, row.rms, row.relative_rms) == (4, None, None, None)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20))
def test_norm(numbers):
    expected = math.hypot(*numbers)
    if math.isfinite(expected):
        # 20 squares and their sum are rounded, by less than 2**-52 of the sum each.
        assert norm(np.array(numbers)) == pytest.approx(expected, rel=40 * 2**-52, abs=5e-324)


@given(st.integers(1, 40), st.integers(0, 2**32))
def test_pieces_add_up(piece, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((2, 100)).astype(np.float32)
    b = np.where(rng.random(100) < 0.7, a, b)
    whole = distance(a, b, 0)
    parts = [distance(a[i : i + piece], b[i : i + piece], i) for i in range(0, 100, piece)]
    together = merged(parts[::-1])
    for name in ("start", "differing", "first", "odd", "largest", "rounded"):
        assert getattr(together, name) == getattr(whole, name)
    assert together.norm == pytest.approx(whole.norm, rel=1e-14)
    assert together.reference == pytest.approx(whole.reference, rel=1e-14)


def test_the_size_of_a_counts_where_nothing_differs(compare):
    """More than a run, of which the last alone differs."""
    a = np.ones(3 * _pairs.RUN, np.float32)
    b = a.copy()
    b[-1] = 3
    (row,) = compare({"w": a}, {"w": b}).tensors
    assert row.relative_rms == pytest.approx(2 / math.sqrt(a.size), rel=1e-14)
    assert row.first == a.size - 1


def test_many_small_tensors_with_one_change(compare):
    a = {f"{i:05}": values("float32", (i % 7,)) for i in range(2000)}
    b = {**a, "01234": a["01234"] + 1}
    found = compare(a, b)
    assert ([row.name for row in found.tensors], found.equal) == (["01234"], 1999)


def test_only(compare):
    a, b = ({name: np.full(3, i) for name in ("a", "b", "c.d")} for i in (1, 2))
    assert [row.name for row in compare(a, b, only="c*").tensors] == ["c.d"]
    assert [row.name for row in compare(a, b, only=["a", "c*"]).tensors] == ["a", "c.d"]
    with pytest.raises(initlib.RequestError, match=r"matches 'c\.e'; did you mean 'c\.d'"):
        compare(a, b, only=["a", "c.e"])


def test_metadata_is_told_but_does_not_count(compare):
    tensors = {"w": np.ones(3)}
    metadata = {"x": "1", "same": "s"}, {"x": "2", "same": "s", "y": "3"}
    found = compare(tensors, tensors, metadata=metadata)
    assert found.same
    assert [(each.key, each.a, each.b) for each in found.metadata] == [
        ("x", "1", "2"),
        ("y", None, "3"),
    ]


def test_provenance_is_left_out(tmp_path):
    layer = {"name": "w", "shape": [3], "initializer": "ones"}
    for seed, name in enumerate(("a.safetensors", "b.h5")):
        initlib.generate({"seed": seed, "layers": [layer]}, tmp_path / name)
    found = initlib.diff(tmp_path / "a.safetensors", tmp_path / "b.h5")
    assert (found.same, found.metadata) == (True, ())


def test_names_with_other_separators(compare):
    a, b = {"a/w": np.ones(3)}, {"a.w": np.ones(3)}
    found = compare(a, b)
    assert [row.kind for row in found.tensors] == ["added", "removed"]
    assert found.hint == "names differ in their separators: 'a/w' in A, 'a.w' in B"
    assert compare(a | {"x": np.ones(1)}, b | {"x": np.ones(1)}).hint is None
    assert compare({"a": np.ones(3)}, {"b": np.ones(3)}).hint is None


def test_what_is_not_a_tensor(tmp_path):
    for name, texts in (("a.h5", "xyz"), ("b.h5", "xy")):
        with h5py.File(tmp_path / name, "w") as file:
            file["w"] = np.ones(3)
            for text in texts:
                file[text] = "text"
    with h5py.File(tmp_path / "b.h5", "r+") as file:
        del file["y"]
        file["y"] = np.ones(2)
    found = initlib.diff(tmp_path / "a.h5", tmp_path / "b.h5")
    assert [each.name for each in found.unread] == ["x"]
    y, z = found.tensors
    assert (y.name, y.kind, y.b_dtype, y.elements) == ("y", "recast", "float64", None)
    assert (z.name, z.kind, z.b_dtype) == ("z", "removed", None)
    assert not found.same


def test_what_was_not_compared_is_not_the_same(tmp_path):
    for name in ("a.h5", "b.h5"):
        with h5py.File(tmp_path / name, "w") as file:
            file["w"] = np.ones(3)
            file["x"] = f"text of {name}"
    found = initlib.diff(tmp_path / "a.h5", tmp_path / "b.h5")
    assert (found.same, found.equal, found.tensors) == (False, 1, ())
    assert [each.name for each in found.unread] == ["x"]
    assert initlib.diff(tmp_path / "a.h5", tmp_path / "b.h5", only="w").same


def test_bytes_of_dtypes_that_initlib_lacks_are_compared(tmp_path):
    def write_raw(name, data, shape=(4, 2), code="F4"):
        places = {"dtype": code, "shape": shape, "data_offsets": [0, len(data)]}
        header = json.dumps({"w": places}).encode()
        (tmp_path / name).write_bytes(len(header).to_bytes(8, "little") + header + data)

    write_raw("a.safetensors", b"abcd")
    write_raw("same.safetensors", b"abcd")
    found = initlib.diff(tmp_path / "a.safetensors", tmp_path / "same.safetensors")
    assert (found.same, found.equal, found.nbytes, found.unread) == (True, 1, 4, ())
    for data, shape, code, kind in (
        (b"abcD", (4, 2), "F4", "changed"),
        (b"abcd", (2, 4), "F4", "reshaped"),
        (b"abcde", (5, 2), "F4", "reshaped"),
        (b"abcd", (4,), "F8_E8M0", "recast"),
    ):
        write_raw("b.safetensors", data, shape, code)
        found = initlib.diff(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
        (row,) = found.tensors
        assert (found.same, found.unread, row.kind) == (False, (), kind)
        assert (row.a_dtype, row.b_dtype, row.elements) == ("dtype F4", f"dtype {code}", None)


def test_progress(compare):
    calls = []
    tensors = {"w": np.ones(300_000, np.float32), "v": np.ones(3)}
    found = compare(tensors, tensors, progress=lambda *now: calls.append(now))
    assert calls[-1] == (found.nbytes, found.nbytes) == (1_200_024, 1_200_024)
    assert calls == sorted(calls)


def test_wrong_arguments(tmp_path, compare):
    with pytest.raises(initlib.RequestError, match="1 thread or more"):
        compare({}, {}, threads=0)
    with pytest.raises(initlib.RequestError, match="no such file"):
        initlib.diff(tmp_path / "a.safetensors", tmp_path / "none")
    (tmp_path / "text").write_text("nothing of ours")
    with pytest.raises(initlib.StorageError):
        initlib.diff(tmp_path / "a.safetensors", tmp_path / "text")
