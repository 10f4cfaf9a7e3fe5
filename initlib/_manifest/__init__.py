"""Manifests: what tensors a checkpoint holds and how each is initialised. See docs/manifest.md."""

from initlib._manifest._expand import MAX_RANK
from initlib._manifest._initializers import write
from initlib._manifest._manifest import Manifest, compact
from initlib._manifest._names import MAX_NAME
from initlib._manifest._read import is_manifest, read
from initlib._manifest._schema import schema
from initlib._manifest._specs import InitializerSpec, TensorSpec, Where
from initlib._manifest._yaml import flow

__all__ = [
    "MAX_NAME",
    "MAX_RANK",
    "InitializerSpec",
    "Manifest",
    "TensorSpec",
    "Where",
    "compact",
    "flow",
    "is_manifest",
    "read",
    "schema",
    "write",
]
