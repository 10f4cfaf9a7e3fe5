"""`initlib.verify`: what it compares, what it says, and what it refuses."""

import json
import shutil
import tempfile

import h5py
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from verifying import LAYERS, MANIFEST

import initlib
from initlib import _manifest, _provenance
from initlib._checkpoint import open_checkpoint
from initlib._compare import value_texts
from initlib._digest import leaf_digests, tensor_digest
from initlib._dtypes import DTYPES, is_float
from initlib._formats import FORMATS

CODE = """
import numpy as np
def f(shape, dtype=None): return np.full(shape, {value}, dtype)
"""


def entries(path):
    """Every tensor of a file that has values: its entry and offset, by name."""
    with open_checkpoint(path) as checkpoint:
        return {t.entry.name: t for t in checkpoint.tensors}


def change(path, name, index, value=None):
    """Put another value into a file, or flip an element's lowest bit; return the values."""
    stored = entries(path)[name]
    with path.open("r+b") as file:
        file.seek(stored.offset)
        values = np.frombuffer(bytearray(file.read(stored.entry.nbytes)), stored.entry.dtype)
        if value is None:
            values.view(np.uint8)[index * values.itemsize] ^= 1
        else:
            values[index] = value
        file.seek(stored.offset)
        file.write(values.tobytes())
    return values


def record_of(path):
    file_format = FORMATS["hdf5" if path.suffix == ".h5" else "safetensors"]
    metadata = file_format.read_metadata(path)
    return file_format, metadata, json.loads(metadata["initgen"])


def forge(path, *, seal=True, text=None, **changed):
    """Write a file anew that says other things of itself; with `seal`, its checksum fits them."""
    file_format, metadata, record = record_of(path)
    dump = _manifest.compact
    record = {key: value for key, value in (record | changed).items() if value is not None}
    metadata["initgen"] = text or dump(record)
    if seal and text is None:
        record["checksum"] = _provenance.checksum(metadata)
        metadata["initgen"] = dump(record)
    stored, data = entries(path), path.read_bytes()
    names = list(record_of(path)[2]["tensors"])
    names = [layer["name"] for layer in LAYERS if layer["name"] in names] or names
    path.unlink()
    offsets = file_format.create(path, [stored[name].entry for name in names], metadata)
    with path.open("r+b") as file:
        for name, offset in zip(names, offsets, strict=True):
            old, size = stored[name].offset, stored[name].entry.nbytes
            file.seek(offset)
            file.write(data[old : old + size] if size else b"")


def only_problem(found):
    (verdict,) = [each for each in found.tensors if not each.same]
    return verdict


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize(("threads", "memory"), [(1, "2MiB"), (3, "64MiB")])
def test_what_was_written_is_right(made, quick, threads, memory):
    progress = []
    found = initlib.verify(
        made,
        quick=quick,
        threads=threads,
        memory=memory,
        progress=lambda *now: progress.append(now),
    )
    assert (found.path, found.by, found.header, found.notes) == (str(made), "provenance", None, ())
    assert found.same
    assert (found.values, found.digest) == ((0, 6) if quick else (6, 0))
    assert (found.tolerance, found.different, found.quick) == (0, 0, quick)
    assert [each.name for each in found.tensors] == [layer["name"] for layer in LAYERS]
    assert {each.how for each in found.tensors} == {"digest" if quick else "values"}
    assert (found.parameters, found.nbytes) == (600 + 20 + 49 + 40 + 1, 2400 + 40 + 196 + 160 + 8)
    assert progress[-1] == (found.nbytes, found.nbytes)
    assert found.seconds > 0


