"""Telling two checkpoints apart: which tensors differ, and by how much."""

from initlib._diff._diff import Difference, MetadataDifference, TensorDifference, diff

__all__ = ["Difference", "MetadataDifference", "TensorDifference", "diff"]
