"""Freshly initialised model weights: Keras's initializers, streamed to safetensors or HDF5.

    import initlib

    initlib.generate("model.yaml", "model.safetensors")
    initlib.initializers.GlorotUniform(seed=1)((784, 256))

Everything here is imported when it is first used, so that `import initlib` costs next to nothing.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from initlib._version import __version__

if TYPE_CHECKING:
    from initlib import initializers, jax, random, torch
    from initlib._describe import describe
    from initlib._description import (
        QUANTILES,
        Description,
        Expected,
        Group,
        Histogram,
        Judgement,
        Outline,
        PlannedTensor,
        Spectrum,
        Statistics,
        TensorDescription,
        Unread,
    )
    from initlib._diff import Difference, MetadataDifference, TensorDifference, diff
    from initlib._errors import InitlibError, ManifestError, RequestError, StorageError
    from initlib._generate import Generated, TensorInfo, generate
    from initlib._open import TensorSlice, Weights, open  # noqa: A004
    from initlib._output import TextFile, abandon
    from initlib._schemas import schema
    from initlib._sources import Draft, manifest
    from initlib._verify import TensorVerdict, Verified, verify

if sys.byteorder != "little":
    # Files, streams and kernels have numbers so; no machine of the other kind has all libraries.
    raise ImportError("initlib needs a little-endian processor; this one is big-endian")

# Where each public name is defined; an empty module stands for a submodule of that name.
_HOME = {
    "Description": "_description",
    "Difference": "_diff",
    "Draft": "_sources",
    "Expected": "_description",
    "Generated": "_generate",
    "Group": "_description",
    "Histogram": "_description",
    "InitlibError": "_errors",
    "Judgement": "_description",
    "ManifestError": "_errors",
    "MetadataDifference": "_diff",
    "Outline": "_description",
    "PlannedTensor": "_description",
    "QUANTILES": "_description",
    "RequestError": "_errors",
    "Spectrum": "_description",
    "Statistics": "_description",
    "StorageError": "_errors",
    "TensorDescription": "_description",
    "TensorDifference": "_diff",
    "TensorInfo": "_generate",
    "TensorSlice": "_open",
    "TensorVerdict": "_verify",
    "TextFile": "_output",
    "Unread": "_description",
    "Verified": "_verify",
    "Weights": "_open",
    "abandon": "_output",
    "describe": "_describe",
    "diff": "_diff",
    "generate": "_generate",
    "initializers": "",
    "jax": "",
    "manifest": "_sources",
    "open": "_open",
    "random": "",
    "schema": "_schemas",
    "torch": "",
    "verify": "_verify",
}

__all__ = [
    "QUANTILES",
    "Description",
    "Difference",
    "Draft",
    "Expected",
    "Generated",
    "Group",
    "Histogram",
    "InitlibError",
    "Judgement",
    "ManifestError",
    "MetadataDifference",
    "Outline",
    "PlannedTensor",
    "RequestError",
    "Spectrum",
    "Statistics",
    "StorageError",
    "TensorDescription",
    "TensorDifference",
    "TensorInfo",
    "TensorSlice",
    "TensorVerdict",
    "TextFile",
    "Unread",
    "Verified",
    "Weights",
    "__version__",
    "abandon",
    "describe",
    "diff",
    "generate",
    "initializers",
    "jax",
    "manifest",
    "open",
    "random",
    "schema",
    "torch",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'initlib' has no attribute {name!r}")
    home = _HOME[name]
    module = importlib.import_module(f"initlib.{home or name}")
    value = getattr(module, name) if home else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