@pytest.mark.parametrize("suffix", [".safetensors", ".h5"])
def test_every_dtype_and_many_chunks(tmp_path, suffix):
    layers = [
        {
            "name": dtype,
            "shape": [1201, 701],
            "dtype": dtype,
            "initializer": "truncated_normal" if is_float(DTYPES[dtype]) else "ones",
        }
        for dtype in DTYPES
    ]
    path = tmp_path / f"m{suffix}"
    initlib.generate({"layers": layers}, path)
    assert initlib.verify(path, threads=2, memory="4MiB").values == len(DTYPES)
    for dtype in DTYPES:
        change(path, dtype, 1201 * 701 - 1)
    found = initlib.verify(path, threads=2, memory="4MiB")
    assert found.different == len(DTYPES)
    assert {each.first_index for each in found.tensors} == {(1200, 700)}
    assert initlib.verify(path, quick=True).different == len(DTYPES)


def test_what_differs_is_told(made):
    values = change(made, "a/kernel", 401, 0.5)
    change(made, "a/kernel", 599, np.nan)
    before = initlib.initializers.GlorotUniform()
    stream = initlib.initializers.stream_for(before, 3, "a/kernel")
    target = initlib.initializers.Target((30, 20), np.dtype("f4"), stream)
    expected = initlib.initializers.materialize(before, target)[20, 1]
    found = initlib.verify(made)
    verdict = only_problem(found)
    assert (found.same, found.different, found.header) == (False, 1, None)
    assert (verdict.name, verdict.how, verdict.problem) == ("a/kernel", "values", "changed")
    assert (verdict.elements, verdict.differing) == (600, 2)
    assert (verdict.first, verdict.first_index) == (401, (20, 1))
    assert (verdict.expected, verdict.found) == (str(expected), str(values[401]))
    assert verdict.detail == (
        f"2 of 600 elements differ, first [20, 1]: expected {expected!s}, found 0.5"
    )
    verdict = only_problem(initlib.verify(made, quick=True))
    assert (verdict.name, verdict.how, verdict.differing) == ("a/kernel", "digest", None)
    assert "digest" in verdict.detail


def test_values_that_look_alike_are_told_by_their_bits(made):
    change(made, "a/bias", 3, -0.0)
    verdict = only_problem(initlib.verify(made))
    assert (verdict.expected, verdict.found) == ("0.0", "-0.0")
    values = np.array([0x7FC00000, 0x7FC00001], np.uint32).view(np.float32)
    assert value_texts(*values) == ("nan (0x7fc00000)", "nan (0x7fc00001)")


def with_digest_of(path, name):
    """Record the digest that a tensor of a file has now."""
    stored = entries(path)[name]
    data = np.fromfile(path, np.uint8, stored.entry.nbytes, offset=stored.offset)
    tensors = record_of(path)[2]["tensors"]
    tensors[name][1] = tensor_digest(leaf_digests(data))
    forge(path, tensors=tensors)


@pytest.mark.parametrize("name", ["b/kernel", "b/window"])
def test_inexact_tensors_may_differ_a_little_if_their_digest_says_so(made, name):
    """As on another machine, whose last bits differ."""
    change(made, name, 5)
    verdict = only_problem(initlib.verify(made))
    assert (verdict.how, verdict.problem, verdict.differing) == ("tolerance", "changed", 1)
    assert "all are within 1e-06, but the digest isn't the recorded one" in verdict.detail
    with_digest_of(made, name)
    found = initlib.verify(made)
    assert (found.same, found.values, found.tolerance, found.header) == (True, 5, 1, None)
    (verdict,) = [each for each in found.tensors if each.how == "tolerance"]
    assert (verdict.name, verdict.differing, verdict.first) == (name, 1, 5)


@pytest.mark.parametrize("value", [2e-6, np.nan, np.inf])
def test_inexact_tensors_may_differ_no_more_than_their_tolerance(made, value):
    stored = entries(made)["b/kernel"]
    values = np.fromfile(made, np.float32, 49, offset=stored.offset)
    # Tolerance is relative to the largest element, rounding to the element itself.
    change(made, "b/kernel", 5, values[5] + np.float32(value))
    with_digest_of(made, "b/kernel")
    verdict = only_problem(initlib.verify(made))
    assert (verdict.name, verdict.how, verdict.differing) == ("b/kernel", "tolerance", 1)
    assert "within" not in verdict.detail


