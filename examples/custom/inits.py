"""Initializers that Keras doesn't have, in the three forms that one can take."""

import numpy as np

from initlib import random
from initlib.initializers import Initializer


def sinusoidal(shape, dtype=None):
    """Return the position table of the Transformer: a sine and a cosine for each wavelength.

    Source: Vaswani et al., "Attention is all you need", 2017.
    """
    positions, width = shape
    wavelengths = 10_000.0 ** (np.arange(0, width, 2) / width)
    angles = np.arange(positions)[:, None] / wavelengths
    table = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    return table.reshape(positions, -1)[:, :width].astype(dtype)


class Sparse(Initializer):
    """Draws from a normal distribution, and leaves all but a part of the elements at zero.

    Draws without a seed follow from the manifest's seed and the tensor's name.

    Args:
        density: the part that isn't zero, from 0 to 1.
        stddev: standard deviation of that part.
    """

    def __init__(self, density, stddev=1.0):
        self.density = density
        self.stddev = stddev

    def __call__(self, shape, dtype=None):
        """Return a new array."""
        values = random.normal(shape, stddev=self.stddev, dtype=dtype)
        values[random.uniform(shape) >= self.density] = 0
        return values

    def get_config(self):
        """Return the constructor's arguments."""
        return {"density": self.density, "stddev": self.stddev}


class LogRange(Initializer):
    """Makes every row log 1, log 2, ..., log n, as a state space model's decay rates start.

    Source: Gu et al., "On the parameterization and initialization of diagonal state space models",
    2022 (S4D-Real).
    """

    def fill(self, out, start, target):
        """Write elements start .. start + out.size, in C order, into `out`."""
        columns = np.arange(start, start + out.size) % target.shape[-1]
        out[:] = np.log(columns + 1)
