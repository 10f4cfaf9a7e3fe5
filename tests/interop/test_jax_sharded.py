"""`initlib.jax`: any sharding holds what `generate` writes to the file, bit for bit."""

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parents[1] / "support" / "devices.py"


def test_eight_devices(tmp_path):
    """In a process of its own: how many devices there are is settled when JAX is imported."""
    run = subprocess.run(
        [sys.executable, PROGRAM, tmp_path / "model.safetensors"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
