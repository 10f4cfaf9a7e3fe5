"""Proving that a checkpoint is what its provenance or a manifest says, to the last bit."""

from initlib._verify._verdicts import TensorVerdict
from initlib._verify._verify import Verified, verify
from initlib._verify._whole import whole_digests

__all__ = ["TensorVerdict", "Verified", "verify", "whole_digests"]
