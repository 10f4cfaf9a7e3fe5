"""Every golden row, on processors that have less, with libraries that use less, and without any."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PROGRAM = Path(__file__).parents[1] / "support" / "golden.py"
# Of each level of the x86-64 architecture one; of what this machine hasn't, none can be tried.
PROCESSORS = {
    "x86-64": None,
    "haswell": "fma",
    "skylake-avx512": "avx512f",
}
ROWS = 582


def made_again(engine, **env):
    """What the golden program says in an environment of its own."""
    run = subprocess.run(
        [sys.executable, str(PROGRAM), engine],
        # One process compiles all kernels, which is quicker than one for each.
        env={**os.environ, "INITGEN_COMPILING": "1", **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    said = json.loads(run.stdout)
    assert (said["rows"], said["wrong"]) == (ROWS, [])
    return said


def processors():
    """The processors that this machine can stand for, and itself."""
    flags = Path("/proc/cpuinfo").read_text().split()
    names = PROCESSORS.items() if platform.machine() == "x86_64" else ()
    return ["", *(name for name, needed in names if needed is None or needed in flags)]


@pytest.mark.parametrize("name", processors())
def test_kernels_for(tmp_path, name):
    env = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": ""} if name else {}
    said = made_again("kernels", INITGEN_CACHE_DIR=str(tmp_path), **env)
    assert said["kernels"] == len(list(tmp_path.iterdir())) == 24


def levels():
    """What of NumPy's vector code may be left out, from the latest on: a little, half, and all."""
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    return [
        "",
        *(",".join(found[i:]) for i in sorted({0, len(found) // 2, len(found) - 1}) if found),
    ]


@pytest.mark.parametrize("left_out", levels())
def test_numpy_without(tmp_path, left_out):
    env = {"NPY_DISABLE_CPU_FEATURES": left_out} if left_out else {}
    assert made_again("reference", INITGEN_CACHE_DIR=str(tmp_path), **env)["kernels"] == 0


@pytest.mark.parametrize("threads", ["1", "2", "3", "8"])
def test_threads_of_libraries(tmp_path, threads):
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    made_again("reference", INITGEN_CACHE_DIR=str(tmp_path), **dict.fromkeys(names, threads))


@pytest.mark.parametrize("gone", [("numba",), ("numba", "llvmlite")])
def test_libraries_that_are_not_installed(tmp_path, gone):
    """The program sets NUMBA_DISABLE_JIT, so that nothing is looked for and nothing is said."""
    for name in gone:
        (tmp_path / f"{name}.py").write_text("raise ImportError(__name__)")
    path = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    assert made_again("reference", PYTHONPATH=path)["kernels"] == 0
