"""A manifest whose own code tells that it has begun, and waits, for tests that stop it."""

import time

CODE = """
import os, pathlib, time, numpy as np
here = pathlib.Path(__file__).parent
def slow(shape, dtype=None):
    (here / f'started-{os.getpid()}').touch()
    while not (here / 'go').exists():
        time.sleep(0.01)
    return np.zeros(shape, dtype)
"""
QUICK = [{"name": f"t{i}", "shape": [1000 + i], "initializer": "he_normal"} for i in range(8)]


def slow_manifest(folder):
    """Write slow.py there; return a manifest's path whose last shard waits for a file `go`."""
    (folder / "slow.py").write_text(CODE)
    layers = "\n".join(
        f"  - {{name: {e['name']}, shape: {e['shape']}, initializer: he_normal}}" for e in QUICK
    )
    path = folder / "slow.yaml"
    path.write_text(
        f"layers:\n{layers}\n  - {{name: slow, shape: [1000], initializer: 'slow.py:slow'}}\n"
    )
    return path


def wait_for(what, seconds=60):
    """Return what `what` returns, as soon as it is true."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return found


def started(folder, seconds=60):
    """Return the number of the process that has begun to wait."""
    return wait_for(lambda: [int(p.name.split("-")[1]) for p in folder.glob("started-*")], seconds)[
        0
    ]
