"""Writing a checkpoint: from a manifest to files that are whole under their final names."""

from initlib._generate._generate import Generated, TensorInfo, generate

__all__ = ["Generated", "TensorInfo", "generate"]
