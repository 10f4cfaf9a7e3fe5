"""What reaches a torch module's tensors while it is built on the meta device, without memory.

Every operation passes a dispatch mode on its way (aten's normal_, fill_, copy_ and the rest), and a
profile function sees the calls of torch.nn.init, whoever makes them. So it is known of each storage
what its values are, as a `State`. What is computed without chance, such as rotary frequencies, can
be computed again with memory: see `_torch_replay`.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from initlib._sources._laws import Computed, Law, Parts, State
from initlib._sources._torch_calls import state_of_call
from initlib._sources._torch_operations import FACTORIES, RANDOM_FACTORIES, joined, operate
from initlib._sources._torch_replay import Event, Log, key_of, tensors_in

# What makes tensors of Python's numbers, which the meta device would forget.
_LITERALS = (torch.tensor, torch.as_tensor, torch.asarray)
# What writes to a tensor without looking at it.
_ANEW = ("copy_", "fill_", "normal_", "uniform_", "zero_")
_COPIES = ("clone", "_to_copy", "contiguous", "lift_fresh", "lift_fresh_copy", "alias")


class _Literals(TorchFunctionMode):  # type: ignore[misc]
    """Makes tensors of Python's numbers with memory, and copies them to the meta device."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run a function."""
        kwargs = dict(kwargs or {})
        made = func in _LITERALS and not isinstance(args[0] if args else None, torch.Tensor)
        if not made or kwargs.get("device") is not None:
            return func(*args, **kwargs)
        kwargs.pop("device", None)
        wanted = kwargs.pop("requires_grad", False)
        return func(*args, device="cpu", **kwargs).to("meta").requires_grad_(wanted)