def test_tolerance_allows_for_rounding_to_narrow_dtypes(tmp_path):
    """Values 1e-6 apart can be rounded to neighbours, which are 1/128 apart in bfloat16."""
    path = tmp_path / "m.safetensors"
    layer = {"name": "q", "shape": [9, 9], "initializer": "orthogonal", "dtype": "bfloat16"}
    initlib.generate({"layers": [layer]}, path)
    change(path, "q", 5)
    with_digest_of(path, "q")
    assert initlib.verify(path).tolerance == 1
    stored = entries(path)["q"]
    bits = np.fromfile(path, np.uint16, 81, offset=stored.offset)
    change(path, "q", 5, (bits + 3)[5:6].view(DTYPES["bfloat16"])[0])
    with_digest_of(path, "q")
    assert only_problem(initlib.verify(path)).how == "tolerance"


# Custom code


@pytest.fixture
def custom(tmp_path):
    (tmp_path / "mine.py").write_text(CODE.format(value=7))
    layers = [LAYERS[0], {"name": "c", "shape": [4, 4], "initializer": "mine.py:f"}]
    (tmp_path / "m.json").write_text(json.dumps({"layers": layers}))
    initlib.generate(tmp_path / "m.json", tmp_path / "m.h5", allow_code=True)
    return tmp_path


@pytest.mark.parametrize("manifest", [False, True])
def test_custom_code_goes_by_digest_unless_it_may_run(custom, manifest):
    source = {"manifest": custom / "m.json"} if manifest else {}
    found = initlib.verify(custom / "m.h5", **source)
    assert (found.same, found.values, found.digest) == (True, 1, 1)
    assert [each.name for each in found.tensors if each.how == "digest"] == ["c"]
    found = initlib.verify(custom / "m.h5", **source, allow_code=True)
    assert (found.same, found.values, found.digest, found.notes) == (True, 2, 0, ())
    change(custom / "m.h5", "c", 3)
    assert only_problem(initlib.verify(custom / "m.h5", **source)).how == "digest"


def test_custom_code_that_has_changed(custom):
    (custom / "new").mkdir()
    path = shutil.copy(custom / "m.h5", custom / "new")
    with pytest.raises(initlib.RequestError, match=r"there is no file mine\.py"):
        initlib.verify(path, allow_code=True)
    (custom / "new" / "mine.py").write_text(CODE.format(value="7 "))
    found = initlib.verify(path, allow_code=True)
    assert found.same
    assert found.notes == ("mine.py isn't the code that made the file: its SHA-256 differs",)


def test_custom_code_that_makes_other_values_now(custom):
    (custom / "new").mkdir()
    path = shutil.copy(custom / "m.h5", custom / "new")
    (custom / "new" / "mine.py").write_text(CODE.format(value=8))
    found = initlib.verify(path, allow_code=True)
    verdict = only_problem(found)
    assert (verdict.name, verdict.differing, verdict.expected) == ("c", 16, "8.0")
    assert "the file is as it was recorded, so its code makes other values now" in verdict.detail


def test_custom_code_without_a_digest(custom):
    data = {"a/kernel": np.zeros((30, 20), np.float32), "c": np.full((4, 4), 7, np.float32)}
    save_file(data, custom / "x.safetensors")
    with pytest.raises(initlib.RequestError, match=r"mine\.py:f is code.* no digest to go by"):
        initlib.verify(custom / "x.safetensors", manifest=custom / "m.json")
    manifest = {"layers": [{"name": "c", "shape": [4, 4], "initializer": "mine.py:g"}]}
    found = initlib.verify(custom / "m.h5", manifest=manifest)
    (detail,) = [each.detail for each in found.tensors if each.name == "c"]
    assert detail == "expected mine.py:g to have made it, but it was mine.py:f"


