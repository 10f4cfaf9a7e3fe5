"""initlib from Python: built-in initializers, two of your own, and a file with all of them."""

import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

import initlib
from initlib import initializers, random

# A built-in one is called with a shape, as in Keras, and returns a NumPy array. The same seed gives
# the same values on every machine.
kernel = initializers.GlorotUniform(seed=1)((784, 256))
print("glorot_uniform", kernel.shape, kernel.dtype, f"std {kernel.std():.4f}")

# Identifiers and configs are Keras's, too.
initializer = initializers.get({"class_name": "HeNormal", "config": {"seed": 2}})
print("he_normal", f"std {initializer((784, 256), dtype='bfloat16').astype('float32').std():.4f}")


# Any function of shape and dtype is an initializer ...
def lognormal(shape, dtype=None):
    """Draw from the log-normal distribution."""
    return np.exp(random.normal(shape)).astype(dtype)


# ... and so is a subclass, which takes arguments and can be written to a config.
class Clipped(initializers.Initializer):
    """Draws from a normal distribution, and clips what lies beyond a limit to it."""

    def __init__(self, stddev=1.0, limit=1.0, seed=None):
        self.stddev = stddev
        self.limit = limit
        self.seed = seed

    def __call__(self, shape, dtype=None):
        """Return a new array."""
        values = random.normal(shape, stddev=self.stddev, dtype=dtype, seed=self.seed)
        return np.clip(values, -self.limit, self.limit)

    def get_config(self):
        """Return the constructor's arguments."""
        return {"stddev": self.stddev, "limit": self.limit, "seed": self.seed}


clipped = Clipped(stddev=2.0, seed=3)
again = Clipped.from_config(clipped.get_config())
print("clipped", clipped((4,)), "and again", again((4,)))

# A checkpoint: the manifest is a mapping here; it could be the name of a YAML file.
manifest = {
    "seed": 42,
    "layers": [
        {"name": "dense/kernel", "shape": [784, 256], "initializer": "he_normal"},
        {"name": "dense/bias", "shape": [256], "initializer": "zeros"},
        {"name": "gate/kernel", "shape": [256, 256], "initializer": f"{__file__}:Clipped"},
        {"name": "gate/scale", "shape": [256], "initializer": f"{__file__}:lognormal"},
    ],
}
