"""The stream, version 1: numbers as a pure function of (seed, name, index). See docs/stream.md."""

from initlib._stream._distributions import Distribution, Normal, TruncatedNormal, Uniform
from initlib._stream._engine import prepare
from initlib._stream._reference import cos_sin_of_turn
from initlib._stream._streams import MAX_SEED, STREAM_VERSION, Stream, check_seed
from initlib._stream._truncated import Truncated

__all__ = [
    "MAX_SEED",
    "STREAM_VERSION",
    "Distribution",
    "Normal",
    "Stream",
    "Truncated",
    "TruncatedNormal",
    "Uniform",
    "check_seed",
    "cos_sin_of_turn",
    "prepare",
]
