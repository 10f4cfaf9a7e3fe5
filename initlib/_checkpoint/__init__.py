"""Anyone's checkpoint, open for reading: a file, shards or a Keras archive."""

from __future__ import annotations

from initlib._checkpoint._checkpoint import Checkpoint, Stored, open_checkpoint, read_metadata

__all__ = ["Checkpoint", "Stored", "open_checkpoint", "read_metadata"]
