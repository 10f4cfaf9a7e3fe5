"""Proving that a checkpoint is what its provenance or a manifest says, to the last bit."""

from initlib._verify._verdicts import TensorVerdict
from initlib._verify._verify import Verified, verify
from initlib._verify._whole import OtherFileError, recorded, whole_digests

__all__ = ["OtherFileError", "TensorVerdict", "Verified", "recorded", "verify", "whole_digests"]
