"""What `--resume` keeps, and what it makes again."""

import json
import os
import re
import signal
from pathlib import Path

import pytest
from crashes import contents, hidden
from five_shards import LAYERS, MANIFEST, NAMES, SIZE, StopError, hidden_name, made_at_once

import initlib
from initlib import _verify


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "m"


@pytest.fixture
def whole(tmp_path):
    return made_at_once(tmp_path / "whole")


def generate(folder, stop=None, manifest=MANIFEST, **options):
    """Run, and stop as soon as so many shards are whole; return the result or the error."""

    def progress(done, total):
        if stop is not None and done > stop * total / 5:
            raise StopError

    options = {"max_shard_size": SIZE, "progress": progress, "threads": 1, **options}
    try:
        return initlib.generate(manifest, folder, **options)
    except StopError as error:
        return error


def kept_names(folder):
    return {name for name in contents(folder) if hidden(name)}


@pytest.mark.parametrize("stop", range(5))
def test_it_goes_on_from_what_is_finished(folder, whole, stop):
    error = generate(folder, stop, resume=True)
    if stop == 0:
        assert not folder.exists()
        assert not hasattr(error, "__notes__")
    else:
        assert kept_names(folder) == {hidden_name(i + 1) for i in range(stop)}
        assert error.__notes__ == [f"{stop} of 5 shards are kept, and --resume goes on from there"]
    before = {path: path.stat().st_ino for path in folder.glob(".*")}
    done = generate(folder, resume=True)
    assert done.kept == tuple(NAMES[:stop])
    assert contents(folder) == whole
    # They are the same files, not copies.
    assert {path.stat().st_ino for path in folder.iterdir()} >= set(before.values())


def test_two_shards_are_enough_to_go_on_from(folder):
    generate(folder, 3, resume=True, max_shard_size=3 * SIZE)
    assert len(kept_names(folder)) == 1
    done = generate(folder, resume=True, max_shard_size=3 * SIZE)
    assert (len(done.files), len(done.kept)) == (2, 1)


def test_without_it_nothing_is_left_and_nothing_kept(folder, whole):
    generate(folder, 3)
    assert not folder.exists()
    generate(folder, 3, resume=True)
    assert len(kept_names(folder)) == 3
    generate(folder, 1)
    assert not kept_names(folder)
    generate(folder, 3, resume=True)
    done = generate(folder)
    assert done.kept == ()
    assert contents(folder) == whole


def test_it_may_be_stopped_again_and_again(folder, whole):
    for stop in (1, 2, 2, 4):
        generate(folder, stop, resume=True)
        assert len(kept_names(folder)) == stop
    assert len(generate(folder, resume=True).kept) == 4
    assert contents(folder) == whole


@pytest.mark.parametrize("at", [8, 100, 4200, -1])
def test_a_damaged_shard_is_made_again(folder, whole, at):
    generate(folder, 3, resume=True)
    path = folder / hidden_name(2)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    assert generate(folder, resume=True).kept == (NAMES[0], NAMES[2])
    assert contents(folder) == whole


@pytest.mark.parametrize("cut", [0, 7, 3000, -1])
def test_a_shard_that_was_cut_short_is_made_again(folder, whole, cut):
    generate(folder, 3, resume=True)
    path = folder / hidden_name(3)
    path.write_bytes(path.read_bytes()[:cut])
    assert generate(folder, resume=True).kept == tuple(NAMES[:2])
    assert contents(folder) == whole


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 2},
        {"dtype": "float64"},
        {"only": ["t/[1-9]"]},
        {"max_shard_size": 4050},
        {"manifest": {**MANIFEST, "metadata": {"author": "me"}}},
        {"manifest": {"seed": 1, "layers": [{**layer, "shape": [1000]} for layer in LAYERS]}},
        {"manifest": {"seed": 1, "layers": [{**each, "initializer": "ones"} for each in LAYERS]}},
        {"manifest": {"seed": 1, "layers": LAYERS[::-1]}},
    ],
    ids=str,
)
def test_shards_of_another_plan_are_made_again(tmp_path, folder, other):
    generate(folder, 3, resume=True)
    assert generate(folder, resume=True, **other).kept == ()
    generate(tmp_path / "other", **other)
    assert contents(folder) == contents(tmp_path / "other")


