"""describe.py REPEATS FILE...: how fast initlib describes files when it is loaded; print JSON.

Of each file the rates in GB/s. The first call, which loads kernels and libraries and brings the
file into memory, isn't counted.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import initlib


def rate(path: Path) -> float:
    """Return GB/s of one call."""
    begin = time.perf_counter()
    initlib.describe(path)
    return path.stat().st_size / (time.perf_counter() - begin) / 1e9


paths = [Path(name) for name in sys.argv[2:]]
for path in paths:
    rate(path)
json.dump([[rate(path) for _ in range(int(sys.argv[1]))] for path in paths], sys.stdout)
