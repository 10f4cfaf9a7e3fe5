"""Checkpoints of several files: what is in each, and how they appear."""

import json
import os
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

import initlib
from initlib import _manifest, _shards
from initlib._plan import make_plan

LAYERS = [
    {"name": "big", "shape": [100, 100], "initializer": "he_normal"},
    {"name": "a*[0]", "shape": [7], "initializer": "random_uniform"},
    {"name": "none", "shape": [0], "initializer": "zeros"},
    {"repeat": {"i": 5}, "layers": [{"name": "h.{i}", "shape": [10, 10], "initializer": "ones"}]},
    {"name": "q", "shape": [20, 20], "initializer": "orthogonal"},
]
MANIFEST = {"seed": 3, "layers": LAYERS}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "model"


def contents(folder):
    """The bytes of every file."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def tensors(folder):
    """The bytes of every tensor, by the real safetensors."""
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "numpy") as file:
            found |= {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118
    return found


@given(st.lists(st.integers(0, 50), max_size=20), st.integers(1, 200))
def test_no_shard_is_larger_than_it_may_be(sizes, most):
    layers = [
        {"name": f"t{i}", "shape": [size], "dtype": "uint8", "initializer": "zeros"}
        for i, size in enumerate(sizes)
    ]
    plan = make_plan(_manifest.read({"layers": layers}))
    shards = _shards.split(plan, most)
    assert [t.entry.name for shard in shards for t in shard.tensors] == [
        t.entry.name for t in plan.tensors
    ]
    assert all(shard.nbytes <= most or len(shard.tensors) == 1 for shard in shards)
    # None has room for the first tensor of the next.
    for shard, following in pairwise(shards):
        assert shard.nbytes + following.tensors[0].entry.nbytes > most


@pytest.mark.parametrize("size", [1, 500, "1KB", "2KiB", 40_000])
def test_tensors_are_the_same_for_any_size(tmp_path, folder, size):
    initlib.generate(MANIFEST, tmp_path / "one", max_shard_size="5GB")
    done = initlib.generate(MANIFEST, folder, max_shard_size=size)
    assert tensors(folder) == tensors(tmp_path / "one")
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    assert sorted(set(index["weight_map"].values())) == list(done.files)
    totals = {"total_parameters": done.parameters, "total_size": done.nbytes}
    own = {"manifest": _manifest.read(MANIFEST).canonical()}
    assert index["metadata"].items() >= totals.items()
    assert json.loads(index["metadata"]["initgen"]) == own
    for name in done.files:
        with safe_open(folder / name, "numpy") as file:
            assert set(file.keys()) == {k for k, v in index["weight_map"].items() if v == name}
            assert file.metadata()["format"] == "pt"


def test_one_file_needs_no_index(folder):
    done = initlib.generate(MANIFEST, f"{folder}/")
    assert done.files == ("model.safetensors",)
    assert os.listdir(folder) == ["model.safetensors"]  # noqa: PTH208
    alone = folder.with_suffix(".safetensors")
    initlib.generate(MANIFEST, alone)
    assert contents(folder)["model.safetensors"] == alone.read_bytes()


def test_each_shard_is_a_file_by_itself(tmp_path, folder):
    done = initlib.generate(MANIFEST, folder, max_shard_size=2000)
    assert len(done.files) == 3
    for name in done.files:
        assert initlib.verify(folder / name).same
        with safe_open(folder / name, "numpy") as file:
            metadata = file.metadata()
            record = json.loads(metadata["initgen"])
            assert {each["name"] for each in record["manifest"]["layers"]} == set(file.keys())
        assert metadata["initgen_manifest_sha256"] == done.manifest_sha256
        assert "only" not in record
        initlib.generate(record["manifest"], tmp_path / "x.safetensors", force=True)
        assert (tmp_path / "x.safetensors").read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("index", [False, True])
def test_a_folder_is_verified_file_by_file(folder, quick, index):
    done = initlib.generate(MANIFEST, folder, max_shard_size=2000)
    target = folder / "model.safetensors.index.json" if index else folder
    told = []
    found = initlib.verify(target, quick=quick, progress=lambda *args: told.append(args))
    assert (found.same, found.by, found.header) == (True, "provenance", None)
    assert {verdict.name for verdict in found.tensors} == tensors(folder).keys()
    assert (found.parameters, found.nbytes) == (done.parameters, done.nbytes)
    assert told == sorted(told)
    assert told[-1] == (done.nbytes, done.nbytes)
    recorded = [
        initlib.verify(folder, quick=True, manifest=manifest).recorded
        for manifest in (MANIFEST, {**MANIFEST, "seed": 4})
    ]
    assert recorded == [True, False]

    path = folder / done.files[2]
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)
    found = initlib.verify(target, quick=quick)
    assert [verdict.name for verdict in found.tensors if not verdict.same] == ["q"]


def test_code_in_shards_is_verified_by_digest(tmp_path, folder):
    (tmp_path / "c.py").write_text(
        "import numpy as np\ndef f(shape, dtype=None):\n    return np.ones(shape, dtype)\n"
    )
    layers = [{"name": f"t{i}", "shape": [3], "initializer": "c.py:f"} for i in range(3)]
    (tmp_path / "m.json").write_text(json.dumps({"layers": layers}))
    initlib.generate(tmp_path / "m.json", folder, max_shard_size=12, allow_code=True)
    for manifest in (None, tmp_path / "m.json"):
        found = initlib.verify(folder, manifest=manifest)
        assert (found.same, found.digest) == (True, 3)


def test_shards_of_two_manifests_are_not_one_checkpoint(tmp_path, folder):
    for seed in (3, 4):
        initlib.generate({**MANIFEST, "seed": seed}, folder, max_shard_size=2000, force=True)
        if seed == 3:
            first = contents(folder)["model-00002-of-00003.safetensors"]
    (folder / "model-00002-of-00003.safetensors").write_bytes(first)
    found = initlib.verify(folder)
    assert (found.same, found.different) == (False, 0)
    assert found.header == "its files were made from several manifests"
    assert initlib.manifest(folder).notes == (found.header,)


def test_the_folder_is_a_checkpoint(folder):
    initlib.generate(MANIFEST, folder, max_shard_size=2000)
    found = initlib.describe(folder)
    assert {tensor.name for tensor in found.tensors} == tensors(folder).keys()
    assert initlib.verify(folder, manifest=MANIFEST).same
    draft = initlib.manifest(folder)
    assert draft.rules is None
    assert _manifest.read(draft.manifest).canonical() == _manifest.read(MANIFEST).canonical()
    assert not draft.notes


MIXED = {
    "seed": 3,
    "dtype": "float16",
    "layout": "torch",
    "vars": {"n": 3, "d": "4*n"},
    "metadata": {"license": "mit"},
    "rules": [
        {"match": "*.bias", "initializer": "zeros", "dtype": "float32"},
        {"match": "*", "initializer": "truncated_normal(stddev=0.02/sqrt(2*n))"},
    ],
    "layers": [
        {"name": "{{0}}", "shape": ["d", 2], "initializer": "constant(d/8)"},
        {
            "repeat": {"i": "n"},
            "layers": [
                {"name": "h.{i}.weight", "shape": ["d", "d"]},
                {"name": "h.{i}.bias", "shape": ["d"]},
            ],
        },
        {"name": "own", "shape": [5], "initializer": {"class_name": "RandomNormal"}, "seed": 9},
        {"name": "inf", "shape": [2], "initializer": "constant(-inf)"},
        {"name": "kaiming", "shape": [9, 9], "initializer": "kaiming_normal_(mode='fan_out')"},
    ],
}


@pytest.fixture(params=["index", "rewritten", "other", "none"])
def sharded(folder, request):
    """A folder whose index is initgen's, or was saved by others, or is another's, or is gone."""
    initlib.generate(MIXED, folder, max_shard_size=400)
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    if request.param == "rewritten":
        del index["metadata"]["initgen"]
    if request.param == "other":
        other = _manifest.read({**MIXED, "seed": 4}).canonical()
        index["metadata"]["initgen"] = json.dumps({"manifest": other})
    path.write_text(json.dumps(index))
    if request.param == "none":
        path.unlink()
    return folder


def test_the_whole_is_known_with_and_without_the_index(sharded, tmp_path):
    draft = initlib.manifest(sharded)
    assert (draft.rules, draft.notes) == (None, ())
    assert draft.manifest["metadata"] == MIXED["metadata"]
    initlib.generate(draft.manifest, tmp_path / "again", max_shard_size=400)
    assert tensors(tmp_path / "again") == tensors(sharded)
    weights = initlib.open(sharded)
    for name, data in tensors(sharded).items():
        assert weights.get_tensor(name).tobytes() == data
    assert initlib.verify(sharded).same
    assert initlib.verify(sharded, manifest=MIXED).same
    assert initlib.verify(sharded, manifest=MIXED, quick=True).recorded
    assert not initlib.verify(sharded, manifest={**MIXED, "seed": 4}, quick=True).recorded


def test_a_shard_alone_is_a_part(folder):
    done = initlib.generate(MIXED, folder, max_shard_size=400)
    with safe_open(folder / done.files[1], "numpy") as file:
        names = list(file.keys())
    assert len(done.tensors) == 10
    found = initlib.verify(folder / done.files[1], manifest=MIXED, quick=True)
    assert (found.same, found.recorded) == (False, True)
    assert found.header == f"{10 - len(names)} of the manifest's tensors are in other shards"
    assert list(initlib.open(folder / done.files[1]).keys()) == names


def test_a_part_of_a_manifest_in_shards(folder):
    initlib.generate(MIXED, folder, max_shard_size=400, only=["h.*", "own"])
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    assert json.loads(index["metadata"]["initgen"])["only"] == ["h.*", "own"]
    assert set(initlib.open(folder).keys()) == tensors(folder).keys()
    draft = initlib.manifest(folder)
    assert draft.notes == ("it is a part of what the manifest makes: 7 tensors",)
    found = initlib.verify(folder, manifest=MIXED, quick=True)
    assert found.header == "3 of the manifest's tensors are in none of its files"


def test_what_a_manifest_has_besides_is_told_beside_other_problems(folder):
    initlib.generate(MIXED, folder, max_shard_size=400)
    more = {**MIXED, "layers": [*MIXED["layers"], {"name": "more", "shape": [2]}]}
    found = initlib.verify(folder, manifest=more, quick=True)
    problem = "it was made from another manifest, with the same seed"
    assert found.header.startswith(f"model-00001-of-00004.safetensors: {problem}; ")
    assert found.header.endswith("; 1 of the manifest's tensors are in none of its files")


def test_what_a_shard_says_does_not_grow_with_the_others(tmp_path):
    """Of a manifest without repeats, a shard has its own part."""
    sizes = []
    for count in (10, 1000):
        layers = [{"name": f"t{i:03}", "shape": [5], "initializer": "ones"} for i in range(count)]
        initlib.generate({"layers": layers}, tmp_path / str(count), max_shard_size=100)
        shards = (tmp_path / str(count)).glob("*.safetensors")
        sizes.append({path.stat().st_size for path in shards})
    assert sizes[0] == sizes[1]


def test_nothing_is_replaced_unasked(folder):
    initlib.generate(MANIFEST, folder, max_shard_size=2000)
    before = contents(folder)
    with pytest.raises(initlib.RequestError, match="exists; --force"):
        initlib.generate(MANIFEST, folder, max_shard_size=500)
    assert contents(folder) == before


def test_old_shards_go_and_other_files_stay(folder):
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "adapter.safetensors").write_text("mine")
    initlib.generate(MANIFEST, folder, max_shard_size=500)
    done = initlib.generate(MANIFEST, folder, max_shard_size=50_000, force=True)
    others = {"config.json", "adapter.safetensors"}
    assert {path.name for path in folder.iterdir()} == {*done.files, *others}
    assert done.files == ("model.safetensors",)
    assert (folder / "adapter.safetensors").read_text() == "mine"


def test_what_fails_leaves_what_was_there(folder, monkeypatch):
    initlib.generate(MANIFEST, folder, max_shard_size=500)
    before = contents(folder)

    def fail(done, total):
        if done > total // 2:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        initlib.generate(MANIFEST, folder, max_shard_size=2000, force=True, progress=fail)
    assert contents(folder) == before
    new = folder.with_name("new")
    with pytest.raises(OSError, match="No space"):
        initlib.generate(MANIFEST, new, max_shard_size=2000, progress=fail)
    assert not new.exists()


def test_companions_that_cannot_be_read_leave_what_was_there(tmp_path, folder, monkeypatch):
    source = tmp_path / "source"
    source.mkdir()
    (source / "config.json").write_text("{}")
    initlib.generate(MANIFEST, folder, max_shard_size=500)
    before = contents(folder)

    real = type(source).open

    def refuse(path, *args, **options):
        if path.name == "config.json":
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **options)

    monkeypatch.setattr(type(source), "open", refuse)
    with pytest.raises(initlib.StorageError, match=r"config\.json: Permission denied"):
        initlib.generate(MANIFEST, folder, max_shard_size=2000, copy_from=source, force=True)
    assert contents(folder) == before


def test_two_runs_do_not_mix(folder):
    def meanwhile(done, total):
        if done == total:
            folder.mkdir(exist_ok=True)
            (folder / "model.safetensors").write_text("another's")

    with pytest.raises(initlib.RequestError, match="exists"):
        initlib.generate(MANIFEST, folder, max_shard_size=2000, progress=meanwhile)
    assert contents(folder) == {"model.safetensors": b"another's"}


def test_links_are_replaced_and_not_followed(tmp_path, folder):
    folder.mkdir()
    (tmp_path / "blob").write_text("kept")
    (folder / "config.json").symlink_to(tmp_path / "blob")
    (folder / "model.safetensors").symlink_to(tmp_path / "nowhere")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "config.json").write_text("new")
    initlib.generate(MANIFEST, folder, copy_from=tmp_path / "source", force=True)
    assert (tmp_path / "blob").read_text() == "kept"
    assert (folder / "config.json").read_text() == "new"
    assert initlib.verify(folder).same


def test_the_folder_stays_where_it_was_asked_for(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "c.py").write_text(
        "import os, numpy as np\n"
        "def f(shape, dtype=None):\n"
        f"    os.chdir({str(tmp_path / 'elsewhere')!r})\n"
        "    return np.ones(shape, dtype)\n"
    )
    monkeypatch.chdir(tmp_path)
    layers = [{"name": f"t{i}", "shape": [3], "initializer": "c.py:f"} for i in range(3)]
    initlib.generate({"layers": layers}, "out", max_shard_size=12, allow_code=True)
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_the_index_is_the_last_to_appear(folder, monkeypatch):
    initlib.generate(MANIFEST, folder, max_shard_size=500)
    seen = []
    replace = type(folder).replace

    def watched(self, target):
        if not target.name.startswith("."):
            seen.append((target.name, sorted(path.name for path in folder.glob("*.index.json"))))
        return replace(self, target)

    monkeypatch.setattr(type(folder), "replace", watched)
    done = initlib.generate(MANIFEST, folder, max_shard_size=2000, force=True)
    assert seen == [(name, []) for name in [*done.files, "model.safetensors.index.json"]]


def test_config_and_tokenizer_are_copied(tmp_path, folder):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("config.json", "tokenizer.model", "merges.txt", "model.safetensors", "x.py"):
        (source / name).write_text(name)
    (source / "model.safetensors.index.json").write_text("{}")
    initlib.generate(MANIFEST, folder, copy_from=source)
    assert {path.name for path in folder.iterdir()} == {
        *("config.json", "tokenizer.model", "merges.txt", "model.safetensors")
    }
    assert (folder / "merges.txt").read_text() == "merges.txt"
    assert (folder / "model.safetensors").stat().st_size > 40_000


@pytest.mark.parametrize(
    ("output", "options", "message"),
    [
        ("m.safetensors", {"max_shard_size": 5}, "m.safetensors: expected a folder's name for"),
        ("m", {"max_shard_size": 5, "format": "hdf5"}, "m: a folder is of safetensors files, not"),
        ("m", {"max_shard_size": 0}, "expected a size of shards such as 5GB, received 0"),
        ("m", {"max_shard_size": "5 cats"}, "expected a size of shards such as 5GB, received '5 c"),
        ("m/n/o", {"max_shard_size": 5}, "m/n/o: there is no folder m/n"),
        (
            "m",
            {"max_shard_size": "5GB/2"},
            "expected a size of shards such as 5GB, received '5GB/2",
        ),
        ("", {}, "expected the name of a file or folder, received an empty one"),
        ("m.h5", {"copy_from": "empty"}, "m.h5: expected a folder's name for copies of config"),
        ("m", {"copy_from": "nowhere"}, "nowhere: there is no such folder"),
        ("m", {"copy_from": "empty"}, "empty: expected config or tokenizer files to copy, but"),
        ("file", {"max_shard_size": 5}, "file: expected a folder's name, but it is a file"),
    ],
)
def test_what_cannot_be_asked_for(tmp_path, monkeypatch, output, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(initlib.RequestError) as error:
        initlib.generate(MANIFEST, output, **options)
    assert str(error.value).startswith(message)


def test_the_manifest_is_not_replaced(tmp_path, folder):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "config.json").write_text("{}")
    folder.mkdir()
    manifest = folder / "config.json"
    manifest.write_text(json.dumps(MANIFEST))
    with pytest.raises(initlib.RequestError, match="would replace the manifest"):
        initlib.generate(manifest, folder, copy_from=tmp_path / "source", force=True)


def test_shards_are_of_the_usual_size_where_none_is_given():
    assert _shards.shard_bytes(None) == 5 * 10**9


def test_a_shard_may_be_full_and_names_have_so_many_digits(monkeypatch):
    layers = [
        {"name": f"t{i}", "shape": [5], "dtype": "uint8", "initializer": "zeros"} for i in range(4)
    ]
    plan = make_plan(_manifest.read({"layers": layers}))
    monkeypatch.setattr(_shards, "MOST", 2)
    assert [shard.nbytes for shard in _shards.split(plan, 10)] == [10, 10]
    message = "^expected at most 2 shards, not 4: larger ones$"
    with pytest.raises(initlib.RequestError, match=message):
        _shards.split(plan, 5)


def test_the_index_is_that_of_the_hub_and_sorted(monkeypatch):
    layers = [
        {"name": name, "shape": [2], "dtype": "int16", "initializer": "zeros"} for name in "ba"
    ]
    plan = make_plan(_manifest.read({"layers": layers}))
    monkeypatch.setattr(_shards, "MOST_MANIFEST", 0)
    assert _shards.index_text(plan, _shards.split(plan, 4)) == (
        '{\n  "metadata": {\n    "total_parameters": 4,\n    "total_size": 8\n  },\n'
        '  "weight_map": {\n    "a": "model-00002-of-00002.safetensors",\n'
        '    "b": "model-00001-of-00002.safetensors"\n  }\n}\n'
    )