def test_shards_of_another_version_are_made_again(folder, whole, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("initlib._provenance.__version__", "0.0.9")
        generate(folder, 3, resume=True)
    assert generate(folder, resume=True).kept == ()
    assert contents(folder) == whole


def test_shards_of_other_code_are_made_again(tmp_path, folder):
    layers = [{**layer, "initializer": "c.py:f"} for layer in LAYERS[:2]] + LAYERS[2:]
    (tmp_path / "m.json").write_text(json.dumps({"layers": layers}))
    code = "import numpy as np\ndef f(shape, dtype=None): return np.full(shape, {}, dtype)\n"
    for name, value in (("c.py", 1), ("d.py", 2)):
        (tmp_path / name).write_text(code.format(value))
    generate(folder, 3, tmp_path / "m.json", resume=True, allow_code=True)
    done = generate(folder, 4, tmp_path / "m.json", resume=True, allow_code=True)
    assert done.__notes__ == ["4 of 5 shards are kept, and --resume goes on from there"]
    # A module is imported once in a process, so that the hash alone can differ here.
    (tmp_path / "c.py").write_text(code.format(2))
    done = generate(folder, None, tmp_path / "m.json", resume=True, allow_code=True)
    assert done.kept == tuple(NAMES[1:4])


def test_tensors_of_other_files_are_read_again(tmp_path, folder):
    """The files may have changed."""
    source = tmp_path / "source.safetensors"
    initlib.generate(MANIFEST, source)
    layers = [*LAYERS[:2], {**LAYERS[2], "initializer": f'from_file("{source}")'}, *LAYERS[3:]]
    generate(folder, 4, {"seed": 1, "layers": layers}, resume=True)
    initlib.generate(MANIFEST, source, seed=9, force=True)
    done = generate(folder, None, {"seed": 1, "layers": layers}, resume=True)
    assert done.kept == (NAMES[0], NAMES[2], NAMES[3])
    assert initlib.verify(folder).same


def test_a_checkpoint_that_is_there_is_verified_and_kept(folder, whole):
    generate(folder)
    before = {path: path.stat().st_ino for path in folder.iterdir()}
    done = generate(folder, resume=True)
    assert done.kept == tuple(NAMES)
    assert [tensor.digest for tensor in done.tensors] == [
        t.digest for t in generate(folder, force=True).tensors
    ]
    assert before.keys() == {*folder.iterdir()}
    inodes = {path: path.stat().st_ino for path in folder.iterdir()}
    generate(folder, resume=True, force=True)
    assert inodes == {path: path.stat().st_ino for path in folder.iterdir()}
    assert contents(folder) == whole


@pytest.mark.parametrize("lost", [*NAMES[1:3], "model.safetensors.index.json"])
def test_what_a_checkpoint_has_lost_is_made_again(folder, whole, lost):
    generate(folder)
    (folder / lost).unlink()
    done = generate(folder, resume=True)
    assert done.kept == tuple(name for name in NAMES if name != lost)
    assert contents(folder) == whole


@pytest.mark.parametrize("lost", [*NAMES[1:3], "model.safetensors.index.json"])
def test_what_isn_t_ours_is_replaced_only_by_force(folder, whole, lost):
    generate(folder)
    (folder / lost).write_text("mine")
    with pytest.raises(initlib.RequestError, match=f"{lost} exists; --force"):
        generate(folder, resume=True)
    assert (folder / lost).read_text() == "mine"
    generate(folder, resume=True, force=True)
    assert contents(folder) == whole


def test_weights_that_loaders_would_prefer_go_only_by_force(folder, whole):
    generate(folder)
    (folder / "model.safetensors").write_text("mine")
    with pytest.raises(initlib.RequestError, match=r"model\.safetensors exists"):
        generate(folder, resume=True)
    generate(folder, resume=True, force=True)
    assert contents(folder) == whole


def test_an_old_checkpoint_stays_until_the_new_one_is_whole(folder, whole):
    generate(folder, seed=7)
    old = contents(folder)
    generate(folder, 3, resume=True, force=True)
    assert old == {name: data for name, data in contents(folder).items() if not hidden(name)}
    with pytest.raises(initlib.RequestError, match="exists"):
        generate(folder, resume=True)
    assert len(kept_names(folder)) == 3
    assert len(generate(folder, resume=True, force=True).kept) == 3
    assert contents(folder) == whole


def test_companions_come_along(tmp_path, folder, whole):
    (tmp_path / "source").mkdir()
    (tmp_path / "source/config.json").write_text("{}")
    options = {"resume": True, "copy_from": tmp_path / "source"}
    generate(folder, 3, **options)
    assert len(kept_names(folder)) == 3
    assert generate(folder, **options).kept == tuple(NAMES[:3])
    assert contents(folder) == {**whole, "config.json": b"{}"}
    assert generate(folder, **options).kept == tuple(NAMES)
    (tmp_path / "source/config.json").write_text("[]")
    with pytest.raises(initlib.RequestError, match=r"config\.json exists"):
        generate(folder, **options)
    generate(folder, force=True, **options)
    assert contents(folder) == {**whole, "config.json": b"[]"}


@pytest.mark.parametrize("suffix", ["h5", "safetensors"])
def test_a_single_file(tmp_path, suffix):
    """Nothing is kept of a part; the whole is."""
    path, options = tmp_path / f"m.{suffix}", {"max_shard_size": None, "resume": True}
    error = generate(path, 2, **options)
    assert isinstance(error, StopError)
    assert not hasattr(error, "__notes__")
    assert not any(tmp_path.iterdir())
    assert generate(path, **options).kept == ()
    before = path.stat().st_ino, path.read_bytes()
    done = generate(path, **options)
    assert (done.kept, done.files) == ((path.name,), ())
    assert (path.stat().st_ino, path.read_bytes()) == before
    data = bytearray(before[1])
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(initlib.RequestError, match="exists; --force"):
        generate(path, **options)
    generate(path, force=True, **options)
    assert path.read_bytes() == before[1]


def test_nobody_looks_into_what_is_left_of_a_single_file(tmp_path):
    """It may be anything, and HDF5 doesn't return from each."""
    hidden_file = tmp_path / ".initgen-m.h5-1.tmp"
    os.mkfifo(hidden_file)
    generate(tmp_path / "m.h5", max_shard_size=None, resume=True)
    assert [each.name for each in tmp_path.iterdir()] == ["m.h5"]


@pytest.mark.parametrize("output", ["m", "m.h5"])
def test_commit_comes_when_all_is_whole_and_can_prevent_it(tmp_path, output):
    path, seen = tmp_path / output, []
    sizes = {"max_shard_size": SIZE if output == "m" else None}

    def refuse():
        seen.append({Path(name).suffix for name in contents(tmp_path)})
        raise StopError

    assert isinstance(generate(path, commit=refuse, **sizes), StopError)
    assert seen == [{".tmp", ".lock"}]
    assert not any(tmp_path.iterdir())
    generate(path, commit=lambda: seen.append("again"), **sizes)
    assert seen[1:] == ["again"]
    assert initlib.verify(path, quick=True).same


def test_space_is_asked_for_what_is_left_alone(folder, monkeypatch):
    generate(folder, 3, resume=True)
    asked = []
    monkeypatch.setattr("initlib._output._folder.check_space", lambda *args: asked.append(args[2]))
    done = generate(folder, resume=True)
    values = sum(tensor.nbytes for tensor in done.tensors[6:])
    # Headers besides.
    assert values < asked[0] < 2 * values


def test_progress_counts_what_is_kept(folder):
    generate(folder, 3, resume=True)
    told = []
    done = generate(folder, resume=True, progress=lambda *args: told.append(args))
    assert told[0][0] == sum(tensor.nbytes for tensor in done.tensors[:6])
    assert told[-1] == (done.nbytes, done.nbytes)


def test_a_shard_that_can_t_be_read_stops_it_and_stays(folder, monkeypatch):
    generate(folder, 3, resume=True)

    def fail(path, *args, **kwargs):
        raise initlib.StorageError(f"{path}: cannot read: Input/output error")

    monkeypatch.setattr(_verify, "whole_digests", fail)
    with pytest.raises(
        initlib.StorageError, match=r"00001-of-00005\.safetensors: cannot read: Input"
    ) as caught:
        generate(folder, resume=True)
    assert not hasattr(caught.value, "__notes__")
    assert len(kept_names(folder)) == 3


@pytest.mark.parametrize("number", range(6))
def test_publishing_that_fails_can_be_gone_on_with(folder, whole, monkeypatch, number):
    """As on a disk that fails: what has lost its place is not lost."""
    generate(folder, seed=7)
    old, replace, done = contents(folder), type(folder).replace, []

    def failing(self, target):
        if ".new." in self.name:
            return replace(self, target)
        if len(done) == number:
            raise OSError(5, "Input/output error")
        done.append(target)
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(type(folder), "replace", failing)
        with pytest.raises(initlib.StorageError, match="m: Input/output error") as caught:
            generate(folder, force=True)
    note = "the new files are whole, and --resume lets the rest of them take their names"
    assert caught.value.__notes__ == [note]
    assert (folder / "model.safetensors.index.json").exists() is False
    with pytest.raises(initlib.RequestError, match="exists"):
        generate(folder)
    assert generate(folder, resume=True, force=True).kept == tuple(NAMES)
    assert contents(folder) == whole
    assert old != whole


@pytest.mark.parametrize("stopped", ["m", "m.h5"])
def test_publishing_isn_t_interrupted(tmp_path, monkeypatch, stopped):
    """In Python, too: KeyboardInterrupt comes afterwards."""
    path, replace = tmp_path / stopped, type(tmp_path).replace
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    sizes = {"max_shard_size": SIZE if stopped == "m" else None}

    def interrupted(self, target):
        if ".new." in self.name:
            return replace(self, target)
        signal.raise_signal(signal.SIGINT)
        monkeypatch.undo()
        return replace(self, target)

    monkeypatch.setattr(type(tmp_path), "replace", interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            initlib.generate(MANIFEST, path, **sizes)
    finally:
        signal.signal(signal.SIGINT, before)
    assert initlib.generate(MANIFEST, path, resume=True, **sizes).kept
    assert not kept_names(tmp_path)


def test_publishing_that_never_began_leaves_nothing(folder, monkeypatch):
    generate(folder, seed=7)
    old = contents(folder)

    def failing(path, *_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(initlib.StorageError, match="m: Permission denied") as caught:
        generate(folder, force=True)
    assert not hasattr(caught.value, "__notes__")
    assert contents(folder) == old


def test_the_command_tells(initgen, tmp_path, monkeypatch):
    (tmp_path / "m.json").write_text(json.dumps(MANIFEST))
    monkeypatch.chdir(tmp_path)
    generate("m", 2, resume=True)
    argv = ["generate", "m.json", "-o", "m/", "--max-shard-size", SIZE, "--resume"]
    run = initgen(*argv)
    assert (run.returncode, run.stderr) == (0, "")
    assert ", in 5 files, 2 of them kept in " in run.stdout
    assert json.loads(initgen(*argv, "--json").stdout)["kept"] == NAMES
    run = initgen("generate", "m.json", "-o", "m/model.safetensors", "--resume")
    assert run.returncode == 0
    run = initgen("generate", "m.json", "-o", "m/model.safetensors", "--resume")
    # Nothing was written, so there is no speed.
    assert re.search(r", kept in \d+\.\d\d s\n$", run.stdout)
