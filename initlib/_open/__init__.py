"""Checkpoints that need no storage, with the interface of those that do."""

from initlib._open._open import TensorSlice, Weights, open  # noqa: A004

__all__ = ["TensorSlice", "Weights", "open"]
