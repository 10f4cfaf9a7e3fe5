"""From a checked manifest to its tensors: repeats unrolled, arithmetic evaluated, rules applied."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, TypeVar

from initlib._dtypes import DTYPES
from initlib._errors import RequestError, did_you_mean
from initlib._globs import fitting
from initlib._limits import limit, raising
from initlib._manifest import _initializers
from initlib._manifest._expressions import Variables, evaluate_integer
from initlib._manifest._lines import Location
from initlib._manifest._model import Item, KerasConfig, Layer, Repeat
from initlib._manifest._names import expand_name, name_variables
from initlib._manifest._specs import InitializerSpec, TensorSpec, Where
from initlib._manifest._wording import show

if TYPE_CHECKING:
    from initlib._manifest._manifest import Manifest

# NumPy's arrays have no more dimensions.
MAX_RANK = 64
# What things cost in steps, beside what is counted by length: see `_limits`.
TURN, INITIALIZER = 20, 2000
# A tensor's bytes are counted in signed 64-bit integers, by us and by the formats.
MAX_BYTES = 2**63 - 1

T = TypeVar("T")


@dataclass(slots=True)
class _Rule:
    """A rule with its initializer read, and whether any name has fitted it."""

    fits: Callable[[str], object]
    length: int
    initializer: InitializerSpec
    dtype: str | None
    fitted: bool = False


@dataclass(slots=True)
class _Place:
    """A layer and its initializer, the latter's value too if it is the same in every turn."""

    where: Where
    initializer: Where
    shared: InitializerSpec | None
    length: int


