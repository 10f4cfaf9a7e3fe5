"""Kernels that can't be kept on disk, or were kept and are damaged: the run goes on."""

import json
import os
import subprocess
import sys

import pytest

# As many values as make it worth while to compile.
MANIFEST = {"layers": [{"name": "w", "shape": [9 << 20], "initializer": "random_uniform"}]}


def generate(folder, cache, **env):
    (folder / "m.json").write_text(json.dumps(MANIFEST))
    run = subprocess.run(
        [sys.executable, "-m", "initgen", "generate", "m.json", "--force", "--json"],
        cwd=folder,
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache), **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    return json.loads(run.stdout)["tensors"][0]["digest"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache with the kernel in it, and the tensor's digest."""
    folder = tmp_path_factory.mktemp("kernels")
    digest = generate(folder, folder / "cache")
    assert list((folder / "cache").rglob("*.nbc"))
    return folder / "cache", digest


@pytest.mark.parametrize("content", [b"", b"\0" * 1000, b"garbage"])
def test_a_damaged_cache(tmp_path, cache, content):
    folder, digest = cache
    for file in folder.rglob("*.nb?"):
        file.write_bytes(content)
    assert generate(tmp_path, folder) == digest


def test_no_place_for_a_cache(tmp_path, cache):
    # No folder can be made there, not even by root.
    assert generate(tmp_path, "/proc/cache") == cache[1]


def test_no_compiler(tmp_path, cache):
    assert generate(tmp_path, tmp_path, NUMBA_DISABLE_JIT="1") == cache[1]
