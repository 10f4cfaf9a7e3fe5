"""initlib._output: what takes its name, on what terms, and what is taken back."""

import errno
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

import initlib
from initlib import RequestError, StorageError, TextFile
from initlib._output import _file, _storage, _target

LAYERS = [{"name": f"t{i}", "shape": [100], "initializer": "ones"} for i in range(3)]
SHARDS = [f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)]


def generate(folder, seed=1, **options):
    manifest = {"seed": seed, "layers": LAYERS, "metadata": {"seed": str(seed)}}
    return initlib.generate(manifest, folder, max_shard_size=400, **options)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_text_is_written_in_utf_8(tmp_path):
    path = tmp_path / "a.html"
    TextFile(path).write("é\n\udc80")
    assert contents(tmp_path) == {"a.html": b"\xc3\xa9\n?"}
    with pytest.raises(RequestError, match=rf"^{path} exists; --force \(in Python force=True\)"):
        TextFile(path)
    TextFile(path, force=True).write("new")
    assert contents(tmp_path) == {"a.html": b"new"}


def test_a_text_replaces_a_link_and_not_what_it_leads_to(tmp_path):
    (tmp_path / "far").write_text("far")
    (tmp_path / "link").symlink_to("far")
    TextFile(tmp_path / "link", force=True).write("new")
    assert contents(tmp_path) == {"far": b"far", "link": b"new"}
    assert not (tmp_path / "link").is_symlink()


def test_texts_that_are_refused(tmp_path):
    with pytest.raises(RequestError) as error:
        TextFile(tmp_path)
    assert str(error.value) == f"{tmp_path}: expected a file's name, received a folder's"
    kept = tmp_path / "kept"
    kept.write_text("kept")
    with pytest.raises(RequestError) as error:
        TextFile(kept, force=True, keep=kept)
    assert str(error.value) == f"{kept}: the output would replace {kept}"
    long = tmp_path / ("a" * 300)
    with pytest.raises(StorageError, match=f"^{long}: File name too long; choose a shorter one$"):
        TextFile(long)
    TextFile(tmp_path / "other", keep=kept).write("other")
    TextFile(kept, force=True, keep=tmp_path / "nowhere").write("new")
    assert contents(tmp_path) == {"kept": b"new", "other": b"other"}


def test_a_text_that_appears_meanwhile_stays(tmp_path):
    path = tmp_path / "a.html"
    file = TextFile(path)
    path.write_text("another's")
    with pytest.raises(RequestError, match=f"^{path} exists"):
        file.write("ours")
    assert contents(tmp_path) == {"a.html": b"another's"}


@pytest.mark.parametrize(
    "write",
    [
        lambda path: TextFile(path).write("new"),
        lambda path: initlib.generate({"layers": LAYERS}, path),
    ],
    ids=["text", "weights"],
)
def test_a_folder_that_is_not_synced_is_told(tmp_path, monkeypatch, write):
    def fails(path):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(_file, "sync", fails)
    path = tmp_path / "new.h5"
    with pytest.raises(StorageError, match=f"^{path}: ") as error:
        write(path)
    (note,) = error.value.__notes__
    assert note == "the new file has its name, but may be lost if the power fails"
    assert list(contents(tmp_path)) == ["new.h5"]


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("step", range(4))
def test_all_files_take_their_names_or_none(tmp_path, monkeypatch, step, links):
    """The step-th file cannot take its name: those before it give theirs back."""
    folder = tmp_path / "m"
    generate(folder)
    (folder / SHARDS[1]).rename(tmp_path / "far")
    (folder / SHARDS[1]).symlink_to(tmp_path / "far")
    before, replace, taken = contents(folder), Path.replace, []

    def fails(self, target):
        if not target.name.startswith("."):
            # What has a name keeps it until the new file takes it, where a file may have two.
            if links and len(taken) < step:
                assert target.exists() or target.suffix == ".json"
            taken.append(target.name)
            if len(taken) == step + 1:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        return replace(self, target)

    def no_links(*args, **options):
        raise PermissionError

    monkeypatch.setattr(Path, "replace", fails)
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(StorageError, match=f"^{folder}: Input/output error"):
        generate(folder, seed=2, force=True)
    assert contents(folder) == before
    assert taken[: step + 1] == [*SHARDS, "model.safetensors.index.json"][: step + 1]
    assert (folder / SHARDS[1]).readlink() == tmp_path / "far"
    monkeypatch.setattr(Path, "replace", replace)
    generate(folder, seed=2, force=True)
    generate(tmp_path / "other", seed=2)
    assert contents(folder) == contents(tmp_path / "other")


def test_a_folder_in_the_place_of_a_shard(tmp_path):
    place = tmp_path / "model.safetensors"
    place.mkdir()
    with pytest.raises(RequestError) as error:
        generate(tmp_path, force=True)
    assert str(error.value) == f"{place}: expected a file, but it is a folder"


