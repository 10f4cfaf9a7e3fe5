"""Running a command to its end, and several commands in turn."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

HERE = Path(__file__).parent


Key = TypeVar("Key")

# As after an installation: modules are compiled to bytecode once, and libraries see for themselves
# what the processor can do.
UNSET = ("PYTHONDONTWRITEBYTECODE", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


@dataclass(frozen=True)
class Run:
    """One run of a process.

    Attributes:
        seconds: from its start to its exit.
        synced: the same, plus the time until its output file is on the disk.
        peak: the most memory it held at a time, in MiB.
    """

    seconds: float
    synced: float
    peak: float


@dataclass(frozen=True)
class Command:
    """What to run.

    Attributes:
        args: for this very Python.
        output: the file that it writes; it is removed after each run.
        env: added to the environment.
        cold: start with an empty kernel cache.
    """

    args: Sequence[str | Path]
    output: Path | None = None
    env: Mapping[str, str] | None = None
    cold: bool = False


def run(command: Command, folder: Path) -> Run:
    """Run a command once, from a disk with nothing left to write.

    Peak memory is the kernel's `ru_maxrss`. A child starts with what its parent holds, so this
    process imports nothing large.
    """
    os.sync()
    with_cache = {
        "INITGEN_CACHE_DIR": str(folder / f"kernels-{time.time_ns() if command.cold else 0}")
    }
    env = {**os.environ, **with_cache, **(command.env or {})}
    for name in UNSET:
        env.pop(name, None)
    begin = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command.args], env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode}: {' '.join(map(str, command.args))}")
    if command.output is not None:
        _sync(command.output)
    return Run(seconds, time.perf_counter() - begin, usage.ru_maxrss / 1024)


def in_turn(commands: Mapping[Key, Command], repeats: int, folder: Path) -> dict[Key, list[Run]]:
    """Run each command `repeats` times, in rounds that begin with another one each time.

    Whatever makes the machine slower for a while so meets all of them.
    """
    runs: dict[Key, list[Run]] = {name: [] for name in commands}
    names = list(commands)
    for i in range(repeats):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            runs[name].append(run(commands[name], folder))
            remove(commands[name].output)
            print(f"  {name}: {runs[name][-1]}", file=sys.stderr)
    return runs


def check_std(path: Path, stddev: float) -> None:
    """Stop unless the values in a safetensors file have this standard deviation."""
    subprocess.run([sys.executable, HERE / "check_std.py", path, str(stddev)], check=True)


def remove(path: Path | None) -> None:
    """Remove a file, if there is one."""
    if path is not None:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Wait until a file is on the disk."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
