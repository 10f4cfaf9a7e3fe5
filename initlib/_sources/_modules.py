"""From a torch module, which is built on the meta device, to its manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from initlib import _custom
from initlib._dtypes import DTYPES
from initlib._errors import RequestError
from initlib._sources._draft import Draft, Unknown, draft_each, unlistable
from initlib._sources._fold import Leaf
from initlib._sources._laws import Computed, Formula, Law, Parts, Structure
from initlib._sources._torch_observe import Observer, observed
from initlib._sources._torch_replay import UnknowableError, key_of
from initlib._sources._values import initializer_of


def of_module(source: str) -> Draft:
    """Return the manifest of the module that ``torch:FILE.py:factory`` makes; see `manifest`."""
    identifier = source.removeprefix("torch:")
    if ":" not in identifier:
        raise RequestError(f"expected torch:FILE.py:factory, received {source!r}")
    factory = _custom.find(identifier, Path.cwd())
    with observed() as observer:
        with on_meta(identifier):
            module = factory()
        if not isinstance(module, torch.nn.Module):
            raise RequestError(f"expected a torch.nn.Module from {identifier}, received {module!r}")
        tensors = tensors_of(module.state_dict(keep_vars=True), {})
        title = f"{type(module).__name__} as torch {torch.__version__.partition('+')[0]}"
        return drafted(source, f"{title} initialises it", tensors, observer)


@contextmanager
def on_meta(what: str) -> Iterator[None]:
    """Turn what building a module raises into one line, with a word on the meta device."""
    try:
        with _custom.guard(what):
            yield
    except RequestError as error:
        if "meta" not in str(error):
            raise
        hint = "; it is built on the meta device, where tensors have no values"
        raise RequestError(f"{error}{hint}") from error


@dataclass(frozen=True, slots=True)
class Tensors:
    """What a module's file has.

    Attributes:
        tensors: by name.
        tied: names that stand for the tensor of another name.
        skipped: names of what isn't a tensor.
    """

    tensors: Mapping[str, torch.Tensor]
    tied: Mapping[str, str] = field(default_factory=dict)
    skipped: Sequence[str] = ()


def tensors_of(state: Mapping[str, Any], tied: Mapping[str, str]) -> Tensors:
    """Return what is in a state dict, tied tensors once.

    Args:
        state: by name.
        tied: names that are known to stand for others; of the rest, the first name counts.
    """
    skipped = [name for name, value in state.items() if not isinstance(value, torch.Tensor)]
    names: dict[Any, str] = {}
    found, again = {}, {}
    for name, tensor in state.items():
        if name in skipped:
            continue
        if tied.get(name, name) != name and tied[name] in state:
            again[name] = tied[name]
            continue
        place = key_of(tensor), tensor.storage_offset(), tensor.size(), tensor.stride()
        if place in names and tensor.numel():
            again[name] = names[place]
        else:
            names[place] = name
            found[name] = tensor
    return Tensors(found, again, skipped)


def drafted(source: str, title: str, tensors: Tensors, observer: Observer) -> Draft:
    """Return the draft of what was observed."""
    made, missing = [], []
    for name, tensor in tensors.tensors.items():
        shape, dtype = tuple(tensor.shape), str(tensor.dtype).removeprefix("torch.")
        if problem := unlistable(name, shape) or _unreadable(dtype):
            missing.append((name, problem))
        else:
            made.append((Leaf(name, shape, dtype), _initializer(tensor, observer)))
    notes = tuple(_notes(tensors))
    return draft_each(source, title, made, layout="torch", missing=missing, notes=notes)


def _notes(tensors: Tensors) -> Iterator[str]:
    for name, other in tensors.tied.items():
        yield f"tied: {name} is {other}, which is written once"
    for name in tensors.skipped:
        yield f"left out: {name} is no tensor"


def _unreadable(dtype: str) -> str | None:
    return None if dtype in DTYPES else f"its dtype {dtype} is none of {', '.join(DTYPES)}"


def _initializer(tensor: torch.Tensor, observer: Observer) -> str | Unknown:
    """Return a tensor's initializer."""
    shape = tuple(tensor.shape)
    match observer.state(tensor):
        case None:
            return Unknown("nothing initialises it")
        case Law() as law:
            return law.call(shape)
        case Formula() as formula:
            return formula.call()
        case Structure(written, of) if of == shape:
            return written
        case Parts() as parts:
            incomplete = any(law is None for _, law in parts.runs)
            problem = "a part of it is never initialised" if incomplete else "its parts cut rows"
            return parts.written(shape[0] if shape else 0) or Unknown(problem)
        case Computed() | Structure():
            return _computed(tensor, observer)


def _computed(tensor: torch.Tensor, observer: Observer) -> str | Unknown:
    try:
        values = observer.log.value(tensor)
    except UnknowableError as error:
        return Unknown(str(error))
    except Exception as error:
        return Unknown(f"its values can't be computed: {error}")
    # NumPy has no bfloat16 and no float8.
    if values.is_floating_point() and (values.dtype == torch.bfloat16 or values.itemsize == 1):
        values = values.float()
    found = initializer_of(np.asarray(values.detach().numpy()))
    return found or Unknown("it is computed, and too large for a manifest")
