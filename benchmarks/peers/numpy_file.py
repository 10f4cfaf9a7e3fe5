"""numpy_file.py FILE DISTRIBUTION TENSORS SIDE: what a user of NumPy would write.

NumPy has no truncated normal: values beyond two stddev are drawn again until none is left.
"""

import sys

import numpy as np
from safetensors.numpy import save_file

path, distribution, count, side = *sys.argv[1:3], *map(int, sys.argv[3:])
generator = np.random.default_rng(42)
tensors = {}
for i in range(count):
    values = generator.standard_normal((side, side), np.float32)
    if distribution == "truncated":
        while (beyond := np.abs(values) > 2).any():
            values[beyond] = generator.standard_normal(beyond.sum(), np.float32)
    values *= np.float32(0.02)
    tensors[f"h.{i}.kernel"] = values
save_file(tensors, path)
