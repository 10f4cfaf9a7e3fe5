"""Files in a store are those that a disk has, byte for byte, and read the same."""

import dataclasses
import json

import fsspec
import pytest
from stores import LAYERS, SHARDS

import initlib

INDEX = "model.safetensors.index.json"


def contents(memory):
    return {name: memory.cat_file(name) for name in memory.find("/")}


def local(folder):
    return {f"/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*.*")}


@pytest.fixture
def disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("output", "more"),
    [("m.safetensors", {}), ("a b/ü[1]*.h5", {}), ("d/", {}), ("e/f", SHARDS), ("g/", SHARDS)],
)
@pytest.mark.parametrize("threads", [1, 3])
def test_the_same_bytes(memory, manifest, disk, output, more, threads):
    (disk / output).parent.mkdir(exist_ok=True)
    told = initlib.generate(manifest, f"{disk}/{output}", **more)
    done = initlib.generate(
        manifest, f"memory://{output}", threads=threads, memory=f"{threads}MiB", **more
    )
    assert contents(memory) == local(disk)
    assert (done.files, done.tensors, done.nbytes) == (told.files, told.tensors, told.nbytes)
    assert str(done.path) == f"memory://{output}"
    assert 0 < done.seconds < 600
    planned = initlib.generate(manifest, f"memory://{output}", dry_run=True, force=True, **more)
    assert (planned.nbytes, planned.seconds) == (done.nbytes, 0)


@pytest.mark.parametrize("name", ["m.safetensors", "m.h5", "d", "d/", f"d/{INDEX}"])
def test_readers_find_the_same(memory, manifest, disk, name):
    output = "d/" if name.startswith("d") else name
    initlib.generate(manifest, f"{disk}/{output}", **(SHARDS if output == "d/" else {}))
    for path, data in local(disk).items():
        memory.pipe_file(path, data)
    here, there = f"{disk}/{name}", f"memory://{name}"
    one, other = initlib.describe(here), initlib.describe(there)
    assert dataclasses.replace(one, path=there, seconds=0) == dataclasses.replace(other, seconds=0)
    for options in ({}, {"quick": True}, {"manifest": manifest}):
        found = initlib.verify(there, **options)
        assert found.same, found
        assert found.path == there
    found = initlib.diff(here, there)
    assert (found.same, found.a, found.b) == (True, here, there)
    assert initlib.manifest(there).text == initlib.manifest(here).text
    values = initlib.open(there).get_tensor("half")
    assert (values == initlib.open(manifest).get_tensor("half")).all()


