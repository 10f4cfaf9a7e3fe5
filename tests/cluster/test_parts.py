"""A folder that several runs make in parts, and the one that lets them take their names."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from crashes import contents, hidden
from five_shards import MANIFEST, NAMES, SIZE, StopError, hidden_name, made_at_once
from slow_code import slow_manifest, started

import initlib
from initlib import _provenance


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "m"


@pytest.fixture
def whole(tmp_path):
    return made_at_once(tmp_path / "whole")


def generate(folder, part=None, manifest=MANIFEST, **options):
    return initlib.generate(manifest, folder, part=part, **{"max_shard_size": SIZE, **options})


def finish(folder, manifest=MANIFEST, **options):
    return generate(folder, None, manifest, finish=True, **options)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7])
def test_parts_make_the_same(folder, whole, count):
    made = []
    for number in range(count, 0, -1):
        done = generate(folder, f"{number}/{count}", threads=1)
        assert done.files == tuple(NAMES[number - 1 :: count])
        assert [t.name for t in done.tensors] == [t.name for t in done.tensors if t.digest]
        made += done.files
        assert all(map(hidden, contents(folder) if folder.exists() else []))
    assert sorted(made) == NAMES
    done = finish(folder)
    assert (done.files, done.kept) == (tuple(NAMES), tuple(NAMES))
    assert contents(folder) == whole
    assert initlib.verify(folder).same


def test_numbers_may_be_a_pair(folder):
    assert generate(folder, (2, 5)).files == (NAMES[1],)


def test_a_part_of_a_model_that_is_one_file(folder, tmp_path):
    for number in (1, 2):
        generate(folder, (number, 2), max_shard_size=None)
    finish(folder, max_shard_size=None)
    assert [path.name for path in folder.iterdir()] == ["model.safetensors"]


@pytest.mark.parametrize(
    "part",
    [
        "0/3",
        "4/3",
        "3",
        "",
        "a/b",
        "1/0",
        "-1/3",
        "1/3/5",
        "1.5/3",
        " 1/3",
        "1 / 3",
        "\u0661/3",
        (0, 3),
        (4, 3),
        (1.0, 3),
        5,
    ],
)
def test_there_is_no_such_part(folder, part):
    with pytest.raises(initlib.RequestError, match=r"^expected a part such as 1/16 or 16/16, rec"):
        generate(folder, part)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"part": "1/2", "finish": True}, "--part and --finish"),
        ({"part": "1/2", "engine": "dask"}, "--engine and --part"),
        ({"engine": "dask", "finish": True}, "--engine and --finish"),
    ],
)
def test_ways_that_exclude_each_other(folder, options, names):
    with pytest.raises(initlib.RequestError, match=f"^expected one of {names}, received both$"):
        initlib.generate(MANIFEST, folder, **options)


@pytest.mark.parametrize("output", ["m.safetensors", "m.h5"])
def test_a_file_has_no_parts(tmp_path, output):
    with pytest.raises(initlib.RequestError, match=r"m\.\w+: expected a folder's name for shards"):
        generate(tmp_path / output, "1/2", max_shard_size=None)


def test_parts_that_are_missing_are_named(folder):
    generate(folder, "2/3")
    for _ in range(2):
        with pytest.raises(initlib.StorageError) as caught:
            finish(folder)
        assert str(caught.value) == (
            f"{folder}: 3 of 5 shards aren't there (1, 3, 4); --part makes them, or --resume all "
            "that are left"
        )
        assert set(contents(folder)) == {hidden_name(2), hidden_name(5)}
    assert generate(folder, resume=True).kept == (NAMES[1], NAMES[4])
    assert initlib.verify(folder).same


def test_finish_without_anything(folder):
    with pytest.raises(
        initlib.StorageError, match=r"5 of 5 shards aren't there \(1, 2, 3, 4, 5\);"
    ):
        finish(folder)
    assert not folder.exists()


def test_finish_again(folder, whole):
    generate(folder, "1/1")
    finish(folder)
    done = finish(folder)
    assert done.kept == tuple(NAMES)
    assert contents(folder) == whole
    (folder / "model.safetensors.index.json").unlink()
    finish(folder)
    assert contents(folder) == whole


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (
            {"seed": 2},
            r"it was made from another manifest \(SHA-256 \w{12}\.\.\., not \w{12}\.\.\.\), "
            "with seed 2, not 1",
        ),
        ({"dtype": "float16"}, "it was made from another manifest"),
        (
            {"max_shard_size": 4100},
            "it has other tensors: it was made with another --max-shard-size",
        ),
    ],
)
def test_parts_of_something_else_are_refused(folder, options, problem):
    generate(folder, "1/2")
    generate(folder, "2/2", **options)
    before = contents(folder)
    with pytest.raises(initlib.StorageError, match=rf"m: shard [24]: {problem}"):
        finish(folder)
    assert contents(folder) == before
    # All others are kept.
    done = generate(folder, resume=True)
    assert set(done.kept) >= {NAMES[0], NAMES[2], NAMES[4]}


def test_what_is_the_same_anyway_is_no_obstacle(folder, whole):
    """The shards that --only leaves whole."""
    generate(folder, "1/2")
    generate(folder, "2/2", only="t/[0-7]")
    finish(folder)
    assert contents(folder) == whole


def test_parts_of_another_version_are_refused(folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(_provenance, "__version__", "0.0.1")
        generate(folder, "1/2")
    generate(folder, "2/2")
    with pytest.raises(
        initlib.StorageError, match=r"m: shard 1: it was made by initgen 0\.0\.1, and this is "
    ):
        finish(folder)


def test_a_part_that_is_cut_short_is_refused(folder):
    generate(folder, "1/1")
    path = folder / hidden_name(3)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(initlib.StorageError, match=r"m: shard 3: "):
        finish(folder)


def stopping(done, total):
    """Stop as soon as one shard is whole."""
    if done > 1.5 * total / 5:
        raise StopError


def test_a_part_that_fails_keeps_what_it_has(folder, whole):
    with pytest.raises(StopError) as caught:
        generate(folder, "1/1", progress=stopping, threads=1)
    assert set(contents(folder)) == {hidden_name(1)}
    assert caught.value.__notes__ == ["1 of 5 shards are kept, and --resume goes on from there"]
    before = (folder / hidden_name(1)).stat().st_ino
    assert generate(folder, "1/1", resume=True).kept == (NAMES[0],)
    assert (folder / hidden_name(1)).stat().st_ino == before
    finish(folder)
    assert contents(folder) == whole


def test_a_part_again_is_made_again(folder, whole):
    for _ in range(2):
        assert generate(folder, "2/2").kept == ()
    generate(folder, "1/2")
    finish(folder)
    assert contents(folder) == whole


def test_an_old_checkpoint_stays_until_all_parts_are_there(folder, whole):
    generate(folder, seed=7)
    old = contents(folder)
    for number in (1, 2):
        with pytest.raises(initlib.RequestError, match="exists; --force"):
            generate(folder, (number, 2))
        generate(folder, (number, 2), force=True)
        assert {n: data for n, data in contents(folder).items() if not hidden(n)} == old
    with pytest.raises(initlib.RequestError, match="exists; --force"):
        finish(folder)
    finish(folder, force=True)
    assert contents(folder) == whole


def test_companions_come_with_the_end(folder, tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source/config.json").write_text("{}")
    options = {"copy_from": tmp_path / "source"}
    generate(folder, "1/1", **options)
    assert not (folder / "config.json").exists()
    finish(folder, **options)
    assert (folder / "config.json").read_text() == "{}"


def test_dry_run_lists_a_part(folder):
    done = generate(folder, "2/5", dry_run=True)
    assert [tensor.name for tensor in done.tensors] == ["t/2", "t/3"]
    assert not folder.exists()


def during(folder, part, then):
    """Make a part, and do something while it is made."""
    done = []

    def once(*_):
        if not done:
            done.append(then())

    generate(folder, part, progress=once)


def refused(part=None, **options):
    def run(folder):
        with pytest.raises(initlib.StorageError, match="m: another run of initgen is writing it"):
            generate(folder, part, **options)

    return run


@pytest.mark.parametrize(
    "other",
    [refused("1/2"), refused(), refused(resume=True), refused(finish=True)],
    ids=["the same part", "the whole", "the rest", "the end"],
)
def test_who_may_not_run_beside_a_part(folder, whole, other):
    during(folder, "1/2", lambda: other(folder))
    generate(folder, "2/2")
    finish(folder)
    assert contents(folder) == whole


def test_no_part_beside_the_whole(folder, whole):
    seen = []

    def once(*_):
        if not seen:
            seen.append(refused("1/2")(folder))

    generate(folder, progress=once)
    assert seen
    assert contents(folder) == whole


def test_parts_beside_each_other(folder, whole):
    during(folder, "1/2", lambda: generate(folder, "2/2"))
    finish(folder)
    assert contents(folder) == whole


def test_what_a_killed_part_leaves(tmp_path, folder):
    manifest = slow_manifest(tmp_path)
    command = [sys.executable, "-m", "initgen", "generate", manifest, "-o", folder, "--allow-code"]
    command += ["--max-shard-size", SIZE, "--part"]
    process = subprocess.Popen([*map(str, command), "1/1"])
    started(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = set(contents(folder))
    stem = ".initgen-model.safetensors.part-1-of-1"
    assert left - {hidden_name(i) for i in range(1, 5)} == {f"{stem}.lock", f"{stem}-5.new.tmp"}
    options = {"manifest": manifest, "allow_code": True}
    with pytest.raises(initlib.StorageError, match=r"1 of 5 shards aren't there \(5\)"):
        finish(folder, **options)
    assert set(contents(folder)) == left
    (tmp_path / "go").touch()
    assert len(generate(folder, resume=True, **options).kept) == 4
    assert not [name for name in contents(folder) if hidden(name)]
    assert initlib.verify(folder, manifest=manifest, allow_code=True).same


def test_the_command(initgen, tmp_path, whole):
    (tmp_path / "m.json").write_text(json.dumps(MANIFEST))
    argv = ["generate", "m.json", "-o", "m/", "--max-shard-size", SIZE]
    run = initgen(*argv, "--part", "1/2")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("m: part 1/2: 6 tensors, 6,027 parameters, ")
    assert initgen(*argv, "--part", "2/2", "-q").stdout == ""
    run = initgen(*argv, "--finish", "--json")
    assert json.loads(run.stdout)["kept"] == NAMES
    assert contents(tmp_path / "m") == whole
    run = initgen(*argv, "--part", "3/2")
    assert (run.returncode, run.stdout) == (2, "")
    problem = "expected a part such as 1/16 or 16/16, received '3/2'"
    assert run.stderr == f"initgen: {problem}\n"


def test_a_file_system_without_locks(folder, monkeypatch, whole):
    def refuse(fd, operation):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", refuse)

    def other():
        generate(folder, "2/2")
        with pytest.raises(initlib.StorageError, match="another run is writing it, or was killed"):
            generate(folder)

    during(folder, "1/2", other)
    finish(folder)
    assert contents(folder) == whole


def test_the_example_for_slurm(tmp_path, whole):
    """Under a `sbatch` that runs everything at once."""
    (tmp_path / "m.json").write_text(json.dumps(MANIFEST))
    (tmp_path / "initgen").write_text(f'#!/bin/sh\nexec {sys.executable} -m initgen "$@"\n')
    (tmp_path / "sbatch").write_text(
        """#!/bin/sh
set -eu
case $1 in
--parsable)
    [ "$2 $3" = "--requeue --array=1-16" ]
    shift 3
    for i in 1 2 3 4 5 16; do SLURM_JOB_ID=7 SLURM_ARRAY_TASK_ID=$i sh "$@"; done
    echo 7
    ;;
--dependency=afterok:7)
    shift
    SLURM_JOB_ID=8 sh "$@"
    ;;
*) exit 9 ;;
esac
"""
    )
    for name in ("initgen", "sbatch"):
        (tmp_path / name).chmod(0o755)
    script = Path(__file__).parents[2] / "examples/slurm/generate.sh"
    options = ["m.json", "m/", "--max-shard-size", SIZE]
    command = ["sh", script, options[0], "-o", *options[1:]]
    env = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run([*map(str, command)], cwd=tmp_path, env=env, check=True)
    assert contents(tmp_path / "m") == whole
