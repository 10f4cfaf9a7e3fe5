"""How to make the same bytes again, written into the file; docs/format.md specifies it.

No time, host, user or path goes in: the same manifest and version make the same file, byte for
byte.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from initlib import _custom, initializers
from initlib._digest import UNKNOWN
from initlib._plan import Plan, TensorPlan
from initlib._stream import STREAM_VERSION
from initlib._version import __version__

KEY = "initgen"


class Provenance:
    """The provenance of a plan's file; only the tensors' digests come later.

    Attributes:
        manifest_sha256: hash of the canonical manifest: equal manifests have equal hashes.
    """

    def __init__(self, plan: Plan) -> None:
        canonical = plan.manifest.canonical()
        self.manifest_sha256 = hashlib.sha256(_dump(canonical).encode()).hexdigest()
        rows, self._numbers = _distinct(plan.tensors)
        self._names = [tensor.entry.name for tensor in plan.tensors]
        # transformers loads only files that say which framework's tensors they hold.
        self._texts = {"format": "pt", **plan.manifest.metadata}
        self._record: dict[str, Any] = {
            "version": __version__,
            "stream": STREAM_VERSION,
            "seed": plan.manifest.seed,
            "manifest": canonical,
            "manifest_sha256": self.manifest_sha256,
            "initializers": rows,
        }
        if plan.only:
            self._record["only"] = list(plan.only)

    def metadata(self, digests: Sequence[str] | None = None) -> dict[str, str]:
        """Return the file's metadata: the manifest's own strings and the provenance.

        Args:
            digests: of each tensor; None leaves places of the right length for them.
        """
        known = digests or [UNKNOWN] * len(self._names)
        rows = zip(self._names, self._numbers, known, strict=True)
        tensors = {name: [number, digest] for name, number, digest in rows}
        return {**self._texts, KEY: _dump({**self._record, "tensors": tensors})}


def _dump(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _distinct(tensors: Sequence[TensorPlan]) -> tuple[list[Any], list[int]]:
    """Return the distinct initializers as plain data, and for each tensor which one it has."""
    rows: dict[str, int] = {}
    # Tensors that share a spec are many, and looking at it once is enough.
    by_spec: dict[int, int] = {}
    numbers = []
    for tensor in tensors:
        spec = id(tensor.spec)
        if spec not in by_spec:
            by_spec[spec] = rows.setdefault(_dump(_initializer(tensor)), len(rows))
        numbers.append(by_spec[spec])
    return [json.loads(row) for row in rows], numbers


def _initializer(tensor: TensorPlan) -> dict[str, Any]:
    """Return a tensor's initializer as it was resolved.

    "custom" marks code that isn't initlib's, "tolerance" how far other machines' values may be off.
    """
    if tensor.spec.custom:
        config = {"class_name": tensor.spec.identifier, "config": dict(tensor.spec.config)}
        source = _custom.source_sha256(tensor.initializer)
        return {**config, "custom": True, "source_sha256": source}
    resolved: dict[str, Any] = initializers.serialize(tensor.initializer)
    tolerance = getattr(tensor.initializer, "tolerance", None)
    return resolved if tolerance is None else {**resolved, "tolerance": tolerance}
