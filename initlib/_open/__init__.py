"""Checkpoints that need no storage, with the interface of those that do."""

from initlib._open._frameworks import check_jax_has, torch_device
from initlib._open._open import Source, TensorSlice, Weights, open, weights_of  # noqa: A004

__all__ = [
    "Source",
    "TensorSlice",
    "Weights",
    "check_jax_has",
    "open",
    "torch_device",
    "weights_of",
]