def test_a_damaged_file_is_found(memory, manifest):
    initlib.generate(manifest, "memory://m.h5")
    data = bytearray(memory.cat_file("/m.h5"))
    data[len(data) // 2] ^= 1
    memory.pipe_file("/m.h5", bytes(data))
    assert not initlib.verify("memory://m.h5").same
    memory.pipe_file("/m.h5", bytes(data[:1000]))
    with pytest.raises(initlib.StorageError, match=r"^memory://m\.h5: "):
        initlib.describe("memory://m.h5")


def test_headers_are_read_alone(memory, monkeypatch):
    layers = [{"name": "a", "shape": [3000, 1000], "initializer": "he_normal"}]
    initlib.generate({"layers": layers}, "memory://m.safetensors")
    read, cat_file = [], type(memory).cat_file

    def counted(self, path, start=None, end=None):
        data = cat_file(self, path, start=start, end=end)
        read.append(len(data))
        return data

    monkeypatch.setattr(type(memory), "cat_file", counted)
    initlib.manifest("memory://m.safetensors", rules="torch")
    assert sum(read) < 1 << 20


def test_manifests(memory, manifest, tmp_path):
    memory.pipe_file("/m/model.yaml", b"# YAML\n" + manifest.read_bytes())
    memory.pipe_file("/m/model.json", manifest.read_bytes())
    for name in ("model.yaml", "model.json"):
        initlib.generate(f"memory://m/{name}", tmp_path / "m.safetensors", force=True)
        assert initlib.verify(tmp_path / "m.safetensors", manifest=f"memory://m/{name}").same
        assert initlib.describe(f"memory://m/{name}").path == f"memory://m/{name}"
    memory.pipe_file("/m/bad.yaml", b"seed: 1\nlayer: []\n")
    with pytest.raises(initlib.ManifestError, match=r"^memory://m/bad\.yaml:2: unknown key"):
        initlib.describe("memory://m/bad.yaml")
    with pytest.raises(initlib.RequestError, match=r"no file 'memory://m/modl\.yaml'; did you me"):
        initlib.describe("memory://m/modl.yaml")
    with pytest.raises(initlib.RequestError, match="the output would replace the manifest"):
        initlib.generate(
            "memory://m/model.json", "memory://m/model.json", format="hdf5", force=True
        )


def test_nothing_else_is_fetched_for_a_manifest(memory, tmp_path):
    layers = [{"name": "a", "shape": [2], "initializer": "x.py:make"}]
    memory.pipe_file("/m.json", json.dumps({"layers": layers}).encode())
    with pytest.raises(
        initlib.ManifestError, match=r"x\.py:make is code, and what is at memory://"
    ):
        initlib.generate("memory://m.json", tmp_path / "m.h5", allow_code=True)
    spec = {"class_name": "FromFile", "config": {"path": "w.h5"}}
    for path in ("w.h5", "memory://w.h5"):
        spec["config"]["path"] = path
        layers[0]["initializer"] = spec
        memory.pipe_file("/m.json", json.dumps({"layers": layers}).encode())
        (tmp_path / "m.json").write_text(json.dumps({"layers": layers}))
        source = "memory://m.json" if path == "w.h5" else tmp_path / "m.json"
        with pytest.raises(
            initlib.ManifestError, match=rf"'{path}' isn't fetched: from_file takes"
        ):
            initlib.generate(source, tmp_path / "m.h5")


def test_code_that_makes_other_values_each_time(memory, tmp_path):
    code = "import numpy as np, time\ndef f(shape, dtype=None): return np.full(shape, time.time())"
    (tmp_path / "x.py").write_text(code)
    layers = [*LAYERS[:2], {"name": "mine", "shape": [4], "dtype": "float64"}]
    layers[-1]["initializer"] = "x.py:f"
    (tmp_path / "m.json").write_text(json.dumps({"layers": layers}))
    with pytest.raises(initlib.ManifestError, match="'mine': its code makes other values each"):
        initlib.generate(tmp_path / "m.json", "memory://m.h5", allow_code=True)
    assert contents(memory) == {}


def test_what_is_there_stays_unless_it_is_to_go(memory, manifest):
    memory.pipe_file("/m.h5", b"old")
    memory.pipe_file("/d/model-00001-of-00002.safetensors", b"old")
    memory.pipe_file(f"/d/{INDEX}", b"old")
    memory.pipe_file("/d/notes.txt", b"mine")
    before = contents(memory)
    for output in ("memory://m.h5", "memory://d"):
        with pytest.raises(initlib.RequestError, match=rf"^{output}.* exists; --force"):
            initlib.generate(manifest, output)
    with pytest.raises(initlib.RequestError, match="folder's address, but it is a file"):
        initlib.generate(manifest, "memory://m.h5/", **SHARDS)
    assert contents(memory) == before
    initlib.generate(manifest, "memory://m.h5", force=True)
    initlib.generate(manifest, "memory://d", force=True)
    assert set(contents(memory)) == {"/m.h5", "/d/model.safetensors", "/d/notes.txt"}
    assert initlib.verify("memory://d").same
    assert initlib.verify("memory://m.h5").same


def test_companions(memory, manifest, tmp_path):
    for name in ("config.json", "tokenizer.model", "other.bin"):
        memory.pipe_file(f"/old/{name}", name.encode())
    initlib.generate(manifest, "memory://new", copy_from="memory://old", **SHARDS)
    initlib.generate(manifest, tmp_path / "new", copy_from="memory://old", **SHARDS)
    copied = {name: data for name, data in contents(memory).items() if name.startswith("/new")}
    assert copied == {f"/new{name}": data for name, data in local(tmp_path / "new").items()}
    assert {"/new/config.json", "/new/tokenizer.model"} < set(copied)
    with pytest.raises(initlib.RequestError, match=r"^memory://none: there is no such folder"):
        initlib.generate(manifest, "memory://x", copy_from="memory://none")
    again = initlib.generate(
        manifest, "memory://new", copy_from="memory://old", resume=True, **SHARDS
    )
    assert again.kept == again.files


def test_resume(memory, manifest, monkeypatch):
    """A run that fails keeps what it has finished, and the next goes on from there."""
    from initlib._remote import _uploading

    commits = []
    commit = _uploading.MovedUpload._commit

    def failing(self):
        if len(commits) == 1:
            raise OSError("the cable was pulled")
        commits.append(self.address.name)
        commit(self)

    monkeypatch.setattr(_uploading.MovedUpload, "_commit", failing)
    with pytest.raises(initlib.StorageError, match="cannot write: the cable was pulled") as caught:
        initlib.generate(manifest, "memory://d", resume=True, **SHARDS)
    assert caught.value.__notes__ == ["1 of 3 shards are there, and --resume goes on from there"]
    assert set(contents(memory)) == {f"/d/{commits[0]}"}
    monkeypatch.setattr(_uploading.MovedUpload, "_commit", commit)
    done = initlib.generate(manifest, "memory://d", resume=True, **SHARDS)
    assert done.kept == (commits[0],)
    assert initlib.verify("memory://d").same
    done = initlib.generate(manifest, "memory://d", resume=True, **SHARDS)
    assert done.kept == done.files
    # Damage is found, and made good.
    name = f"/d/{done.files[1]}"
    data = memory.cat_file(name)
    memory.pipe_file(name, data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(initlib.RequestError, match="exists; --force"):
        initlib.generate(manifest, "memory://d", resume=True, **SHARDS)
    initlib.generate(manifest, "memory://d", resume=True, force=True, **SHARDS)
    assert memory.cat_file(name) == data


def test_the_old_stays_until_all_of_the_new_is_whole(memory, manifest, monkeypatch):
    initlib.generate({"layers": LAYERS[:3]}, "memory://d", max_shard_size=300_000)
    before = contents(memory)

    def commit():
        """What is there before the first file takes its name, but for hidden ones."""
        there = contents(memory)
        assert before.items() <= there.items()
        assert all("/.initgen-" in name for name in there.keys() - before)
        raise KeyboardInterrupt

    for resume in (False, True):
        with pytest.raises(KeyboardInterrupt):
            initlib.generate(
                manifest, "memory://d", force=True, resume=resume, commit=commit, **SHARDS
            )
        assert contents(memory) == before
    order = []
    for name in ("cp_file", "rm_file", "pipe_file"):
        method = getattr(type(memory), name)

        def noted(self, path, *args, method=method, name=name, **options):
            order.append((name, (args[0] if name == "cp_file" else path).rpartition("/")[2]))
            return method(self, path, *args, **options)

        monkeypatch.setattr(type(memory), name, noted)
    done = initlib.generate(manifest, "memory://d", force=True, **SHARDS)
    order = [step for step in order if not step[1].startswith(".initgen-")]
    assert order[0] == ("rm_file", INDEX)
    assert order[1 : len(done.files) + 1] == [("cp_file", name) for name in done.files]
    assert order[-1] == ("pipe_file", INDEX)
    assert {step for step, _ in order[len(done.files) + 1 : -1]} == {"rm_file"}


def test_abandon_takes_back_what_is_under_way(memory, manifest):
    def commit():
        assert len(contents(memory)) == 1
        initlib.abandon()
        assert contents(memory) == {}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        initlib.generate(manifest, "memory://m.h5", commit=commit)
    assert contents(memory) == {}


def test_progress_goes_up_to_the_whole(memory, manifest):
    seen = []
    done = initlib.generate(manifest, "memory://m.h5", progress=lambda *told: seen.append(told))
    assert seen == sorted(seen)
    assert seen[-1] == (done.nbytes, done.nbytes)
    assert fsspec.filesystem("memory") is memory
