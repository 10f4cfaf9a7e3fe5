"""Disks that are full, too small, read-only or gone, and names that stand for something odd."""

import json
import os
import socket
import subprocess
from contextlib import contextmanager

import pytest

MIB = 1 << 20
OPTIONS = ["--force", "--threads", "1", "--memory", "1MiB", "--quiet"]
# Options, what is there before, and what is there after a good run.
KINDS = {
    "m.safetensors": ([], ["m.safetensors"]),
    "m.h5": ([], ["m.h5"]),
    "model": (
        ["--max-shard-size", "2MiB"],
        ["model/model-00001-of-00002.safetensors", "model/model.safetensors.index.json"],
    ),
}
every_kind = pytest.mark.parametrize("target", KINDS)

# Code of a manifest that does something to the disk while the file is written.
MEANWHILE = """
import os, shutil
import numpy as np
def f(shape, dtype=None):
    {}
    return np.ones(shape, dtype)
"""


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def prepare(folder, target, meanwhile="pass", size=MIB, initializer="ones"):
    """Write old files; return a manifest of two tensors, between which something happens."""
    for name in KINDS[target][1]:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("old")
    return manifest(folder.parent, meanwhile, size, initializer)


def manifest(folder, meanwhile="pass", size=MIB, initializer="ones"):
    layers = [
        {"name": "a", "shape": [1000], "initializer": "code.py:f"},
        {"name": "b", "shape": [size // 4], "initializer": initializer},
        {"name": "c", "shape": [size // 4], "initializer": "he_uniform"},
    ]
    (folder / "code.py").write_text(MEANWHILE.format(meanwhile))
    (folder / "m.json").write_text(json.dumps({"layers": layers}))
    return folder / "m.json"


def refused(done, target, code=3):
    """Hold what came of a run against what is promised; return the reason."""
    assert (done["code"], done["stdout"]) == (code, ""), done
    assert done["stderr"].count("\n") == 1, done["stderr"]
    assert done["stderr"].startswith(f"initgen: {target}"), done["stderr"]
    assert "/proc/self" not in done["stderr"]
    return done["stderr"].rstrip()


@contextmanager
def disk(folder, options):
    """A file system of its own in a folder; where it may not be mounted, yield False."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
    mounted = os.geteuid() == 0 and not subprocess.run(command, check=False).returncode
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", folder], check=True)


def arguments(manifest, target, output=None):
    return [
        "generate",
        manifest,
        "-o",
        output or target,
        "--allow-code",
        *KINDS[target][0],
        *OPTIONS,
    ]


@every_kind
def test_a_disk_that_fills_up_meanwhile(faulty, tmp_path, target):
    """Where none can be made, files that may not become large take its place."""
    place = tmp_path / "disk"
    with disk(place, "size=8m") as mounted:
        fill = f"open({str(place / 'other')!r}, 'wb').write(b'x' * (6 << 20))"
        path = prepare(place, target, fill if mounted else "pass", 3 * MIB)
        before = contents(place)
        limits = {} if mounted else {"RLIMIT_FSIZE": MIB}
        reason = refused(faulty(arguments(path, target), place, **limits), target)
        problem = "No space left on device; free some" if mounted else "File too large; files"
        assert problem in reason
        after = contents(place)
        after.pop(place / "other", None)
        assert after == before


@every_kind
def test_a_disk_that_is_too_small_is_found_out_before_the_start(faulty, tmp_path, target):
    place = tmp_path / "disk"
    with disk(place, "size=4m") as mounted:
        size = 3 * MIB if mounted else 1 << 60
        path = prepare(place, target, "os.mkdir('started')", size)
        before = contents(place)
        reason = refused(faulty(arguments(path, target), place), target)
        assert " are needed, but the disk of " in reason
        assert f" has only {'4.0MiB' if mounted else ''}" in reason.replace("3.9MiB", "4.0MiB")
        assert reason.endswith("free; free some space, or write elsewhere")
        assert str(place) in reason
        assert contents(place) == before
        assert not (place / "started").exists()


@every_kind
def test_holes_need_no_space(faulty, tmp_path, target):
    place = tmp_path / "disk"
    with disk(place, "size=4m") as mounted:
        size = 64 * MIB if mounted else 1 << 40
        path = manifest(tmp_path, size=size)
        layers = [{"name": n, "shape": [size // 4], "initializer": "zeros"} for n in "abc"]
        layers = layers if mounted else layers[:1]
        path.write_text(json.dumps({"layers": layers}))
        done = faulty([*arguments(path, target), "--dry-run"], place)
        if mounted:
            done = faulty(arguments(path, target), place)
            assert sum(each.stat().st_size for each in contents(place)) > 3 * size
        assert (done["code"], done["stderr"]) == (0, "")


@every_kind
def test_a_limit_on_the_size_of_files(faulty, tmp_path, target):
    """As `ulimit -f` sets it; it is found out before any value is made."""
    place = tmp_path / "disk"
    place.mkdir()
    path = prepare(place, target, "os.mkdir('started')")
    before = contents(place)
    limits = {"RLIMIT_FSIZE": MIB} if target != "model" else {"RLIMIT_FSIZE": 4096}
    reason = refused(faulty(arguments(path, target), place, **limits), target)
    assert "File too large" in reason
    assert "(ulimit -f)" in reason
    assert "--max-shard-size" in reason
    assert contents(place) == before
    assert not (place / "started").exists()


@every_kind
def test_a_disk_that_is_read_only(faulty, tmp_path, target):
    place = tmp_path / "disk"
    with disk(place, "size=8m") as mounted:
        path = prepare(place, target)
        before = contents(place)
        if mounted:
            subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        fault = None if mounted else ["open", 1, "EROFS", True]
        reason = refused(faulty(arguments(path, target), place, fault), target)
        assert "Read-only file system; write elsewhere" in reason
        assert contents(place) == before


@every_kind
@pytest.mark.parametrize("change", ["moved", "removed", "replaced"])
def test_the_folder_goes_meanwhile(faulty, tmp_path, target, change):
    place = tmp_path / "place"
    place.mkdir()
    folder = place / target if target == "model" else place
    steps = {
        "moved": f"os.rename({str(folder)!r}, {str(tmp_path / 'moved')!r})",
        "removed": f"shutil.rmtree({str(folder)!r})",
        "replaced": f"os.rename({str(folder)!r}, {str(tmp_path / 'moved')!r}); "
        f"os.mkdir({str(folder)!r})",
    }
    path = prepare(place, target, steps[change])
    old = list(contents(folder).values())
    output = place / target
    reason = refused(faulty(arguments(path, target, output), tmp_path), output)
    assert "moved or replaced" in reason
    if change != "removed":
        assert list(contents(tmp_path / "moved").values()) == old
    assert not (folder.exists() and contents(folder))
    assert not list(tmp_path.rglob(".initgen*"))


@every_kind
@pytest.mark.parametrize("change", ["removed", "link", "hard link", "another"])
def test_the_temporary_file_goes_meanwhile(faulty, tmp_path, target, change):
    """What takes its place, or what that leads to, is not written into."""
    place = tmp_path / "place"
    place.mkdir()
    (tmp_path / "precious").write_text("precious")
    precious = str(tmp_path / "precious")
    folder = place / target if target == "model" else place
    step = {
        "removed": "pass",
        "link": f"os.symlink({precious!r}, path)",
        "hard link": f"os.link({precious!r}, path)",
        "another": "open(path, 'w').write('x')",
    }[change]
    path = prepare(
        place,
        target,
        f"""
    for name in os.listdir({str(folder)!r}):
        if name.startswith('.initgen') and name.endswith('-1.new.tmp'):
            path = os.path.join({str(folder)!r}, name)
            os.unlink(path)
            {step}
""",
    )
    before = contents(place)
    output = place / target
    reason = refused(faulty(arguments(path, target, output), tmp_path), output)
    assert "another program removed, moved or replaced the temporary file" in reason
    assert contents(place) == before
    assert (tmp_path / "precious").read_text() == "precious"


@every_kind
def test_a_link_waits_where_the_temporary_file_is_to_be(faulty, tmp_path, target):
    place = tmp_path / "place"
    place.mkdir()
    (tmp_path / "precious").write_text("precious")
    folder = place / target if target == "model" else place
    path = prepare(place, target)
    name = "model.safetensors" if target == "model" else target
    for each in ("1", "2", "x0", "x1"):
        (folder / f".initgen-{name}-{each}.tmp").symlink_to(tmp_path / "precious")
    done = faulty(arguments(path, target, place / target), tmp_path)
    assert (done["code"], done["stderr"]) == (0, "")
    assert (tmp_path / "precious").read_text() == "precious"


@pytest.mark.parametrize("suffix", ["safetensors", "h5"])
@pytest.mark.parametrize("kind", ["fifo", "socket", "device", "loop", "folder"])
def test_outputs_that_are_no_files(faulty, tmp_path, suffix, kind):
    path, name = manifest(tmp_path), f"m.{suffix}"
    output = tmp_path / name
    with socket.socket(socket.AF_UNIX) as server:
        if kind == "fifo":
            os.mkfifo(output)
        elif kind == "socket":
            server.bind(str(output))
        elif kind == "device":
            output.symlink_to("/dev/full")
        elif kind == "loop":
            output.symlink_to(name)
        else:
            output.mkdir()
            (output / "model.safetensors").mkdir()
        before = output.lstat().st_ino, output.lstat().st_mode
        reason = refused(
            faulty(["generate", path, "-o", name, "--allow-code", *OPTIONS], tmp_path), name, 2
        )
        assert "expected a file" in reason
        assert (output.lstat().st_ino, output.lstat().st_mode) == before


@pytest.mark.parametrize("suffix", ["safetensors", "h5"])
def test_links(faulty, tmp_path, suffix):
    path, name = manifest(tmp_path), f"m.{suffix}"
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "old").write_text("old")
    (tmp_path / name).symlink_to("far/old")
    (tmp_path / f"dangling.{suffix}").symlink_to("far/new")
    (tmp_path / f"nowhere.{suffix}").symlink_to("no/new")
    for each in (name, f"dangling.{suffix}"):
        options = ["--allow-code", *OPTIONS]
        done = faulty(["generate", path, "-o", each, *options], tmp_path)
        assert (done["code"], done["stderr"]) == (0, "")
        assert (tmp_path / each).is_symlink()
    assert sorted(p.name for p in (tmp_path / "far").iterdir()) == ["new", "old"]
    assert (tmp_path / "far/old").read_bytes() == (tmp_path / "far/new").read_bytes() != b"old"
    each = f"nowhere.{suffix}"
    done = faulty(["generate", path, "-o", each, "--allow-code", *OPTIONS], tmp_path)
    assert "there is no folder" in refused(done, each, 2)


@pytest.mark.parametrize("suffix", [".safetensors", ".h5", "/"])
@pytest.mark.parametrize("stem", ["two\nlines", "a\x1b[31mred", "tab\t", "not text \udcff", "ü €"])
def test_odd_names(faulty, tmp_path, suffix, stem):
    """They are as good as others, and stay in one line that commands no terminal."""
    path = manifest(tmp_path)
    output = stem + suffix
    options = ["--allow-code", "--threads", "1"]
    done = faulty(["generate", path, "-o", output, *options], tmp_path)
    assert done["code"] == 0, done
    assert done["stdout"].count("\n") == 1
    assert done["stdout"].rstrip("\n").isprintable()
    again = faulty(["generate", path, "-o", output, *options], tmp_path)
    assert (again["code"], again["stdout"]) == (2, "")
    assert again["stderr"].count("\n") == 1
    assert again["stderr"].rstrip("\n").isprintable()
    assert "exists; --force" in again["stderr"]


@pytest.mark.parametrize("suffix", [".safetensors", ".h5", "/"])
def test_names_that_are_too_long(faulty, tmp_path, suffix):
    path = manifest(tmp_path)
    for name, shown in (("a" * 256, "a" * 256), ("b/" * 2500 + "a", "b/" * 400)):
        options = ["--allow-code", *OPTIONS]
        done = faulty(["generate", path, "-o", name + suffix, *options], tmp_path)
        assert done["code"] == 3
        assert done["stderr"].startswith(f"initgen: {shown}")
        assert done["stderr"].endswith("File name too long; choose a shorter one\n")
        assert done["stderr"].count("\n") == 1
    longest = "a" * (255 - len(suffix)) + suffix if suffix != "/" else "a" * 255 + "/"
    done = faulty(["generate", path, "-o", longest, "--allow-code", *OPTIONS], tmp_path)
    assert (done["code"], done["stderr"]) == (0, "")
