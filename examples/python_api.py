"""initlib from Python: built-in initializers, two of your own, and a file made with all of them."""

import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

import initlib
from initlib import initializers, random


# Any function of a shape and a dtype is an initializer ...
def lognormal(shape, dtype=None):
    """Draw from the log-normal distribution."""
    return np.exp(random.normal(shape)).astype(dtype)


# ... and so is a subclass, which can have arguments and be written to a config.
class Clipped(initializers.Initializer):
    """Draws from a normal distribution, and moves what lies beyond a limit to the limit."""

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


# What `generate` takes is the name of a YAML or JSON file, or a mapping such as this. Code is named
# by its module, or by its file as in custom/custom.yaml.
MANIFEST = {
    "seed": 42,
    "layers": [
        {"name": "dense/kernel", "shape": [784, 256], "initializer": "he_normal"},
        {"name": "dense/bias", "shape": [256], "initializer": "zeros"},
        {"name": "gate/kernel", "shape": [256, 256], "initializer": "python_api:Clipped"},
        {"name": "gate/scale", "shape": [256], "initializer": "python_api:lognormal"},
    ],
}


def main() -> None:
    """Make arrays, then a file."""
    # As in Keras, an initializer is called with a shape; the result is a NumPy array. The same seed
    # gives the same values each time and on every machine.
    kernel = initializers.GlorotUniform(seed=1)((784, 256))
    print(f"glorot_uniform  {kernel.dtype} {kernel.shape}, std {kernel.std():.4f}")

    # Names and configs are Keras's as well.
    he_normal = initializers.get({"class_name": "HeNormal", "config": {"seed": 2}})
    print(f"he_normal       {he_normal((3,), dtype='bfloat16')}")

    clipped = Clipped(stddev=2.0, seed=3)
    copy = Clipped.from_config(clipped.get_config())
    print(f"clipped         {clipped((3,))}, and its copy {copy((3,))}")

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.safetensors")
        done = initlib.generate(MANIFEST, file, allow_code=True)
        print(f"model           {len(done.tensors)} tensors, {done.parameters:,} parameters")
        for name, values in load_file(file).items():
            print(f"  {name:13} mean {values.mean():+.4f}  std {values.std():.4f}")


if __name__ == "__main__":
    main()