# The header


def test_a_file_that_another_program_wrote_again(tmp_path):
    path = tmp_path / "m.safetensors"
    initlib.generate(MANIFEST, path)
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
    save_file(load_file(path), tmp_path / "again.safetensors", metadata)
    found = initlib.verify(tmp_path / "again.safetensors")
    assert (found.same, found.different, found.values) == (False, 0, 6)
    assert found.header.startswith("it says the same as the file that was written, but not in the")
    metadata["author"] = "you"
    save_file(load_file(path), tmp_path / "again.safetensors", metadata)
    found = initlib.verify(tmp_path / "again.safetensors")
    assert "the checksum doesn't fit" in found.header
    tensors = load_file(path)
    del tensors["scalar"]
    tensors["other"] = tensors.pop("empty").reshape(4, 0)
    tensors["a/bias"] = tensors["a/bias"].astype(np.float32)
    tensors["a/kernel"] = tensors["a/kernel"].T
    save_file(tensors, tmp_path / "again.safetensors", metadata)
    found = initlib.verify(tmp_path / "again.safetensors")
    assert {each.name: each.problem for each in found.tensors if not each.same} == {
        "scalar": "missing",
        "empty": "missing",
        "other": "unexpected",
        "a/bias": "recast",
        "a/kernel": "reshaped",
    }


def test_an_hdf5_file_that_another_program_wrote_again(tmp_path):
    initlib.generate(MANIFEST, tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5") as old, h5py.File(tmp_path / "again.h5", "w") as new:
        for name in old:
            old.copy(name, new)
    found = initlib.verify(tmp_path / "again.h5")
    assert (found.same, found.different, found.values) == (False, 0, 6)
    assert found.header.startswith("it says the same as the file that was written, but not in the")


def test_bytes_between_and_behind_the_values(made):
    whole = made.read_bytes()
    made.write_bytes(whole + b"\0")
    # A safetensors file has nothing there, to HDF5 it is of no meaning.
    if made.suffix == ".safetensors":
        with pytest.raises(initlib.StorageError, match="damaged"):
            initlib.verify(made)
    else:
        found = initlib.verify(made)
        assert (found.same, found.different) == (False, 0)
        assert f"({len(whole) + 1} bytes long, not {len(whole)})" in found.header


def test_other_spaces_in_a_header(tmp_path):
    path = tmp_path / "m.safetensors"
    initlib.generate(MANIFEST, path)
    data = path.read_bytes()
    place = data.index(b"  ")
    path.write_bytes(data[:place] + b"\n" + data[place + 1 :])
    found = initlib.verify(path)
    assert (found.same, found.values) == (False, 6)
    assert f"(from byte {place} on)" in found.header


def test_a_file_of_another_version(made):
    """Its header has the other version's name, and that is as it should be."""
    forge(made, version="0.0.7")
    found = initlib.verify(made)
    assert (found.same, found.header) == (True, None)


def test_a_record_that_contradicts_itself(made):
    record = record_of(made)[2]
    forge(made, seal=False, version="0.0.7")
    assert initlib.verify(made).header == (
        "its metadata isn't as it was written: the checksum doesn't fit"
    )
    forge(made, seed=4)
    assert initlib.verify(made).header == "it names the seed 4, but its manifest 3"
    forge(made, seed=3, version=record["version"], initializers=record["initializers"][::-1])
    assert "it names another initializer of 'a/kernel'" in initlib.verify(made).header
    forge(made, initializers=record["initializers"], manifest_sha256="0" * 64)
    assert initlib.verify(made).header == "its manifest_sha256 isn't that of its manifest"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"text": "{"}, "its provenance is damaged: JSON"),
        ({"text": "[" * 100_000}, "its provenance is damaged: JSON"),
        ({"text": '{"stream":1}'}, "its provenance is damaged: "),
        ({"stream": 2}, "its values are of stream version 2; this initgen makes 1"),
        ({"stream": "1"}, "its provenance is damaged: stream"),
        ({"manifest": [1]}, "its provenance is damaged: manifest"),
        ({"manifest": {}}, "its provenance can't be right: missing key 'layers'"),
        ({"tensors": {}}, "its provenance can't be right: it lists other tensors"),
        ({"tensors": {"a": [0]}}, "its provenance is damaged: tensors.a"),
        ({"only": ["x"]}, "its provenance can't be right: no tensor's name matches 'x'"),
        ({"checksum": None, "seal": False}, "its provenance is damaged: checksum"),
    ],
    ids=str,
)
def test_damaged_provenance(made, changed, message):
    forge(made, **changed)
    with pytest.raises(initlib.StorageError) as caught:
        initlib.verify(made)
    assert str(caught.value).startswith(f"{made}: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ({"initializer": "he_norml"}, "unknown initializer 'he_norml'"),
        ({"shape": [2**40]}, "bytes of values, but the file has only"),
        ({"shape": [2**62, 3]}, "larger than 2**63 - 1 bytes"),
        ({"shape": [1] * 70}, "expected at most 64 dimensions"),
        ({"initializer": "orthogonal", "shape": [4]}, "2 axes or more"),
    ],
)
def test_provenance_of_tensors_that_cannot_be(tmp_path, layer, message):
    path = tmp_path / "m.safetensors"
    first = {"name": "w", "shape": [4], "initializer": "zeros"}
    initlib.generate({"layers": [first]}, path)
    forge(path, manifest={"layers": [first | layer]})
    with pytest.raises(initlib.StorageError) as caught:
        initlib.verify(path)
    assert message in str(caught.value)


