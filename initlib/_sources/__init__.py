"""Manifests of things that exist."""

from initlib._sources._draft import Draft
from initlib._sources._source import manifest

__all__ = ["Draft", "manifest"]
