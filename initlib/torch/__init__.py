"""Torch modules filled with the values of a manifest: plain, FSDP2's, tensor-parallel.

import initlib

initlib.torch.materialize(module, "model.yaml")
"""

from initlib.torch._materialize import Materialized, materialize

__all__ = ["Materialized", "materialize"]