class Observer(TorchDispatchMode):  # type: ignore[misc]
    """Keeps what is known of every storage."""

    def __init__(self) -> None:
        super().__init__()
        self.log = Log()
        self._states: dict[int, State] = {}
        self._draws = 0
        # The functions of torch.nn.init by their code, and the call that is running.
        self._functions: dict[CodeType, Callable[..., Any]] = {
            inspect.unwrap(function).__code__: function
            for name, function in vars(torch.nn.init).items()
            if name.endswith("_") and inspect.isfunction(function) and not name.startswith("_")
        }
        self._running: list[tuple[Callable[..., Any], dict[str, Any]]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run an operation, and take note of it."""
        kwargs = kwargs or {}
        if func is torch.ops.aten._local_scalar_dense.default and args[0].is_meta:
            return self.log.value(args[0]).item()
        result = func(*args, **kwargs)
        if not self._running:
            self._note(func, args, kwargs, result)
        return result

    def profile(self, frame: FrameType, event: str, _arg: Any) -> None:
        """Take note of a call of torch.nn.init's: the outermost counts, as it returns."""
        if frame.f_code not in self._functions or event not in ("call", "return"):
            return
        if event == "call":
            self._running.append((self._functions[frame.f_code], dict(frame.f_locals)))
            return
        function, arguments = self._running.pop()
        if not self._running and isinstance(tensor := arguments.pop("tensor", None), torch.Tensor):
            self._draws += 1
            self._log((function, (tensor,), arguments, None), [tensor], anew=True)
            self._write(tensor, state_of_call(function.__name__, tensor, arguments, self._draws))

    def state(self, tensor: torch.Tensor) -> State:
        """Return what is known of a tensor's values."""
        if key_of(tensor) not in self._states and not tensor.is_meta:
            return Computed("elsewhere")
        state = self._states.get(key_of(tensor))
        if isinstance(state, Parts):
            return self._part(state, tensor)
        if state is None or isinstance(state, Law) or _covers(tensor):
            return state
        return Computed("a view")

    def _part(self, state: Parts, tensor: torch.Tensor) -> State:
        if not tensor.is_contiguous():
            return state.law(0, state.size) or Computed("a view")
        start, end = tensor.storage_offset(), tensor.storage_offset() + tensor.numel()
        if (start, end) == (0, state.size):
            return state
        return state.law(start, end) or Computed("a view")

    def _write(self, tensor: torch.Tensor, state: State) -> None:
        key, before = key_of(tensor), self._states.get(key_of(tensor))
        if _covers(tensor):
            self._states[key] = state
        elif (
            isinstance(state, Law)
            and isinstance(before, Law | Parts | None)
            and tensor.is_contiguous()
        ):
            size = _elements(tensor)
            parts = before if isinstance(before, Parts) else Parts(((0, before),), size)
            start = tensor.storage_offset()
            self._states[key] = parts.with_run(start, start + tensor.numel(), state)
        else:
            self._states[key] = Computed("writing to a part")

    def _note(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """Work out what an operation makes of what it writes to and returns."""
        name = func.overloadpacket.__name__
        before = {key_of(each) for each in tensors_in((args, kwargs))}
        named = list(_named(func, args, kwargs))
        written = [
            value
            for argument, value in named
            if argument.alias_info is not None
            and argument.alias_info.is_write
            and isinstance(value, torch.Tensor)
        ]
        made = [each for each in tensors_in(result) if key_of(each) not in before]
        if not written and not made:
            return
        given = {argument.name: value for argument, value in named}
        state = self._result(name, given, args, kwargs)
        anew = bool(made) or name in _ANEW
        self._log((func, args, kwargs, result), [*written, *made], anew=anew)
        for tensor in (*written, *made):
            self._write(tensor, state)

    def _log(
        self, call: tuple[Any, Any, Any, Any], tensors: list[torch.Tensor], *, anew: bool
    ) -> None:
        """Add a call to the log, which wrote to tensors without looking at them, or not."""
        keys = frozenset(map(key_of, tensors))
        whole = frozenset(key_of(each) for each in tensors if anew and _covers(each))
        self.log.add(Event(*call, keys, whole))

    def _result(
        self, name: str, given: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> State:
        """Return what is known of what an operation writes, `given` being all its arguments."""
        plain = name.rstrip("_")
        if plain in FACTORIES:
            return FACTORIES[plain](given)
        if plain in RANDOM_FACTORIES:
            self._draws += 1
            return RANDOM_FACTORIES[plain](given, self._draws)
        if plain in _COPIES or name == "copy_":
            return self._copied(name, args[0], args[name == "copy_"])
        if plain == "cat":
            return self._joined(*args, **kwargs)
        values = [self.state(each) if isinstance(each, torch.Tensor) else each for each in args]
        return operate(plain, values, kwargs)

    def _joined(self, tensors: Sequence[torch.Tensor], dim: int = 0) -> State:
        return joined([(each.numel(), self.state(each)) for each in tensors], in_order=dim == 0)

    def _copied(self, name: str, target: torch.Tensor, source: Any) -> State:
        state = self.state(source)
        constant = isinstance(state, Law) and state.kind == "constant"
        if source.is_meta and (constant or source.numel() == target.numel()):
            return state
        return Computed(name)


def _named(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Yield an operation's arguments as its schema has them, with what they are given."""
    for i, argument in enumerate(func._schema.arguments):
        if i < len(args):
            yield argument, args[i]
        elif argument.name in kwargs:
            yield argument, kwargs[argument.name]


def _elements(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage().nbytes() // tensor.element_size())


def _covers(tensor: torch.Tensor) -> bool:
    """Tell whether a tensor is all of its storage."""
    return int(tensor.numel()) == _elements(tensor)


@contextmanager
def observed() -> Iterator[Observer]:
    """Observe what is done in this context, on the meta device unless another one is asked for."""
    observer, before = Observer(), sys.getprofile()
    with torch.device("meta"), _Literals(), observer:
        sys.setprofile(observer.profile)
        try:
            yield observer
        finally:
            sys.setprofile(before)
