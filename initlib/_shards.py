"""Shards: one checkpoint in several files, and the index that lists them, as the hub expects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from glob import escape

from initlib._errors import RequestError
from initlib._plan import Plan, TensorPlan
from initlib._workers import byte_size

STEM = "model"
SUFFIX = ".safetensors"
INDEX = f"{STEM}{SUFFIX}.index.json"

# As transformers' own shards are.
USUAL = 5_000_000_000
MOST = 99_999


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
    itself, of the tensors that it names; one that would be the only one is the plan as it was.

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
    return [_part(plan, tensors) for tensors in shards]


def _part(plan: Plan, tensors: Sequence[TensorPlan]) -> Plan:
    names = tuple(escape(tensor.entry.name) for tensor in tensors)
    return replace(plan, only=names, tensors=tuple(tensors))


def file_names(count: int) -> list[str]:
    """Return the names of so many shards; of one, that of a file without an index."""
    if count == 1:
        return [STEM + SUFFIX]
    return [f"{STEM}-{i + 1:05}-of-{count:05}{SUFFIX}" for i in range(count)]


def index_text(shards: Sequence[Plan]) -> str:
    """Return the text of the index of two or more shards."""
    names = file_names(len(shards))
    places = {
        tensor.entry.name: name
        for name, shard in zip(names, shards, strict=True)
        for tensor in shard.tensors
    }
    totals = {
        "total_parameters": sum(shard.parameters for shard in shards),
        "total_size": sum(shard.nbytes for shard in shards),
    }
    index = {"metadata": totals, "weight_map": places}
    return json.dumps(index, indent=2, sort_keys=True) + "\n"
