"""Kernels that can't be kept on disk, or were kept and are damaged: the run goes on."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

# As many values as make it worth while to compile.
MANIFEST = {"layers": [{"name": "w", "shape": [9 << 20], "initializer": "random_uniform"}]}


def write(folder):
    (folder / "m.json").write_text(json.dumps(MANIFEST))
    return folder


def generate(folder, cache, said="", program=("-m", "initgen"), **env):
    run = subprocess.run(
        [sys.executable, *program, "generate", "m.json", "--force", "--json"],
        cwd=write(folder),
        env={**os.environ, "INITGEN_CACHE_DIR": str(cache), **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0
    assert (said in run.stderr) if said else run.stderr == ""
    return json.loads(run.stdout)["tensors"][0]["digest"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache with the kernel in it, and the tensor's digest."""
    folder = tmp_path_factory.mktemp("kernels")
    digest = generate(folder, folder / "cache")
    assert len(list((folder / "cache").iterdir())) == 1
    return folder / "cache", digest


def without(folder, module):
    """An environment in which a module can't be imported."""
    (folder / "gone").mkdir()
    (folder / "gone" / f"{module}.py").write_text("raise ImportError(__name__)")
    return {"PYTHONPATH": str(folder / "gone")}


@pytest.mark.parametrize("damage", [b"", b"\0" * 1000, b"garbage", "cut", "flipped"])
def test_a_damaged_cache(tmp_path, cache, damage):
    folder, digest = cache
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    content = {"cut": whole[:-1], "flipped": bytes(flipped)}.get(damage, damage)
    file.write_bytes(content)
    assert generate(tmp_path, folder) == digest
    assert file.read_bytes() == whole, "the damaged kernel isn't replaced"


def test_a_kernel_is_loaded_without_numba(tmp_path, cache):
    assert generate(tmp_path, cache[0], **without(tmp_path, "numba")) == cache[1]


@pytest.mark.parametrize("gone", ["numba", "llvmlite"])
def test_nothing_to_compile_with(tmp_path, cache, gone):
    said = f"no compiled kernels, so it is slow: {gone}"
    assert generate(tmp_path, tmp_path / "cache", said, **without(tmp_path, gone)) == cache[1]
    assert not (tmp_path / "cache").exists()


def test_no_process_to_compile_in(tmp_path, cache):
    program = (
        "import subprocess, sys; sys.executable = '/dev/null';"
        "from initgen.__main__ import main; main()"
    )
    assert generate(tmp_path, tmp_path / "cache", program=("-c", program)) == cache[1]
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_no_place_for_a_cache(tmp_path, cache):
    # No folder can be made there, not even by root.
    assert generate(tmp_path, "/proc/cache") == cache[1]


def test_the_user_s_own_folder(tmp_path, cache):
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": ""}
    assert generate(tmp_path, "", **home) == cache[1]
    assert len(list((tmp_path / ".cache" / "initgen" / "kernels").iterdir())) == 1


def test_no_compiler(tmp_path, cache):
    assert generate(tmp_path, tmp_path, NUMBA_DISABLE_JIT="1") == cache[1]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="these are names of x86 processors")
@pytest.mark.parametrize("name", ["x86-64", "haswell", "skylake-avx512"])
def test_another_processor(tmp_path, cache, name):
    if name == "skylake-avx512" and "avx512f" not in Path("/proc/cpuinfo").read_text():
        name = "nehalem"
    env = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": ""}
    assert generate(tmp_path, tmp_path / "cache", **env) == cache[1]
    assert {path.name for path in (tmp_path / "cache").iterdir()}.isdisjoint(
        path.name for path in cache[0].iterdir()
    )


def test_code_in_the_current_folder_is_not_run(tmp_path, cache):
    for name in ("numba", "numpy", "initlib", "json"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w')")
    program = "from initgen.__main__ import main; main()"
    assert generate(tmp_path, tmp_path / "cache", program=("-P", "-c", program)) == cache[1]
    assert not (tmp_path / "ran").exists()
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_kernels_that_others_can_write_are_not_run(tmp_path, cache):
    folder = tmp_path / "cache"
    assert generate(tmp_path, folder) == cache[1]
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.stat().st_ino
    file.chmod(0o666)
    assert generate(tmp_path, folder) == cache[1]
    assert file.stat().st_ino != before, "it is compiled again"
