"""Manifests of things that exist."""

from initlib._sources._source import Draft, manifest

__all__ = ["Draft", "manifest"]
