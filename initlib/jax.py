"""JAX arrays with the values of a manifest, for any sharding.

import initlib

params = initlib.jax.arrays("model.yaml", {"dense": {"kernel": sharding, "bias": sharding}})
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from initlib._errors import RequestError
from initlib._extras import extra
from initlib._formats import DTYPE_OF
from initlib._open import Source, TensorSlice, Weights, check_jax_has, weights_of

__all__ = ["array", "arrays"]

Function = Callable[[str, tuple[int, ...]], Any]


def arrays(
    manifest: Source | Weights,
    shardings: Any,
    *,
    separator: str = "/",
    seed: int | None = None,
    dtype: Any = None,
    threads: int | None = None,
    allow_code: bool = False,
) -> Any:
    """Return arrays with the values that `generate` writes, each device's part made alone.

    No process makes more than its own devices hold, and there is no communication: the values are
    the same on any mesh. What several devices hold alike is made once.

    Args:
        manifest: as `initlib.open` takes it, or what that returned.
        shardings: a pytree (such as a dict, flat or nested) whose leaves are `jax.sharding`'s
            Shardings, each at the name of its tensor, for these tensors alone; or for each tensor
            of the manifest a function that returns the sharding of a name and a shape, or one
            Sharding for all.
        separator: what the manifest has between the keys of a nested tree.
        seed: replaces the manifest's seed.
        dtype: replaces the manifest's default dtype, by its name or as NumPy's.
        threads: how many to use for what is large; None is one for each core.
        allow_code: let the manifest's custom initializers run.

    Returns:
        A tree of the same structure, of arrays; for a function or one sharding, a dict by name.

    Raises:
        RequestError: the manifest has no tensor of a name, its dtype is none of JAX's, or a
            sharding doesn't fit its shape; another argument is wrong, or JAX isn't installed.
        StorageError: the manifest can't be read.
    """
    with extra("jax"):
        import jax
    weights = weights_of(manifest, seed=seed, dtype=dtype, threads=threads, allow_code=allow_code)
    if isinstance(shardings, jax.sharding.Sharding):
        return {name: array(weights, name, shardings) for name in weights.offset_keys()}
    if callable(shardings):
        wanted = {name: shardings(name, _shape(weights, name)) for name in weights.offset_keys()}
        return {name: array(weights, name, sharding) for name, sharding in wanted.items()}
    leaves, structure = jax.tree_util.tree_flatten_with_path(shardings)
    names = [jax.tree_util.keystr(path, simple=True, separator=separator) for path, _ in leaves]
    parts = [weights.get_slice(name) for name in names]
    made = [_array(*each) for each in zip(names, parts, (leaf for _, leaf in leaves), strict=True)]
    return jax.tree_util.tree_unflatten(structure, made)


def array(manifest: Source | Weights, name: str, sharding: Any) -> Any:
    """Return one array; see `arrays`.

    Args:
        manifest: as `arrays` takes it; for many arrays `initlib.open` reads it once.
        name: of the tensor.
        sharding: one of `jax.sharding`'s.

    Raises:
        RequestError: there is no tensor of this name, its dtype is none of JAX's, or the sharding
            doesn't fit its shape; or JAX isn't installed.
    """
    return _array(name, weights_of(manifest).get_slice(name), sharding)


def _array(name: str, part: TensorSlice, sharding: Any) -> Any:
    with extra("jax"):
        import jax
    if not isinstance(sharding, jax.sharding.Sharding):
        what = type(sharding).__name__
        raise RequestError(f"{name!r}: expected a sharding of JAX's, received a {what}")
    shape, dtype = tuple(part.get_shape()), DTYPE_OF[part.get_dtype()]
    try:
        check_jax_has(dtype)
    except RequestError as error:
        raise RequestError(f"{name!r}: {error}") from None
    try:
        # That it names more axes than there are, only the first of the two says.
        sharding.check_compatible_aval(shape)
        sharding.shard_shape(shape)
        sharding.addressable_devices  # noqa: B018 (an abstract mesh has none)
    except ValueError as error:
        reason = str(error).partition("\n")[0]
        raise RequestError(f"{name!r}: the sharding doesn't fit {[*shape]}: {reason}") from None
    made: dict[tuple[tuple[int, int, int], ...], Any] = {}

    def data(index: tuple[slice, ...]) -> Any:
        places = tuple(i.indices(size) for i, size in zip(index, shape, strict=True))
        if places not in made:
            made[places] = np.empty([len(range(*each)) for each in places], dtype)
            part.read_into(index, made[places])
        return made[places]

    return jax.make_array_from_callback(shape, sharding, data, dtype=dtype)


def _shape(weights: Weights, name: str) -> tuple[int, ...]:
    return tuple(weights.get_slice(name).get_shape())
