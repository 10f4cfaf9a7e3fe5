"""`initlib.verify` with a manifest: anyone's checkpoint, held against what a manifest makes."""

import json

import h5py
import pytest
from safetensors.numpy import load_file, save_file
from verifying import LAYERS, MANIFEST

import initlib


def shards_of(path, folder):
    """Write a file's tensors in two shards, with an index as transformers has it."""
    folder.mkdir()
    tensors = load_file(path)
    names = sorted(tensors)
    weight_map = {}
    for number, part in enumerate((names[:3], names[3:]), 1):
        name = f"model-{number:05}-of-00002.safetensors"
        save_file({each: tensors[each] for each in part}, folder / name)
        weight_map |= dict.fromkeys(part, name)
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def test_anyone_s_checkpoint_against_a_manifest(tmp_path):
    path = tmp_path / "m.safetensors"
    initlib.generate(MANIFEST, path)
    with h5py.File(tmp_path / "gzip.h5", "w") as file:
        for name, values in load_file(path).items():
            options = {"compression": "gzip"} if values.size > 1 else {}
            big = values.astype(values.dtype.newbyteorder(">")) if name == "b/kernel" else values
            file.create_dataset(name, data=big, **options)
    for other in (path, tmp_path / "gzip.h5", shards_of(path, tmp_path / "shards")):
        found = initlib.verify(other, manifest=MANIFEST)
        assert (found.same, found.by, found.values) == (True, "manifest", 6)
        assert (found.header, found.notes) == (None, ())


def test_every_difference_from_a_manifest(made):
    layers = [dict(layer) for layer in LAYERS]
    layers[0]["shape"] = [20, 30]
    layers[1]["dtype"] = "float32"
    layers[2]["initializer"] = "he_normal"
    layers[3]["name"] = "b/other"
    found = initlib.verify(made, manifest={"seed": 3, "layers": layers})
    problems = {each.name: (each.problem, each.detail) for each in found.tensors if not each.same}
    assert problems.pop("b/kernel")[0] == "changed"
    assert problems == {
        "a/kernel": ("reshaped", "expected shape [20, 30], found [30, 20]"),
        "a/bias": ("recast", "expected float32, found float16"),
        "b/other": ("missing", "is missing"),
        "b/window": ("unexpected", "is unexpected (float32 [8, 1, 5])"),
    }
    assert (found.same, found.values, found.different) == (False, 2, 5)
    assert found.notes == ("it was made from another manifest, with the same seed",)


def test_another_seed_is_pointed_out(made):
    found = initlib.verify(made, manifest={**MANIFEST, "seed": 4})
    assert found.notes == ("it was made from another manifest, with seed 3, not 4",)
    assert {each.name for each in found.tensors if not each.same} == {"a/kernel", "b/kernel"}


def test_what_is_not_a_tensor_is_unexpected_or_missing(tmp_path):
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["a"], file["b"] = "text", "text"
    manifest = {"layers": [{"name": "a", "shape": [], "initializer": "zeros"}]}
    found = initlib.verify(tmp_path / "m.h5", manifest=manifest)
    assert [(each.name, each.problem) for each in found.tensors] == [
        ("a", "missing"),
        ("b", "unexpected"),
    ]
    assert "which initlib doesn't read" in found.tensors[0].detail


def test_quick_against_a_manifest_compares_hashes(made):
    found = initlib.verify(made, manifest=MANIFEST, quick=True)
    assert (found.same, found.by, found.recorded) == (True, "provenance", True)
    assert initlib.verify(made, quick=True).recorded is None
    found = initlib.verify(made, manifest={**MANIFEST, "seed": 4}, quick=True)
    # Digests say that the values are the recorded ones, and nothing of the manifest's.
    assert (found.same, found.by, found.recorded) == (False, "provenance", False)
    assert (found.different, found.digest) == (0, 6)
    assert found.header == "it was made from another manifest, with seed 3, not 4"


@pytest.mark.parametrize("suffix", [".safetensors", ".h5"])
def test_a_part_of_a_manifest(tmp_path, suffix):
    path = tmp_path / f"m{suffix}"
    initlib.generate(MANIFEST, path, only=["b/*"])
    assert initlib.verify(path).values == 2
    assert initlib.verify(path, quick=True).digest == 2
    found = initlib.verify(path, manifest=MANIFEST)
    assert [each.problem for each in found.tensors].count("missing") == 4
    assert found.notes == ("it was made with --only b/*",)
    found = initlib.verify(path, manifest=MANIFEST, quick=True)
    assert (found.same, found.header) == (False, "it was made with --only b/*")
    assert found.recorded is False
