"""Initializers, and a checkpoint of them, frozen: who makes them, and how, changes no bit."""

from contextlib import chdir

import pytest
from golden import CASES, INEXACT, PARTS, digest, initializer_values, model_digests, near, rows
from initializer_cases import SOURCE, SOURCE_VALUES
from safetensors.numpy import save_file

from initlib._dtypes import FLOATS
from initlib._stream import _engine

ENGINES = {"reference": 0, "kernels": 1 << 60}


@pytest.fixture(params=ENGINES)
def engine(request, monkeypatch):
    monkeypatch.setattr(_engine._kernels, "job", ENGINES[request.param])
    if request.param == "reference":
        monkeypatch.setattr(_engine, "prepare", lambda values: None)


def test_every_case_is_frozen():
    exact = {(row[0], row[1], row[2]) for row in rows("initializers-v1.txt")}
    cases = CASES.keys() - set(INEXACT)
    assert exact == {(case, d, layout) for case in cases for d in FLOATS for layout, *_ in PARTS}
    inexact = {(row[0], row[1]) for row in rows("inexact-v1.txt")}
    assert inexact == {(case, layout) for case in INEXACT for layout, *_ in PARTS}


@pytest.mark.usefixtures("engine")
def test_exact(tmp_path):
    with chdir(tmp_path):
        save_file({"w": SOURCE_VALUES}, SOURCE)
        for name, dtype, layout, start, count, expected in rows("initializers-v1.txt"):
            values = initializer_values(name, dtype, layout, int(start), int(count))
            assert digest(values) == expected, (name, dtype, layout)


@pytest.mark.usefixtures("engine")
def test_inexact():
    for name, layout, *frozen in rows("inexact-v1.txt"):
        assert near(name, layout, frozen), (name, layout)


@pytest.mark.parametrize("suffix", ["safetensors", "h5"])
@pytest.mark.parametrize("threads", [1, 2, 3, 5, 8])
def test_threads_and_memory(tmp_path, suffix, threads):
    for memory in ("8MiB", "17MiB", "64MiB"):
        path = tmp_path / f"m.{suffix}"
        made = model_digests(path, threads=threads, memory=memory)
        assert made == rows("model-v1.txt"), memory


@pytest.mark.parametrize("size", ["1MB", "3MiB", "5000001"])
def test_shards(tmp_path, size):
    assert model_digests(tmp_path / "folder", max_shard_size=size) == rows("model-v1.txt")
