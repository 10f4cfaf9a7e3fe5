"""A module's tensors, and what becomes of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from initlib._dtypes import dtype_name
from initlib._errors import RequestError, did_you_mean
from initlib._formats import DTYPE_OF
from initlib._open import Weights, torch_device
from initlib.torch._local import is_dtensor, part_of

Compute = Callable[[torch.nn.Module], Any]
# What fresh memory of buffers holds until they are computed: bytes that no one leaves by chance.
UNTOUCHED = 0xA5
# So many names a message lists.
LISTED = 3


@dataclass(frozen=True, slots=True)
class Slot:
    """A tensor of a module's.

    Attributes:
        names: in the module's state dict, several where it is tied.
        saved: whether it is in the state dict, as parameters and persistent buffers are.
        places: the submodules that have it, and the attribute's name there.
    """

    names: tuple[str, ...]
    saved: bool
    places: tuple[tuple[torch.nn.Module, str], ...]

    @property
    def name(self) -> str:
        """The first of its names."""
        return self.names[0]

    @property
    def tensor(self) -> Any:
        """The tensor that is there now."""
        module, key = self.places[0]
        return getattr(module, key)

    def tie(self) -> None:
        """Put the first place's tensor at all others."""
        for module, key in self.places[1:]:
            if getattr(module, key) is not self.tensor:
                setattr(module, key, self.tensor)


def slots_of(module: torch.nn.Module) -> list[Slot]:
    """Return a module's tensors.

    Raises:
        RequestError: it isn't a module, or has others in its state dict.
    """
    if not isinstance(module, torch.nn.Module):
        raise RequestError(f"expected a torch.nn.Module, received a {type(module).__name__}")
    tensors: dict[int, Any] = {}
    places: dict[int, list[tuple[torch.nn.Module, str]]] = {}
    paths: dict[int, list[str]] = {}
    for path, part in module.named_modules(remove_duplicate=False):
        for key, tensor in _own(part):
            tensors[id(tensor)] = tensor
            paths.setdefault(id(tensor), []).append(f"{path}.{key}".lstrip("."))
            if (part, key) not in places.setdefault(id(tensor), []):
                places[id(tensor)].append((part, key))
    names: dict[int, list[str]] = {}
    for name, value in module.state_dict(keep_vars=True).items():
        if isinstance(value, torch.Tensor) and not name.endswith("_extra_state"):
            if id(value) not in tensors:
                raise RequestError(f"{name!r} of the state dict is no tensor of the module's")
            names.setdefault(id(value), []).append(name)
    return [
        Slot(tuple(names.get(key, paths[key])), key in names, tuple(places[key])) for key in tensors
    ]


def _own(module: torch.nn.Module) -> list[tuple[str, Any]]:
    """Return the parameters and buffers that a submodule itself has."""
    return [
        *module.named_parameters(recurse=False, remove_duplicate=False),
        *module.named_buffers(recurse=False, remove_duplicate=False),
    ]


@dataclass(frozen=True, slots=True)
class Filling:
    """What will be done with a module.

    Attributes:
        module: the module.
        weights: the manifest's tensors.
        sources: what is filled from the manifest, by the manifest's name.
        computed: buffers to be computed.
        functions: what computes those of a submodule.
        missing: names of what is left as it is.
        unexpected: names that the manifest alone has.
    """

    module: torch.nn.Module
    weights: Weights
    sources: Mapping[str, Slot]
    computed: Sequence[Slot]
    functions: Mapping[torch.nn.Module, Callable[[], Any]]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]

    @classmethod
    def of(
        cls, module: torch.nn.Module, weights: Weights, *, strict: bool, buffers: Compute | None
    ) -> Filling:
        """Return what is to be done.

        Raises:
            RequestError: module and manifest don't fit.
        """
        slots = slots_of(module)
        known = set(weights.keys())
        sources: dict[str, Slot] = {}
        functions: dict[torch.nn.Module, Callable[[], Any]] = {}
        lacking: list[str] = []
        computed: list[Slot] = []
        uncomputed: list[Slot] = []
        for slot in slots:
            name = _source(slot, known, strict=strict)
            if name is not None:
                sources[name] = slot
                _check(name, slot, weights)
            elif slot.saved:
                lacking.append(slot.name)
            elif slot.tensor.is_meta:
                function = _function(slot, buffers)
                (uncomputed if function is None else computed).append(slot)
                if function is not None:
                    functions[slot.places[0][0]] = function
        taken = {name for slot in slots for name in slot.names}
        unexpected = tuple(name for name in weights.offset_keys() if name not in taken)
        left = (*lacking, *(slot.name for slot in uncomputed))
        if strict:
            _refuse(lacking, unexpected, uncomputed, known)
        return cls(module, weights, sources, computed, functions, left, unexpected)

    def give_memory(self, device: Any) -> None:
        """Give memory to what is on meta and will be filled or computed.

        Raises:
            RequestError: torch has no such device.
        """
        slots = [*self.sources.values(), *self.computed]
        wanted = {id(slot.tensor) for slot in slots if slot.tensor.is_meta}
        if not wanted:
            return
        place = _device(device, slots)

        def made(tensor: Any) -> Any:
            if id(tensor) not in wanted:
                return tensor
            if is_dtensor(tensor) or 0 in tensor.stride():
                return torch.empty_like(tensor, device=place)
            # Of what is on meta, `empty_like` imports SymPy, which takes half a second.
            size, stride = tensor.size(), tensor.stride()
            return torch.empty_strided(size, stride, dtype=tensor.dtype, device=place)

        # What `to_empty` is made of: FSDP2's modules learn by it that their parameters changed.
        self.module._apply(made)
        for slot in slots:
            slot.tie()

    def compute(self) -> tuple[str, ...]:
        """Have buffers computed that aren't saved; return their names.

        Raises:
            RequestError: one was left as it was.
        """
        with torch.no_grad():
            before = {}
            for slot in self.computed:
                _octets(slot.tensor).fill_(UNTOUCHED)
                before[slot.name] = slot.tensor
            for function in self.functions.values():
                function()
        for slot in self.computed:
            tensor = slot.tensor
            same = tensor is before[slot.name] and bool((_octets(tensor) == UNTOUCHED).all())
            if tensor.is_meta or (same and tensor.numel()):
                owner = type(slot.places[0][0]).__name__
                raise RequestError(
                    f"{slot.name!r}: what computes the buffers of {owner} left it as it was"
                )
        return tuple(slot.name for slot in self.computed)

    def fill(self) -> int:
        """Fill what the manifest has; return how many elements that was."""
        elements = 0
        with torch.no_grad():
            for name, slot in self.sources.items():
                part = part_of(name, slot.tensor)
                part.fill(self.weights.get_slice(name))
                elements += part.local.numel()
        return elements


