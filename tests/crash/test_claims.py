"""Two runs on one target: the second is refused; what a killed one left is known and removed."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from crashes import hidden

import initlib
from initlib._output import Claim

MANIFEST = {
    "layers": [{"name": f"t{i}", "shape": [1000], "initializer": "random_normal"} for i in range(4)]
}
SLOW = """
import pathlib, time, numpy as np
def slow(shape, dtype=None):
    open('started', 'w').close()
    while not pathlib.Path('go').exists():
        time.sleep(0.01)
    return np.zeros(shape, dtype)
"""


@pytest.fixture
def another(tmp_path):
    """Start a run that waits until there is a file `go`."""
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "m.yaml").write_text("layers: [{name: w, shape: [3], initializer: 'slow.py:slow'}]")
    started = []

    def start(*argv):
        command = [sys.executable, "-m", "initgen", "generate", "m.yaml", "--allow-code", "-q"]
        process = subprocess.Popen([*command, *argv], cwd=tmp_path)
        started.append(process)
        while not (tmp_path / "started").exists():
            time.sleep(0.01)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix not in {".py", ".yaml"})


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("x.h5", "x.h5"),
        ("x.h5", "sub/../x.h5"),
        ("x.h5", "link.h5"),
        ("link.h5", "x.h5"),
        ("x.h5", "folder_link/x.h5"),
        ("m/", "m/"),
        ("m/", "m_link/"),
        ("m/", "m/model.safetensors"),
        ("m/model.safetensors", "m/"),
    ],
)
def test_the_second_run_is_refused(another, tmp_path, monkeypatch, first, second):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "m").mkdir()
    (tmp_path / "m_link").symlink_to("m")
    (tmp_path / "link.h5").symlink_to("x.h5")
    (tmp_path / "folder_link").symlink_to(".")
    process = another("-o", first, "--force")
    shown = second.removesuffix("/")
    for resume in (False, True):
        with pytest.raises(initlib.StorageError) as caught:
            initlib.generate(MANIFEST, second, force=True, resume=resume)
        assert str(caught.value) == f"{shown}: another run of initgen is writing it"
    (tmp_path / "go").touch()
    assert process.wait() == 0
    assert [tensor.name for tensor in initlib.verify(first, quick=True).tensors] == ["w"]
    assert not [path for path in tmp_path.rglob("*") if hidden(path)]


def test_the_command_says_so_in_one_line(initgen, another, tmp_path):
    another("-o", "x.h5")
    (tmp_path / "n.yaml").write_text("layers: [{name: w, shape: [3], initializer: ones}]")
    run = initgen("generate", "n.yaml", "-o", "x.h5")
    line = "initgen: x.h5: another run of initgen is writing it\n"
    assert (run.returncode, run.stdout, run.stderr) == (3, "", line)


def test_neighbours_are_no_targets(another, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Of two names for one file, each is a target: a new file takes one of them only.
    (tmp_path / "x.h5").touch()
    (tmp_path / "hard.h5").hardlink_to(tmp_path / "x.h5")
    process = another("-o", "x.h5", "--force")
    for output in ("y.h5", "x.safetensors", "x.h5.h5", "hard.h5", "x/", "./"):
        initlib.generate(MANIFEST, output, force=True)
    (tmp_path / "go").touch()
    assert process.wait() == 0
    for output in ("x.h5", "y.h5", "x.safetensors", "x.h5.h5", "hard.h5", "x"):
        count = 1 if output == "x.h5" else 4
        assert len(initlib.verify(output, quick=True).tensors) == count
    assert not [path for path in tmp_path.rglob("*") if hidden(path)]


def test_threads_of_one_process(tmp_path):
    inside, go = threading.Event(), threading.Event()

    def wait(done, total):
        inside.set()
        go.wait(30)

    path = tmp_path / "x.h5"
    thread = threading.Thread(
        target=initlib.generate, args=(MANIFEST, path), kwargs={"progress": wait}
    )
    thread.start()
    assert inside.wait(30)
    with pytest.raises(initlib.StorageError, match=r"x\.h5: another run of initgen is writing it"):
        initlib.generate(MANIFEST, path)
    go.set()
    thread.join()
    assert names(tmp_path) == ["x.h5"]


@pytest.mark.parametrize("output", ["x.h5", "m/"])
def test_what_a_killed_run_left_goes_with_the_next(another, tmp_path, output):
    process = another("-o", output)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if hidden(path)}
    stem = ".initgen-x.h5" if output == "x.h5" else "m/.initgen-model.safetensors"
    assert left == {f"{stem}.lock", f"{stem}-1.new.tmp"}
    # Another target's, and what only looks alike, stay.
    others = [".initgen-y.h5-1.tmp", ".initgen-x.h5-1-1.tmp", ".initgen-x.h5-1.tmp.txt", "x.tmp"]
    for name in others:
        (tmp_path / name).touch()
    initlib.generate(MANIFEST, f"{tmp_path}/{output}")
    assert {p.name for p in tmp_path.rglob("*") if hidden(p)} == set(others[:3])


def test_a_refused_run_changes_nothing(tmp_path):
    path = tmp_path / "x.h5"
    path.write_text("precious")
    (tmp_path / ".initgen-x.h5-1.tmp").write_text("left")
    for resume in (False, True):
        with pytest.raises(initlib.RequestError, match="exists"):
            initlib.generate(MANIFEST, path, resume=resume)
    assert names(tmp_path) == [".initgen-x.h5-1.tmp", "x.h5"]


def test_long_names_have_locks_too(tmp_path):
    path = tmp_path / ("a" * 252 + ".h5")

    def look(done, total):
        lock, new = sorted(names(tmp_path), key=len)
        assert lock.endswith(".lock")
        assert new.endswith("-1.new.tmp")

    initlib.generate(MANIFEST, path, progress=look)
    assert names(tmp_path) == [path.name]


def test_a_lock_that_is_removed_meanwhile(tmp_path):
    """Another run may have begun: its files, which have the same names, aren't ours."""

    def remove(done, total):
        (tmp_path / ".initgen-x.h5.lock").unlink(missing_ok=True)

    with pytest.raises(initlib.StorageError, match=r"x\.h5: .*\.lock was removed while"):
        initlib.generate(MANIFEST, tmp_path / "x.h5", progress=remove)
    assert not (tmp_path / "x.h5").exists()


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_file_system_without_locks(tmp_path, monkeypatch, code):
    def refuse(fd, operation):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    path = tmp_path / "x.h5"
    lock = tmp_path / ".initgen-x.h5.lock"

    def second(done, total):
        with pytest.raises(initlib.StorageError, match="another run is writing it, or was killed"):
            initlib.generate(MANIFEST, path)

    initlib.generate(MANIFEST, path, progress=second)
    assert names(tmp_path) == ["x.h5"]
    lock.touch()
    with pytest.raises(initlib.StorageError) as caught:
        initlib.generate(MANIFEST, path, force=True)
    assert str(caught.value).endswith(f"if none is, delete {lock}")
    lock.unlink()
    initlib.generate(MANIFEST, path, force=True)


