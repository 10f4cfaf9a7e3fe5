"""Limits on memory, threads and open files, and a standard output that takes nothing."""

import json
import os
import resource
import subprocess
import sys

import pytest

from initlib import _memory

ALL = os.environ.get("FAULTS") == "all"
MIB = 1 << 20
LAYERS = [
    {"name": "q", "shape": [1500, 1500], "initializer": "orthogonal"},
    {"name": "w", "shape": [1500, 1500], "initializer": "he_normal"},
]


@pytest.fixture
def limited(tmp_path):
    """Run the command where something is limited; return what came of it."""
    (tmp_path / "m.json").write_text(json.dumps({"layers": LAYERS}))
    (tmp_path / "small.json").write_text(json.dumps({"layers": [{**LAYERS[1], "shape": [3]}]}))

    def run(*arguments, output=subprocess.PIPE, **limits):
        def limit():
            for name, value in limits.items():
                resource.setrlimit(getattr(resource, name), (value, value))

        return subprocess.run(
            [sys.executable, "-m", "initgen", *map(str, arguments)],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            preexec_fn=limit,
            text=True,
            check=False,
            timeout=120,
        )

    return run


def ended(done, folder):
    """Hold a run against what is promised; tell whether it did what was asked for."""
    assert done.returncode in (0, 3), done
    assert not list(folder.glob(".initgen*"))
    if done.returncode:
        # Slower ways are told of before.
        *warnings, line = done.stderr.splitlines()
        assert all(each.startswith("initgen: no compiled kernels") for each in warnings), done
        assert line.startswith("initgen: "), done
        assert any(word in line for word in ("memory", "threads", "more (ulimit")), done
    else:
        (folder / "m.h5").unlink()
    return done.returncode == 0


@pytest.mark.parametrize("kind", ["RLIMIT_AS", "RLIMIT_DATA"] if ALL else ["RLIMIT_AS"])
def test_little_memory(limited, tmp_path, kind):
    sizes = [*range(20, 400, 40), *range(400, 1600, 200)] if ALL else [60, 240]
    done = [
        ended(
            limited("generate", "m.json", "-o", "m.h5", "--threads", 2, **{kind: n * MIB}), tmp_path
        )
        for n in (*sizes, 4000)
    ]
    assert (done[0], done[-1]) == (False, True)


def test_an_orthogonal_matrix_larger_than_memory(limited, tmp_path):
    layer = {"name": "q", "shape": [600_000, 600_000], "initializer": "orthogonal"}
    (tmp_path / "m.json").write_text(json.dumps({"layers": [layer], "dtype": "float16"}))
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    done = limited("generate", "m.json")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    if free > 2 * 600_000**2:
        assert "3,433,227 MiB are needed, but there are only" in done.stderr
    else:
        assert "are needed, but the disk" in done.stderr


@pytest.mark.parametrize("controllers", ["memory", ""])
def test_a_container_s_memory_counts(tmp_path, controllers):
    """In both versions of control groups, and of all groups around the process's."""
    name = "memory.limit_in_bytes" if controllers else "memory.max"
    root = tmp_path / "sys" / controllers
    (root / "a" / "b").mkdir(parents=True)
    (root / name).write_text("max\n" if not controllers else f"{2**63 - 4096}\n")
    (root / "a" / name).write_text(f"{64 * MIB}\n")
    (root / "a" / "b" / name).write_text(f"{128 * MIB}\n")
    groups = tmp_path / "cgroup"
    groups.write_text(f"7:cpu:/other\n3:{controllers}:/a/b\n")
    assert _memory.total(groups, tmp_path / "sys") == 64 * MIB
    (root / "a" / name).unlink()
    assert _memory.total(groups, tmp_path / "sys" / ".") == 64 * MIB
    _memory.total.cache_clear()
    assert _memory.total(groups, tmp_path / "sys") == 128 * MIB
    groups.write_text(f"3:{controllers}:/elsewhere\n")
    _memory.total.cache_clear()
    assert _memory.total(groups, tmp_path / "sys") == _memory.total()
    assert _memory.total(tmp_path / "none") == _memory.total()


def test_no_threads_can_be_started(limited, tmp_path):
    """Their stacks take more memory than there may be, which holds for the superuser, too."""
    limits = {"RLIMIT_STACK": 1 << 30, "RLIMIT_AS": 2 << 30}
    done = limited("generate", "m.json", "-o", "m.h5", "--threads", 2, **limits)
    assert done.returncode == 3
    assert done.stderr == "initgen: m.h5: the system refuses 4 threads; use fewer --threads\n"
    assert not ended(done, tmp_path)


@pytest.mark.parametrize("output", ["m.h5", "m.safetensors", "model/"] if ALL else ["m.h5"])
def test_few_open_files(limited, tmp_path, output):
    for count in range(5, 12 if ALL else 8):
        done = limited("generate", "small.json", "-o", output, RLIMIT_NOFILE=count)
        assert done.returncode in (0, 3), done
        assert not list(tmp_path.rglob(".initgen*"))
        if done.returncode:
            assert done.stderr.startswith("initgen: "), done
            assert done.stderr.count("\n") == 1, done
            assert "Too many open files" in done.stderr, done
        elif (tmp_path / output).is_file():
            (tmp_path / output).unlink()
        else:
            (tmp_path / output / "model.safetensors").unlink()
    assert done.returncode == 0


COMMANDS = [
    ["generate", "small.json", "--force"],
    ["generate", "small.json", "--dry-run", "--json"],
    ["describe", "x.safetensors"],
    ["describe", "x.safetensors", "--json"],
    ["verify", "x.safetensors"],
    ["diff", "x.safetensors", "x.safetensors"],
    ["manifest", "x.safetensors"],
    ["initializers"],
    ["schema"],
    ["--help"],
    ["--version"],
    ["generate", "--help"],
]


@pytest.mark.parametrize("arguments", COMMANDS if ALL else COMMANDS[2::6], ids=" ".join)
def test_a_standard_output_that_takes_nothing(limited, tmp_path, arguments):
    assert limited("generate", "small.json", "-o", "x.safetensors").returncode == 0
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = limited(*arguments, output=full)
    message = "initgen: cannot print the result: No space left on device\n"
    assert (done.returncode, done.stderr) == (3, message)
    # A reader that has gone, as `head` goes, is no error.
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as pipe:  # noqa: PTH123
        done = limited(*arguments, output=pipe)
    assert (done.returncode, done.stderr) == (0, "")
