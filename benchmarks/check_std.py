"""check_std.py FILE STDDEV: are the values of a safetensors file as wide as they should be?"""

from __future__ import annotations

import math
import sys

from safetensors.numpy import load_file

for name, values in load_file(sys.argv[1]).items():
    expected, found = float(sys.argv[2]), values.std(dtype="float64")
    # Five times the sampling error for a normal; a truncated one's is smaller.
    if abs(found / expected - 1) > 5 / math.sqrt(2 * values.size):
        raise SystemExit(f"{sys.argv[1]}: {name} has stddev {found}, not {expected}")
