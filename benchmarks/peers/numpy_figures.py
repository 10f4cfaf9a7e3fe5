"""numpy_figures.py FILE: look at a file's tensors as a user of NumPy would.

Moments are in the values' own precision, which takes half the time of float64.
"""

import sys

import numpy as np
from safetensors import safe_open

SHARES = [0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999]

with safe_open(sys.argv[1], "np") as file:
    for name in file.keys():  # noqa: SIM118 - it can't be iterated itself
        x = file.get_tensor(name).reshape(-1)
        nan, infinite = np.isnan(x).sum(), np.isinf(x).sum()
        zeros = x.size - np.count_nonzero(x)
        if nan or infinite:
            x = x[np.isfinite(x)]
        low, high, mean, l2 = x.min(), x.max(), x.mean(), np.linalg.norm(x)
        d = x - mean
        square = d * d
        variance = square.mean()
        skewness = (square * d).mean() / variance**1.5
        kurtosis = (square * square).mean() / variance**2 - 3
        quantiles = np.quantile(x, SHARES)
        histogram, _ = np.histogram(x, 64, (low, high))
        print(name, nan, infinite, zeros, low, high, mean, np.sqrt(variance))
        print(skewness, kurtosis, l2, quantiles, histogram)
