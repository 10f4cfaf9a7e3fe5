"""Processes of MPI make shards, by mpi4py's executor."""

import subprocess
import sys
from pathlib import Path

import initlib

MANIFEST = {
    "seed": 1,
    "layers": [
        {"name": f"t/{i}", "shape": [1000 + i], "initializer": "random_normal"} for i in range(9)
    ],
}
PROGRAM = f"""
import os
from mpi4py.futures import MPIPoolExecutor
import initlib

if __name__ == "__main__":
    with MPIPoolExecutor() as executor:
        assert executor.submit(os.getpid).result() != os.getpid()
        initlib.generate({MANIFEST!r}, "m/", max_shard_size=8100, engine=executor)
"""


def test_processes_of_mpi(tmp_path):
    initlib.generate(MANIFEST, tmp_path / "here", max_shard_size=8100)
    (tmp_path / "program.py").write_text(PROGRAM)
    mpiexec = Path(sys.executable).with_name("mpiexec")
    subprocess.run(
        [mpiexec, "-n", "3", sys.executable, "-m", "mpi4py.futures", "program.py"],
        cwd=tmp_path,
        check=True,
        timeout=120,
    )
    here, there = tmp_path / "here", tmp_path / "m"
    names = sorted(path.name for path in here.iterdir())
    assert sorted(path.name for path in there.iterdir()) == names
    assert len(names) == 6
    assert all((here / name).read_bytes() == (there / name).read_bytes() for name in names)
