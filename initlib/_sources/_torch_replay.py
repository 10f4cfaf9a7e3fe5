"""The log of what was done on the meta device, and doing a part of it again with memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_flatten, tree_map

# What torch.nn.init has that draws nothing.
_FIXED = ("constant_", "ones_", "zeros_", "eye_", "dirac_")
# What is computed again has no more elements than this.
MOST = 1 << 24


class UnknowableError(ValueError):
    """Values that can't be computed again; the message says what stands in the way."""


@dataclass(frozen=True, slots=True)
class Event:
    """A call.

    Attributes:
        function: an operation of aten, or a function of torch.nn.init.
        args: positional arguments.
        kwargs: the others.
        result: what it returned; None for a function of torch.nn.init.
        writes: the storages that it changed or made.
        anew: those of them of which nothing is left that was there before.
    """

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any
    writes: frozenset[int]
    anew: frozenset[int]

    @property
    def random(self) -> bool:
        """Whether it draws random numbers."""
        if isinstance(self.function, torch._ops.OpOverload):
            return torch.Tag.nondeterministic_seeded in self.function.tags
        return self.function.__name__ not in _FIXED

    @property
    def name(self) -> str:
        """What it calls."""
        return str(getattr(self.function, "__name__", self.function)).partition(".")[0]


@dataclass
class Log:
    """All that was done, in order.

    Attributes:
        events: the calls.
    """

    events: list[Event] = field(default_factory=list)
    # Of each storage, which calls wrote to it.
    _of: dict[int, list[int]] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        """Add a call to its end."""
        for key in event.writes:
            self._of.setdefault(key, []).append(len(self.events))
        self.events.append(event)

    def value(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a tensor with memory, with the values that a tensor on the meta device stands for.

        Raises:
            UnknowableError: they depend on random numbers, or are too many.
        """
        with _disable_current_modes(), torch._C.DisableTorchFunction():
            memory = _Memory()
            for index in sorted(self._needed(tensor)):
                memory.run(self.events[index])
            return memory.real(tensor).clone()

    def _needed(self, tensor: torch.Tensor) -> set[int]:
        """Return which calls a tensor's values come from."""
        needed: set[int] = set()
        waiting = [(key_of(tensor), len(self.events))]
        while waiting:
            key, end = waiting.pop()
            for index in reversed(self._of.get(key, ())):
                if index >= end or index in needed:
                    continue
                event = self.events[index]
                if event.random:
                    raise UnknowableError(f"it is computed from random numbers ({event.name})")
                needed.add(index)
                inputs = list(tensors_in((event.args, event.kwargs)))
                if sum(each.numel() for each in inputs) > MOST:
                    raise UnknowableError("it is computed from too much to do it again")
                read = {key_of(each) for each in inputs} - event.anew
                waiting += [(each, index) for each in read]
                if key in event.anew:
                    break
        return needed


class _Memory:
    """Storages with memory for those of the meta device."""

    def __init__(self) -> None:
        self._storages: dict[int, torch.UntypedStorage] = {}

    def run(self, event: Event) -> None:
        """Do again what a call did."""
        args, kwargs = tree_map(self.real, (event.args, event.kwargs))
        if "device" in kwargs:
            kwargs["device"] = torch.device("cpu")
        result = event.function(*args, **kwargs)
        if event.result is None:
            return
        for virtual, real in zip(tensors_in(event.result), tensors_in(result), strict=True):
            if key_of(virtual) not in self._storages:
                laid = torch.empty_strided(virtual.size(), virtual.stride(), dtype=virtual.dtype)
                self._storages[key_of(virtual)] = laid.copy_(real).untyped_storage()

    def real(self, value: Any) -> Any:
        """Return the tensor with memory for one without, and anything else as it is."""
        if not isinstance(value, torch.Tensor) or not value.is_meta:
            return value
        key = key_of(value)
        if key not in self._storages:
            nbytes = value.untyped_storage().nbytes()
            self._storages[key] = torch.zeros(nbytes, dtype=torch.uint8).untyped_storage()
        empty = torch.empty(0, dtype=value.dtype)
        place = value.storage_offset(), value.size(), value.stride()
        return empty.set_(self._storages[key], *place)


def key_of(tensor: torch.Tensor) -> int:
    """Return what tells a tensor's storage from others, as long as it is in use."""
    return int(tensor.untyped_storage()._cdata)


def tensors_in(values: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in arguments or results."""
    yield from (each for each in tree_flatten(values)[0] if isinstance(each, torch.Tensor))
