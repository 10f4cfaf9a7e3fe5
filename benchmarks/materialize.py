"""materialize.py WHAT: import torch and, if WHAT is "materialize", fill a small module."""

from __future__ import annotations

import sys

import torch

LAYERS = [
    {"name": "weight", "shape": [256, 784], "initializer": "he_normal"},
    {"name": "bias", "shape": [256], "initializer": "zeros"},
]
with torch.device("meta"):
    module = torch.nn.Linear(784, 256)
if sys.argv[1] == "materialize":
    import initlib

    initlib.torch.materialize(module, {"layers": LAYERS})
    assert not module.weight.is_meta
