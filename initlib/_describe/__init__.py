"""Looking at checkpoints, and at manifests before anything is made."""

from initlib._describe._describe import describe

__all__ = ["describe"]
