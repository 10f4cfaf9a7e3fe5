"""Stores of objects: one in memory, and one that speaks S3 on loopback."""

import itertools
import json

import pytest
from stores import LAYERS, serving

_numbers = itertools.count()


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / "m.json"
    path.write_text(json.dumps({"seed": 5, "layers": LAYERS}))
    return path


@pytest.fixture
def memory():
    """Give an empty file system in memory."""
    import fsspec

    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    yield system
    system.store.clear()


@pytest.fixture(scope="session")
def server():
    with serving() as store:
        yield store


@pytest.fixture
def bucket(server, monkeypatch):
    """Give a store with a bucket of this test's own."""
    import fsspec

    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server.faults, server.requests = [], []
    server.bucket = f"bucket-{next(_numbers)}"
    server.system = fsspec.filesystem("s3")
    server.system.mkdir(server.bucket)
    yield server
    server.faults = []


@pytest.fixture
def run(initgen, bucket):
    """Run the command as a user of the store does."""

    def run(*arguments, **env):
        return initgen(*arguments, env={**bucket.environment, **env})

    return run