def test_whoever_waits_at_the_door_gets_a_new_lock(tmp_path, monkeypatch):
    """The lock that was opened may be removed by its holder before it is locked."""
    holder, opened = Claim(tmp_path / "x", tmp_path, "x"), []
    stack = holder.held()
    stack.__enter__()
    flock = fcntl.flock

    def late(fd, operation):
        if not opened:
            opened.append(fd)
            stack.__exit__(None, None, None)
            assert not holder.lock.exists()
        flock(fd, operation)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", late)
        second = Claim(tmp_path / "x", tmp_path, "x")
        with second.held():
            second.check()
            assert second.lock.exists()
            with pytest.raises(initlib.StorageError, match="another run"), holder.held():
                pass
    assert opened
    assert names(tmp_path) == []


def test_a_folder_that_vanishes_is_made_again(tmp_path, monkeypatch):
    """Another run has made it, has failed, and takes it away before the lock is in it."""
    mkdir, made = type(tmp_path).mkdir, []

    def vanishing(self, *args, **kwargs):
        mkdir(self, *args, **kwargs)
        made.append(self)
        if len(made) == 1:
            self.rmdir()

    monkeypatch.setattr(type(tmp_path), "mkdir", vanishing)
    initlib.generate(MANIFEST, tmp_path / "m", max_shard_size=5000)
    assert made == [tmp_path / "m"] * 2
    assert initlib.verify(tmp_path / "m").same


def test_a_lock_of_somebody_else_s_is_no_obstacle(tmp_path, monkeypatch):
    """A killed run of another user's leaves one that may be read alone."""
    (tmp_path / ".initgen-x.h5.lock").touch()
    open_file = os.open

    def open_unless_for_writing(path, flags, *args):
        if str(path).endswith(".lock") and flags & os.O_RDWR and not flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return open_file(path, flags, *args)

    monkeypatch.setattr(os, "open", open_unless_for_writing)
    initlib.generate(MANIFEST, tmp_path / "x.h5")
    assert names(tmp_path) == ["x.h5"]


def test_abandon_removes_what_is_under_way(tmp_path):
    seen = []

    def look(done, total):
        seen.append(names(tmp_path))
        initlib.abandon()
        seen.append(names(tmp_path))

    with pytest.raises(initlib.StorageError):
        initlib.generate(MANIFEST, tmp_path / "x.h5", progress=look)
    assert seen == [[".initgen-x.h5-1.new.tmp", ".initgen-x.h5.lock"], []]
    initlib.abandon()


def test_the_folder_around_it_goes_meanwhile(tmp_path, monkeypatch):
    """Between the look at what is there and the first file."""
    around = tmp_path / "a"
    around.mkdir()
    monkeypatch.setattr(Claim, "held", lambda claim, held=Claim.held: around.rmdir() or held(claim))
    with pytest.raises(initlib.StorageError) as error:
        initlib.generate({"layers": []}, f"{around}/m/")
    assert str(error.value) == f"{around}/m: No such file or directory"
    assert list(tmp_path.iterdir()) == []
