"""orthogonal.py ROWS COLUMNS REPEATS: seconds for a float32 matrix by initlib; print JSON."""

from __future__ import annotations

import json
import sys
import time

from initlib.initializers import Orthogonal

rows, columns, repeats = map(int, sys.argv[1:])
seconds = []
for _ in range(repeats + 1):
    begin = time.perf_counter()
    Orthogonal(seed=1)((rows, columns))
    seconds.append(time.perf_counter() - begin)
json.dump(seconds[1:], sys.stdout)
