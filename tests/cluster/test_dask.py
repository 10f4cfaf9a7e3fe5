"""A Dask cluster: a real scheduler, and workers in processes of their own, over TCP."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from crashes import contents, hidden
from distributed import Client
from slow_code import slow_manifest, started, wait_for

import initlib
from initlib._generate import _engine

SIZE = "8100B"
MANIFEST = """
seed: 3
layers:
  - repeat: {i: 9}
    layers:
      - {name: 't{i}', shape: [1000], initializer: he_normal}
"""


class Cluster:
    """A scheduler and its workers."""

    def __init__(self, folder, workers):
        self.folder, self.processes = folder, []
        file = folder / "scheduler.json"
        options = ["--port", 0, "--dashboard-address", ":0", "--scheduler-file", file]
        self.scheduler = self.start("scheduler", *options)
        wait_for(lambda: file.exists() and file.read_text())
        self.address = json.loads(file.read_text())["address"].removeprefix("tcp://")
        self.workers = [self.worker() for _ in range(workers)]
        if workers:
            with Client(self.address, set_as_default=False) as client:
                client.wait_for_workers(workers, timeout=60)

    def start(self, what, *argv):
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *map(str, argv)]
        with (self.folder / f"{len(self.processes)}.log").open("w") as log:
            process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def worker(self):
        return self.start("worker", self.address, "--nthreads", 1, "--no-nanny", "--no-dashboard")

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), 2)
    yield cluster
    cluster.close()


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / "m.yaml"
    path.write_text(MANIFEST)
    return path


@pytest.fixture
def start(tmp_path):
    """Start the command, which goes on."""
    begun = []

    def run(*argv):
        command = [sys.executable, "-m", "initgen", "generate", *map(str, argv)]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        begun.append(subprocess.Popen(command, cwd=tmp_path, **options))
        return begun[-1]

    yield run
    for process in begun:
        process.kill()
        process.communicate()


def whole(manifest, **options):
    """The files that one process makes."""
    folder = manifest.with_name("whole")
    initlib.generate(manifest, folder, max_shard_size=SIZE, **options)
    return contents(folder)


def test_the_same_bytes(initgen, cluster, manifest, tmp_path):
    argv = ["generate", manifest, "-o", "m/", "--max-shard-size", SIZE, "--json"]
    run = initgen(*argv, "--engine", f"dask://{cluster.address}")
    assert (run.returncode, run.stderr) == (0, "")
    assert len(json.loads(run.stdout)["files"]) == 5
    assert contents(tmp_path / "m") == whole(manifest)


def test_a_client_and_its_executor(cluster, manifest, tmp_path):
    with Client(cluster.address, set_as_default=False) as client:
        for name, engine in [("a", client), ("b", client.get_executor())]:
            initlib.generate(manifest, tmp_path / name, max_shard_size=SIZE, engine=engine)
            assert contents(tmp_path / name) == whole(manifest, force=True)
        # It is the user's, and stays.
        assert client.submit(int, "7").result() == 7


def test_the_cluster_that_dask_is_configured_for(initgen, cluster, manifest, tmp_path):
    argv = ["generate", manifest, "-o", "m/", "--max-shard-size", SIZE, "--engine", "dask"]
    run = initgen(*argv, env={"DASK_SCHEDULER_ADDRESS": f"tcp://{cluster.address}"})
    assert (run.returncode, run.stderr) == (0, "")
    assert contents(tmp_path / "m") == whole(manifest)


def test_a_cluster_of_this_machine(initgen, manifest, tmp_path):
    argv = ["generate", manifest, "-o", "m/", "--max-shard-size", SIZE, "--engine", "dask"]
    run = initgen(*argv)
    assert (run.returncode, run.stderr) == (0, "")
    assert contents(tmp_path / "m") == whole(manifest)


def test_a_worker_that_is_killed_in_the_middle(cluster, tmp_path, start):
    """Another one does its work."""
    manifest = slow_manifest(tmp_path)
    argv = ["-o", "m/", "--max-shard-size", SIZE, "--engine", f"dask://{cluster.address}"]
    process = start(manifest, *argv, "--allow-code")
    killed = started(tmp_path)
    os.kill(killed, signal.SIGKILL)
    cluster.workers = [each for each in cluster.workers if each.pid != killed]
    wait_for(lambda: len(list(tmp_path.glob("started-*"))) == 2)
    (tmp_path / "go").touch()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert contents(tmp_path / "m") == whole(manifest, allow_code=True)
    cluster.workers.append(cluster.worker())


def test_a_scheduler_that_is_lost(initgen, tmp_path, start):
    cluster = Cluster(tmp_path, 2)
    manifest = slow_manifest(tmp_path)
    argv = [manifest, "-o", "m/", "--max-shard-size", SIZE, "--allow-code", "--resume"]
    try:
        process = start(*argv, "--engine", f"dask://{cluster.address}")
        started(tmp_path)
        # What is kept has its place already.
        wait_for(lambda: len(shards(tmp_path / "m")) >= 3)
        cluster.scheduler.kill()
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (3, "")
        kept = shards(tmp_path / "m")
        assert err == (
            "initgen: m: the engine gave the work up, or the connection to it was lost; "
            f"{len(kept)} of 5 shards are kept, and --resume goes on from there\n"
        )
        (tmp_path / "go").touch()
        time.sleep(0.5)
        assert sorted(contents(tmp_path / "m")) == kept
    finally:
        cluster.close()
    run = initgen("generate", *argv, "--json")
    assert (run.returncode, run.stderr) == (0, "")
    assert len(json.loads(run.stdout)["kept"]) == len(kept)
    assert contents(tmp_path / "m") == whole(manifest, allow_code=True)


def shards(folder):
    """The names of shards that are whole, and of nothing else."""
    names = [path.name for path in folder.glob(".initgen-*")]
    return sorted(name for name in names if name.count(".") == 3 and "-0.tmp" not in name)


def test_workers_that_come_later(manifest, tmp_path, start):
    cluster = Cluster(tmp_path, 0)
    try:
        engine = f"dask://{cluster.address}"
        process = start(manifest, "-o", "m/", "--max-shard-size", SIZE, "--engine", engine)
        line = process.stderr.readline()
        assert line == f"initgen: {engine}: it has no workers yet, and the work waits for them\n"
        cluster.worker()
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
    finally:
        cluster.close()
    assert contents(tmp_path / "m") == whole(manifest)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal(cluster, tmp_path, start, number):
    manifest = slow_manifest(tmp_path)
    argv = ["-o", "m/", "--max-shard-size", SIZE, "--engine", f"dask://{cluster.address}"]
    process = start(manifest, *argv, "--allow-code")
    started(tmp_path)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (128 + number, "")
    assert err == f"initgen: stopped by {number.name}; nothing was changed\n"
    assert not (tmp_path / "m").exists()
    # The worker ends, and finds that nobody waits.
    (tmp_path / "go").touch()
    time.sleep(0.3)
    assert not [name for name in contents(tmp_path) if hidden(name)]


@pytest.mark.parametrize("address", ["127.0.0.1:9", "nowhere.invalid:1", "127.0.0.1", "::x::"])
def test_nobody_answers(manifest, tmp_path, monkeypatch, address):
    monkeypatch.setattr(_engine, "PATIENCE", 0.3)
    with pytest.raises(initlib.RequestError, match=f"^dask://{address}: no scheduler answers") as e:
        initlib.generate(manifest, tmp_path / "m/", max_shard_size=SIZE, engine=f"dask://{address}")
    assert "\n" not in str(e.value)
    assert not (tmp_path / "m").exists()


def test_dask_isn_t_installed(initgen, manifest, tmp_path):
    (tmp_path / "distributed.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'distributed'\", name='distributed')"
    )
    env = {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    run = initgen("generate", manifest, "-o", "m/", "--engine", "dask", env=env)
    assert (run.returncode, run.stdout) == (2, "")
    problem = "this needs distributed, which isn't installed: pip install 'initgen[dask]'"
    assert run.stderr == f"initgen: {problem}\n"
