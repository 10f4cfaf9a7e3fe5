"""keras_file.py FILE DISTRIBUTION TENSORS SIDE: what a user of Keras would write."""

import sys

import keras
import numpy as np
from safetensors.numpy import save_file

path, distribution, count, side = *sys.argv[1:3], *map(int, sys.argv[3:])
classes = {
    "normal": keras.initializers.RandomNormal,
    "truncated": keras.initializers.TruncatedNormal,
}
make = classes[distribution](stddev=0.02, seed=keras.random.SeedGenerator(42))
tensors = {f"h.{i}.kernel": np.asarray(make((side, side))) for i in range(count)}
save_file(tensors, path)
