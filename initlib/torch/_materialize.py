"""The one function of `initlib.torch`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from initlib._extras import extra
from initlib._open import Source, Weights, weights_of


@dataclass(frozen=True, slots=True)
class Materialized:
    """What `materialize` did.

    Attributes:
        filled: names of what was filled from the manifest; of tied tensors, the manifest's.
        computed: names of the buffers that functions of the module's computed.
        missing_keys: names of what the manifest hasn't, which was left as it was: what is on the
            meta device is there still. Only with ``strict=False``.
        unexpected_keys: names of the manifest's that the module hasn't. Only with ``strict=False``.
        elements: how many elements this process holds of what was filled.
    """

    filled: tuple[str, ...]
    computed: tuple[str, ...]
    missing_keys: tuple[str, ...]
    unexpected_keys: tuple[str, ...]
    elements: int


def materialize(
    module: Any,
    manifest: Source | Weights,
    *,
    device: Any = None,
    seed: int | None = None,
    dtype: Any = None,
    strict: bool = True,
    buffers: Callable[[Any], Any] | None = None,
    threads: int | None = None,
    allow_code: bool = False,
) -> Materialized:
    """Fill a module's parameters and buffers in place with the values that `generate` writes.

    Tensors that are on the meta device get memory first. Of a DTensor (from `fully_shard`,
    `parallelize_module`, `distribute_module`) each process makes and holds its own part alone, with
    no communication: the values are the same on any mesh. All is checked before anything is
    changed. Tied tensors stay tied, and are filled once.

    A buffer that isn't saved (``persistent=False``) and has no values yet needs a source: the
    manifest may have it by its name; else `buffers` or, where its module has no parameters of its
    own, that module's ``reset_parameters()`` computes it.

    Args:
        module: a `torch.nn.Module`, on meta or not.
        manifest: as `initlib.open` takes it, or what that returned.
        device: where to put what is on meta; None is the meshes' device where there are DTensors,
            and torch's default device elsewhere.
        seed: replaces the manifest's seed.
        dtype: replaces the manifest's default dtype, by its name or as NumPy's.
        strict: names that only the module or only the manifest has are an error.
        buffers: called with each submodule that owns such buffers, to write them in place or
            replace them; transformers' models have it as ``model._init_weights``.
        threads: how many to use for what is large; None is one for each core, shared by the
            processes that torchrun started on this machine.
        allow_code: let the manifest's custom initializers run.

    Raises:
        RequestError: module and manifest don't fit (a name, a shape, a dtype), a tensor is of a
            kind that can't be filled, or this process has no part in its mesh; a buffer has no
            source; another argument is wrong, or torch isn't installed.
        StorageError: the manifest can't be read.
    """
    with extra("torch"):
        from initlib.torch._module import Filling
    count = _share_of_cores() if threads is None else threads
    weights = weights_of(manifest, seed=seed, dtype=dtype, threads=count, allow_code=allow_code)
    filling = Filling.of(module, weights, strict=strict, buffers=buffers)
    filling.give_memory(device)
    computed = filling.compute()
    elements = filling.fill()
    return Materialized(
        tuple(filling.sources), computed, filling.missing, filling.unexpected, elements
    )


def _share_of_cores() -> int | None:
    """Return how many threads a process may use beside others that torchrun started here."""
    processes = os.environ.get("LOCAL_WORLD_SIZE", "1")
    if not processes.isdecimal() or int(processes) < 2:
        return None
    return max(1, len(os.sched_getaffinity(0)) // int(processes))
