"""Runs that are killed, and what may be there afterwards."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import h5py
from safetensors import safe_open

import initlib

# How many runs are killed at random; `make test-crash` asks for more.
KILLS = int(os.environ.get("INITGEN_KILLS", "21"))
# Whether they are killed at every event besides.
FULL = KILLS > 100
INDEX = "model.safetensors.index.json"


class Server:
    """A process whose forks run the command."""

    def __init__(self, folder):
        self.logs = folder / "logs"
        self.logs.mkdir()
        script = Path(__file__).with_name("crash_server.py")
        # Python warns of forks where other libraries have threads.
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", script, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )
        if self.process.stdout.readline() != "ready\n":
            self.close()
            raise RuntimeError("the server of crashes failed")

    def run(self, folder, *argv, **request):
        """Run the command in a folder; return how it ended."""
        request |= {"folder": str(folder), "logs": str(self.logs), "argv": [*map(str, argv)]}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@dataclass(frozen=True)
class Scenario:
    """What is written, and what is there before.

    Attributes:
        output: the file or folder.
        old: what is there: nothing, a "file", or "shards".
    """

    output: str
    old: str = ""

    def __str__(self):
        return f"{self.output.strip('/')}-{self.old or 'new'}"

    @property
    def shards(self):
        return self.output.endswith("/")


SCENARIOS = [
    *(Scenario(output, old) for output in ("m.safetensors", "m.h5") for old in ("", "file")),
    *(Scenario("m/", old) for old in ("", "shards", "file")),
]
LAYERS = [
    {"name": f"t/{i}", "shape": [90_000 + i], "initializer": "random_normal"} for i in range(6)
]
SIZE = 800_000


class Stage:
    """A scenario on a disk: what may be there, and what is."""

    def __init__(self, folder, scenario):
        self.scenario, self.folder = scenario, folder / "run"
        (folder / "old").mkdir()
        (folder / "new").mkdir()
        self.folder.mkdir()
        self.manifest = folder / "m.json"
        self.manifest.write_text(json.dumps({"seed": 1, "layers": LAYERS}))
        sharded = {"max_shard_size": SIZE} if scenario.shards else {}
        initlib.generate(self.manifest, f"{folder}/new/{scenario.output}", **sharded)
        self.new = contents(folder / "new")
        if scenario.old:
            if scenario.old == "file" and scenario.shards:
                sharded = {"max_shard_size": 10**9}
            initlib.generate(self.manifest, f"{folder}/old/{scenario.output}", seed=2, **sharded)
        self.before = folder / "old"
        self.old = contents(folder / "old")
        sizes = ["--max-shard-size", SIZE] if scenario.shards else []
        self.argv = ["generate", self.manifest, "-o", scenario.output, "--threads", 1, *sizes]

    @property
    def force(self):
        return ["--force"] if self.old else []

    def reset(self):
        """Let everything be as it was before."""
        shutil.rmtree(self.folder)
        shutil.copytree(self.before, self.folder)

    def check(self):
        """Find at the final name either nothing, the old files or right ones."""
        found = contents(self.folder)
        visible = {name: data for name, data in found.items() if not hidden(name)}
        for name, data in visible.items():
            assert data in (self.old.get(name), self.new.get(name)), name
            opens(self.folder / name)
        whole = {name for name, data in visible.items() if data == self.new.get(name)}
        index = visible.get(f"m/{INDEX}")
        if index is not None:
            # All that it lists is of one run.
            listed = {f"m/{name}" for name in json.loads(index)["weight_map"].values()}
            runs = [run for run in (self.old, self.new) if run.get(f"m/{INDEX}") == index]
            assert any(all(visible.get(n) == run[n] for n in listed) for run in runs)
        loadable = self.old and all(visible.get(name) == data for name, data in self.old.items())
        data = {name: data for name, data in self.new.items() if not name.endswith(".json")}
        waiting = [found[name] for name in found if hidden(name) and ".new." not in name]
        if self.old and not loadable:
            # The old one goes only when all of the new one is there.
            assert all(name in whole or content in waiting for name, content in data.items())
        # Of a single file nothing is kept before it has its name.
        waiting = waiting if self.scenario.shards else []
        return {name for name, content in data.items() if name in whole or content in waiting}

    def finish(self, server, *, resume):
        """Run again, which succeeds and leaves nothing else; return what was kept."""
        visible = [name for name in contents(self.folder) if not hidden(name)]
        force = ["--force"] if self.old or (visible and not resume) else []
        done = server.run(
            self.folder, *self.argv, *force, *(["--resume"] if resume else []), "--json"
        )
        assert (done["code"], done["err"]) == (0, "")
        assert contents(self.folder) == self.new
        return {f"{self.scenario.output}{n}" if self.scenario.shards else n for n in kept(done)}


def kept(done):
    return json.loads(done["out"])["kept"]


def hidden(name):
    return Path(name).name.startswith(".initgen-")


def contents(folder):
    """The bytes of every file."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def opens(path):
    """Let the real libraries read a file."""
    if path.suffix == ".safetensors":
        with safe_open(path, "numpy") as file:
            assert [file.get_tensor(name).sum() for name in file.keys()]  # noqa: SIM118
    elif path.suffix == ".h5":
        with h5py.File(path) as file:
            assert [dataset[:].sum() for dataset in file["t"].values()]
