"""Shards: one checkpoint in several files, and the index that lists them, as the hub expects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from initlib import _manifest
from initlib._dtypes import dtype_name
from initlib._errors import RequestError
from initlib._manifest import Manifest
from initlib._plan import Plan, TensorPlan
from initlib._provenance import KEY, ORIGIN, index_record
from initlib._workers import byte_size

STEM = "model"
SUFFIX = ".safetensors"
INDEX = f"{STEM}{SUFFIX}.index.json"

# As transformers' own shards are.
USUAL = 5_000_000_000
MOST = 99_999
# Bytes of a manifest that an index also has; without it, it is put together from the shards' own.
MOST_MANIFEST = 16 << 20


def shard_bytes(size: int | str | None) -> int:
    """Return a size of shards in bytes.

    Args:
        size: in bytes, or as a text such as "5GB" or "512MiB"; None for the usual one.

    Raises:
        RequestError: it is no size, or none that holds anything.
    """
    return USUAL if size is None else byte_size(size, "a size of shards such as 5GB")


def split(plan: Plan, nbytes: int) -> list[Plan]:
    """Cut a plan into shards of at most so many bytes, in the manifest's order.

    A tensor is never cut: a larger one is a shard by itself. Each shard is the plan of a file by
    itself, whose manifest lists its tensors alone, so that what is known of a shard doesn't grow
    with the others; one that would be the only one is the plan as it was.

    Raises:
        RequestError: there would be more than their names have digits for.
    """
    shards: list[list[TensorPlan]] = [[]]
    size = 0
    for tensor in plan.tensors:
        if shards[-1] and size + tensor.entry.nbytes > nbytes:
            shards.append([])
            size = 0
        shards[-1].append(tensor)
        size += tensor.entry.nbytes
    if len(shards) > MOST:
        raise RequestError(f"expected at most {MOST:,} shards, not {len(shards):,}: larger ones")
    if len(shards) == 1:
        return [plan]
    return [Plan(_listing(plan.manifest, tensors), (), tuple(tensors)) for tensors in shards]


def _listing(manifest: Manifest, tensors: Sequence[TensorPlan]) -> Manifest:
    """Return the manifest of some of a manifest's tensors, each written out."""
    # Tensors that share an initializer are many.
    specs = {id(tensor.spec): tensor for tensor in tensors}
    written = {key: _manifest.write(tensor.named) for key, tensor in specs.items()}
    layers = []
    for tensor in tensors:
        layer: dict[str, Any] = {
            "name": tensor.entry.name.replace("{", "{{").replace("}", "}}"),
            "shape": list(tensor.entry.shape),
            "initializer": written[id(tensor.spec)],
        }
        dtype = dtype_name(tensor.entry.dtype)
        own = {"dtype": (dtype, manifest.dtype), "seed": (tensor.seed, manifest.seed)}
        layer |= {key: value for key, (value, usual) in own.items() if value != usual}
        layers.append(layer)
    listed = {
        "version": manifest.version,
        "seed": manifest.seed,
        "dtype": manifest.dtype,
        "layout": manifest.layout,
        "layers": layers,
        "metadata": {**manifest.metadata, ORIGIN: manifest.sha256},
    }
    return replace(_manifest.read(listed), source=manifest.source, folder=manifest.folder)


def file_names(count: int) -> list[str]:
    """Return the names of so many shards; of one, that of a file without an index."""
    if count == 1:
        return [STEM + SUFFIX]
    return [f"{STEM}-{i + 1:05}-of-{count:05}{SUFFIX}" for i in range(count)]


def index_text(plan: Plan, shards: Sequence[Plan]) -> str:
    """Return the text of the index of a plan's shards, of which there are two or more."""
    names = file_names(len(shards))
    places = {
        tensor.entry.name: name
        for name, shard in zip(names, shards, strict=True)
        for tensor in shard.tensors
    }
    metadata: dict[str, int | str] = {
        "total_parameters": plan.parameters,
        "total_size": plan.nbytes,
    }
    if len(plan.manifest.text) <= MOST_MANIFEST:
        metadata[KEY] = index_record(plan)
    index = {"metadata": metadata, "weight_map": places}
    return json.dumps(index, indent=2, sort_keys=True) + "\n"
