"""torch_figures.py FILE: look at a file's tensors as a user of torch would.

Moments are in the values' own precision, which takes half the time of float64. `torch.quantile`
refuses so many values, so they are sorted, which is what it does itself.
"""

import sys

import torch
from safetensors import safe_open

SHARES = torch.tensor([0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999])

with safe_open(sys.argv[1], "pt") as file:
    for name in file.keys():  # noqa: SIM118 - it can't be iterated itself
        x = file.get_tensor(name).reshape(-1)
        nan, infinite = x.isnan().sum(), x.isinf().sum()
        zeros = x.numel() - x.count_nonzero()
        if nan or infinite:
            x = x[x.isfinite()]
        (low, high), mean, l2 = x.aminmax(), x.mean(), torch.linalg.vector_norm(x)
        d = x - mean
        square = d * d
        variance = square.mean()
        skewness = (square * d).mean() / variance**1.5
        kurtosis = (square * square).mean() / variance**2 - 3
        quantiles = x.sort().values[(SHARES * (x.numel() - 1)).long()]
        histogram = torch.histc(x, 64, low.item(), high.item())
        print(name, nan, infinite, zeros, low, high, mean, variance.sqrt())
        print(skewness, kurtosis, l2, quantiles, histogram)
