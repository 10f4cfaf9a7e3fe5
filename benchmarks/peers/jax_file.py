"""jax_file.py FILE DISTRIBUTION TENSORS SIDE: what a user of JAX would write."""

import sys

import jax
import numpy as np
from safetensors.numpy import save_file

path, distribution, count, side = *sys.argv[1:3], *map(int, sys.argv[3:])
make = {
    "normal": jax.nn.initializers.normal(0.02),
    "truncated": jax.nn.initializers.truncated_normal(0.02),
}[distribution]
keys = jax.random.split(jax.random.key(42), count)
tensors = {f"h.{i}.kernel": np.asarray(make(keys[i], (side, side))) for i in range(count)}
save_file(tensors, path)