def test_provenance_of_more_tensors_than_are_listed(tmp_path):
    """A small file can't make it expand ten million."""
    path = tmp_path / "m.safetensors"
    layer = {"name": "w{i}", "shape": [1], "initializer": "zeros"}
    manifest = {"layers": [{"repeat": {"i": 1}, "layers": [layer]}]}
    initlib.generate(manifest, path)
    manifest["layers"][0]["repeat"]["i"] = 99_999
    forge(path, manifest=manifest)
    with pytest.raises(initlib.StorageError, match="it lists other tensors"):
        initlib.verify(path)


def test_files_without_provenance(tmp_path):
    save_file({"w": np.zeros(3)}, tmp_path / "m.safetensors")
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["w"] = np.zeros(3)
    for path in (tmp_path / "m.safetensors", tmp_path / "m.h5", tmp_path):
        for options in ({}, {"quick": True, "manifest": {"layers": []}}):
            with pytest.raises(initlib.RequestError, match=r"no provenance.*--manifest"):
                initlib.verify(path, **options)


def test_files_that_cannot_be_read(tmp_path, made):
    with pytest.raises(initlib.RequestError, match="no such file"):
        initlib.verify(tmp_path / "none.h5")
    (tmp_path / "text").write_text("nothing of ours")
    with pytest.raises(initlib.StorageError):
        initlib.verify(tmp_path / "text")
    made.write_bytes(made.read_bytes()[:-1])
    with pytest.raises(initlib.StorageError):
        initlib.verify(made)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threads": 0}, "expected 1 thread or more, received 0"),
        ({"threads": 4, "memory": "7MiB"}, "expected 8MiB of memory or more for 4 threads"),
    ],
)
def test_wrong_arguments(made, arguments, message):
    with pytest.raises(initlib.RequestError, match=message):
        initlib.verify(made, **arguments)


def test_nothing_to_compare(tmp_path):
    initlib.generate({"layers": []}, tmp_path / "m.safetensors")
    found = initlib.verify(tmp_path / "m.safetensors")
    assert (found.same, found.tensors, found.parameters) == (True, (), 0)


def test_no_temporary_folder(made, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(initlib.StorageError, match="cannot lay it out again in a temporary folder"):
        initlib.verify(made)