@dataclass(slots=True)
class Expansion:
    """One walk over a manifest's layers."""

    manifest: Manifest
    rules: list[_Rule] = field(default_factory=list)
    names: dict[str, Location] = field(default_factory=dict)
    places: dict[Location, _Place] = field(default_factory=dict)
    turns: int = 0
    steps: int = 0
    most_tensors: int = field(default_factory=lambda: limit("TENSORS"))
    most_steps: int = field(default_factory=lambda: limit("STEPS"))

    def tensors(self) -> Iterator[TensorSpec]:
        """Yield the tensors in the order of the manifest.

        Raises:
            ManifestError: something in the manifest does not add up.
        """
        self.rules = [self._rule(index) for index in range(len(self.manifest.rules))]
        yield from self._items(self.manifest.layers, ("layers",), self.manifest.vars)
        for index, rule in enumerate(self.rules):
            if not rule.fitted:
                match = self.manifest.rules[index].match
                near = did_you_mean(match, self.names)
                problem = f"{show(match)} fits no tensor's name{near}"
                raise self.manifest.where("rules", index, "match").error(problem)

    def _rule(self, index: int) -> _Rule:
        rule, location = self.manifest.rules[index], ("rules", index, "initializer")
        initializer = _build(rule.initializer, self.manifest.where(*location), self.manifest.vars)
        return _Rule(fitting(rule.match), len(rule.match), initializer, rule.dtype)

    def _items(
        self, items: Sequence[Item], location: Location, variables: Variables
    ) -> Iterator[TensorSpec]:
        for index, item in enumerate(items):
            here = (*location, index)
            if isinstance(item, Layer):
                yield self._tensor(item, here, variables)
            else:
                yield from self._repeat(item, here, variables)

    def _repeat(
        self, item: Repeat, location: Location, variables: Variables
    ) -> Iterator[TensorSpec]:
        here = (*location, "repeat")
        values = [self._values(item, name, (*here, name), variables) for name in item.repeat]
        written = sum(len(each) for each in item.repeat.values() if isinstance(each, list))
        self.turns += max(math.prod(map(len, values)), written)
        if self.turns > self.most_tensors:
            raise self._error(here, f"repeated too often in all; {raising('TENSORS')}")
        # A product holds all values of its factors, even if one has none.
        for turn in product(*values) if all(values) else ():
            self._spend(TURN + len(variables) // 8, here)
            inner = {**variables, **dict(zip(item.repeat, turn, strict=True))}
            yield from self._items(item.layers, (*location, "layers"), inner)

    def _values(
        self, item: Repeat, name: str, location: Location, variables: Variables
    ) -> Sequence[int]:
        """Return the values that a repeat's variable takes."""
        if name in variables:
            raise self._error(location, f"{name!r} is a variable already; choose another name")
        written = item.repeat[name]
        if isinstance(written, list):
            return [
                self._at((*location, index), evaluate_integer, value, variables)
                for index, value in enumerate(written)
            ]
        count = self._at(location, evaluate_integer, written, variables)
        if count < 0:
            raise self._error(location, f"expected a count of 0 or more, received {count}")
        if count > self.most_tensors:
            raise self._error(location, f"repeated too often; {raising('TENSORS')}")
        return range(count)

    def _tensor(self, layer: Layer, location: Location, variables: Variables) -> TensorSpec:
        place = self.places.get(location) or self._place(layer, location, variables)
        self._spend(len(layer.name), location)
        name = self._at((*location, "name"), expand_name, layer.name, variables)
        self._spend(len(name) // 4, location)
        self._claim(name, layer, location, variables)
        rule = self._fitting(name, location, needed=layer.initializer is None)
        initializer, dtype = place.shared, layer.dtype
        if layer.initializer is not None:
            if initializer is None:
                self._spend(INITIALIZER + place.length, location)
                initializer = _build(layer.initializer, place.initializer, variables)
        elif rule is not None:
            initializer, dtype = rule.initializer, dtype or rule.dtype
        else:
            rules = "no rule fits" if self.rules else "there are no rules"
            raise place.where.error(f"{show(name)} has no initializer, and {rules}")
        dtype = dtype or self.manifest.dtype
        shape = self._shape(layer, dtype, location, variables)
        seed = self.manifest.seed if layer.seed is None else layer.seed
        return TensorSpec(name, shape, dtype, self.manifest.layout, seed, initializer, place.where)

    def _place(self, layer: Layer, location: Location, variables: Variables) -> _Place:
        """Look at a layer for the first time."""
        where = self.manifest.where(*location, "initializer")
        shared, turning = None, variables.keys() - self.manifest.vars.keys()
        if layer.initializer is not None and not _initializers.uses(layer.initializer, turning):
            shared = _build(layer.initializer, where, variables)
        place = self.places[location] = _Place(
            self.manifest.where(*location), where, shared, _initializers.length(layer.initializer)
        )
        return place

    def _claim(self, name: str, layer: Layer, location: Location, variables: Variables) -> None:
        """Note a name, which no other tensor may have."""
        first = self.names.setdefault(name, location)
        if first is location:
            if len(self.names) > self.most_tensors:
                raise self._error(location, f"too many tensors; {raising('TENSORS')}")
            return
        earlier = self.manifest.where(*first)
        line = "" if earlier.line is None else f" on line {earlier.line}"
        problem = f"duplicate name {show(name)}, first in {earlier.path}{line}"
        if first == location:
            turning = [each for each in variables if each not in self.manifest.vars]
            missing = [each for each in turning if each not in name_variables(layer.name)]
            reason = "two turns of the repeat give the same"
            if missing:
                reason = f"what repeats over {missing[-1]} needs {{{missing[-1]}}} in its name"
            problem = f"duplicate name {show(name)}: {reason}"
        raise self._error((*location, "name"), problem)

    def _fitting(self, name: str, location: Location, *, needed: bool) -> _Rule | None:
        """Return the first rule that fits a name, and mark all that do."""
        found = None
        for rule in self.rules:
            if (needed and found is None) or not rule.fitted:
                self._spend(3 + len(name) * rule.length // 64, location)
                fits = rule.fits(name) is not None
                rule.fitted |= fits
                if fits and found is None:
                    found = rule
        return found

    def _shape(
        self, layer: Layer, dtype: str, location: Location, variables: Variables
    ) -> tuple[int, ...]:
        if len(layer.shape) > MAX_RANK:
            problem = f"expected at most {MAX_RANK} dimensions, received {len(layer.shape)}"
            raise self._error((*location, "shape"), problem)
        shape = []
        for index, written in enumerate(layer.shape):
            here = (*location, "shape", index)
            if isinstance(written, str):
                self._spend(len(written), location)
            size = self._at(here, evaluate_integer, written, variables)
            if size < 0:
                is_ = f"{written} is {size}, " if isinstance(written, str) else f"received {size}, "
                raise self._error(here, f"{is_}expected a dimension of 0 or more")
            shape.append(size)
        # Zeros aside, as NumPy does, so that strides fit as well.
        if math.prod(size for size in shape if size) * DTYPES[dtype].itemsize > MAX_BYTES:
            raise self._error((*location, "shape"), f"{shape} is larger than 2**63 - 1 bytes")
        return tuple(shape)

    def _at(self, location: Location, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function; what it finds wrong is wrong at this location."""
        try:
            return function(*arguments)
        except RequestError as error:
            raise self._error(location, str(error)) from None

    def _spend(self, steps: int, location: Location) -> None:
        """Count what is done, of which a small manifest can ask for any amount."""
        self.steps += steps
        if self.steps > self.most_steps:
            raise self._error(location, f"too much is made of this manifest; {raising('STEPS')}")

    def _error(self, location: Location, problem: str) -> Exception:
        return self.manifest.where(*location).error(problem)


def _build(written: str | KerasConfig, where: Where, variables: Variables) -> InitializerSpec:
    try:
        return _initializers.build(written, variables, where)
    except RequestError as error:
        raise where.error(str(error)) from None
