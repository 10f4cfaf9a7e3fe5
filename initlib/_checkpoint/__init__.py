"""Anyone's checkpoint, open for reading: a file, shards or a Keras archive."""

from __future__ import annotations

from initlib._checkpoint._archive import read_config
from initlib._checkpoint._checkpoint import Checkpoint, Stored, open_checkpoint, read_metadata
from initlib._checkpoint._recognise import INDEX_SUFFIX

__all__ = [
    "INDEX_SUFFIX",
    "Checkpoint",
    "Stored",
    "open_checkpoint",
    "read_config",
    "read_metadata",
]