def test_the_disk_that_is_asked_is_that_of_the_output(tmp_path, monkeypatch):
    asked = []

    def usage(folder):
        asked.append(folder)
        return SimpleNamespace(total=100, free=0)

    monkeypatch.setattr(_storage.shutil, "disk_usage", usage)
    for folder, expected in ((tmp_path, tmp_path), (tmp_path / "m" / "new", tmp_path / "m")):
        (tmp_path / "m").mkdir(exist_ok=True)
        with pytest.raises(StorageError, match=rf"^{folder}: .* needed, .* disk of {folder}"):
            generate(folder)
        assert asked.pop() in (folder, expected)

    def fails(folder):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(_storage.shutil, "disk_usage", fails)
    with pytest.raises(StorageError) as error:
        generate(tmp_path)
    assert str(error.value) == f"{tmp_path}: Permission denied"


@pytest.mark.parametrize("name", [SHARDS[1], "model.safetensors"])
def test_weights_of_a_folder_share_its_claim(tmp_path, name):
    path = tmp_path / name
    with _target.folder_at(tmp_path, None).claim().held():
        with pytest.raises(StorageError) as error:
            initlib.generate({"layers": LAYERS}, path)
        initlib.generate({"layers": LAYERS}, tmp_path / "other.safetensors")
    assert str(error.value) == f"{path}: another run of initgen is writing it"
    assert list(contents(tmp_path)) == ["other.safetensors"]


def test_modes_are_the_umask_s(tmp_path):
    old = os.umask(0o026)
    try:
        with _target.folder_at(tmp_path, None).claim().held():
            (lock,) = tmp_path.iterdir()
            assert lock.stat().st_mode & 0o777 == 0o640
        generate(tmp_path)
        TextFile(tmp_path / "text").write("new")
    finally:
        os.umask(old)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o640}


def test_a_companion_is_compared_byte_for_byte(tmp_path, monkeypatch):
    for name, text in (("source", '{"a": 1}'), ("m", '{"a": 2}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(text)
        os.utime(tmp_path / name / "config.json", (1, 1))
    with pytest.raises(RequestError, match=r"config\.json exists; --force"):
        generate(tmp_path / "m", resume=True, copy_from=tmp_path / "source")
    (tmp_path / "m" / "config.json").write_text('{"a": 1}')
    generate(tmp_path / "m", resume=True, copy_from=tmp_path / "source")
    # Weights into the very folder that the files come from: there is nothing to copy.
    inode = (tmp_path / "source" / "config.json").stat().st_ino
    generate(tmp_path / "source", copy_from=tmp_path / "source")
    assert (tmp_path / "source" / "config.json").stat().st_ino == inode
    read = Path.read_bytes
    for folder, named in (("m", "m"), ("source", "source/config.json")):

        def fails(self, folder=folder):
            if self == tmp_path / folder / "config.json":
                raise OSError(errno.EACCES, os.strerror(errno.EACCES))
            return read(self)

        monkeypatch.setattr(Path, "read_bytes", fails)
        with pytest.raises(StorageError) as error:
            generate(tmp_path / "m", resume=True, copy_from=tmp_path / "source")
        assert str(error.value) == f"{tmp_path / named}: Permission denied"


def test_a_folder_that_is_not_there(tmp_path):
    path = tmp_path / "nowhere" / "m.h5"
    with pytest.raises(RequestError) as error:
        initlib.generate({"layers": LAYERS}, path)
    assert str(error.value) == f"{path}: there is no folder {path.parent}"


@pytest.mark.parametrize("name", ["m.h5", "m/", "text"])
def test_no_current_folder(tmp_path, monkeypatch, name):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    (tmp_path / "m.json").write_text(json.dumps({"layers": LAYERS}))
    with pytest.raises(StorageError) as error:
        TextFile(name) if name == "text" else initlib.generate(tmp_path / "m.json", name)
    assert str(error.value) == f"{name.rstrip('/')}: No such file or directory"


def test_folders_that_can_t_be_looked_into(tmp_path, monkeypatch):
    path = tmp_path / ("a" * 300) / "m.h5"
    with pytest.raises(StorageError) as error:
        initlib.generate({"layers": LAYERS}, path)
    assert str(error.value) == f"{path}: File name too long; choose a shorter one"

    def fails(path):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "listdir", fails)
    with pytest.raises(StorageError) as error:
        generate(tmp_path)
    assert str(error.value) == f"{tmp_path}: Permission denied"


def test_a_temporary_file_that_goes_meanwhile(tmp_path):
    def remove(done, total):
        for path in tmp_path.glob(".*.tmp"):
            path.unlink()

    path = tmp_path / "m.h5"
    with pytest.raises(StorageError) as error:
        initlib.generate({"layers": LAYERS}, path, progress=remove)
    problem = "another program removed, moved or replaced the temporary file or its folder"
    assert str(error.value) == f"{path}: {problem}"
    assert contents(tmp_path) == {}


def test_companions_go_beside_shards_and_their_index(tmp_path):
    (tmp_path / "source").mkdir()
    texts = {name: name.encode() for name in ("a.json", "b.json", "c.txt")}
    for name, text in texts.items():
        (tmp_path / "source" / name).write_bytes(text)
    generate(tmp_path / "m", copy_from=tmp_path / "source")
    generate(tmp_path / "other")
    assert contents(tmp_path / "m") == {**contents(tmp_path / "other"), **texts}