def _source(slot: Slot, known: set[str], *, strict: bool) -> str | None:
    """Return by which of its names the manifest has a tensor."""
    found = [name for name in slot.names if name in known]
    if strict and len(found) > 1:
        first, second, *_ = found
        raise RequestError(
            f"{first!r} and {second!r} are tied in the module, and two tensors of the manifest"
        )
    return found[0] if found else None


def _check(name: str, slot: Slot, weights: Weights) -> None:
    """Raise RequestError if a tensor of the manifest doesn't fit into the module's."""
    tensor, source = slot.tensor, weights.get_slice(name)
    if torch.nn.parameter.is_lazy(tensor):
        raise RequestError(f"{name!r} has no shape yet, until its module was called once")
    if [*tensor.shape] != source.get_shape():
        ours, theirs = [*tensor.shape], source.get_shape()
        raise RequestError(f"{name!r}: the module has shape {ours}, the manifest {theirs}")
    dtypes = str(tensor.dtype).removeprefix("torch."), dtype_name(DTYPE_OF[source.get_dtype()])
    if dtypes[0] != dtypes[1]:
        raise RequestError(
            f"{name!r}: the module has {dtypes[0]}, the manifest {dtypes[1]}: give one "
            "the other's dtype, by dtype=... or module.to(...)"
        )
    part_of(name, tensor)


def _function(slot: Slot, buffers: Compute | None) -> Callable[[], Any] | None:
    """Return what computes a buffer that isn't saved, if there is anything."""
    owner = slot.places[0][0]
    if is_dtensor(slot.tensor):
        return None
    if buffers is not None:
        return lambda: buffers(owner)
    # One with parameters would draw these, too, and may communicate in doing so.
    if next(owner.parameters(recurse=False), None) is not None:
        return None
    return getattr(owner, "reset_parameters", None)


def _refuse(
    lacking: Sequence[str], unexpected: Sequence[str], uncomputed: Sequence[Slot], known: set[str]
) -> None:
    """Raise RequestError if names are not on both sides, or a buffer would be left empty."""
    if lacking:
        hint = did_you_mean(lacking[0], known - {lacking[0]}) if len(lacking) == 1 else ""
        theirs = f"; the manifest has {_listed(unexpected)} instead" if unexpected else ""
        ours = f"the module has {_listed(lacking)}, which the manifest lacks"
        raise RequestError(ours + (hint or theirs))
    if unexpected:
        raise RequestError(f"the manifest has {_listed(unexpected)}, which the module lacks")
    if uncomputed:
        names = _listed([slot.name for slot in uncomputed])
        raise RequestError(
            f"{names}: not saved, and without values on the meta device: put it into the manifest, "
            "or pass buffers=, a function that computes those of a submodule"
        )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(map(repr, names[:LISTED])) + more


def _device(device: Any, slots: Sequence[Slot]) -> Any:
    """Return where to put what is on meta.

    Raises:
        RequestError: torch has no such device.
    """
    if device is None:
        meshes = (s.tensor.device_mesh for s in slots if is_dtensor(s.tensor))
        mesh = next(meshes, None)
        return torch.get_default_device() if mesh is None else torch.device(mesh.device_type)
    return torch_device(device)


def _octets(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor's memory, whatever the order of its axes there."""
    return torch.empty(0, dtype=torch.uint8, device=tensor.device).set_(tensor.untyped_storage())
