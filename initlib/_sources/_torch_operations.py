"""What operations make of what is known of their arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from initlib._sources._laws import Computed, Formula, Law, Parts, State, Structure, number

Given = Mapping[str, Any]


def _constant(value: Any) -> State:
    return Law("constant", (float(value),)) if isinstance(value, int | float) else Computed("fill")


def _filled(given: Given) -> State:
    # The name of the number differs: fill_value of full, value of fill_, s of scalar_tensor.
    known = [given[name] for name in ("fill_value", "value", "s") if name in given]
    return _constant(known[0])


def _nothing(given: Given) -> State:
    return None


# What is made, or written over, without looking at what was there.
FACTORIES: dict[str, Callable[[Given], State]] = {
    **dict.fromkeys(("empty", "empty_like", "empty_strided", "new_empty"), _nothing),
    **dict.fromkeys(("new_empty_strided", "empty_permuted"), _nothing),
    **dict.fromkeys(("zeros", "zeros_like", "new_zeros", "zero"), lambda _: _constant(0)),
    **dict.fromkeys(("ones", "ones_like", "new_ones"), lambda _: _constant(1)),
    **dict.fromkeys(("full", "full_like", "new_full", "fill", "scalar_tensor"), _filled),
    "eye": lambda given: Structure("identity", (given["n"], given.get("m", given["n"]))),
}


def _normal(given: Given, draws: int) -> State:
    numbers = given.get("mean", 0.0), given.get("std", 1.0)
    if not all(isinstance(each, int | float) for each in numbers):
        return Computed("normal")
    return Law("normal", numbers, draws=draws)


def _uniform(given: Given, draws: int) -> State:
    return Law("uniform", (given.get("from", 0.0), given.get("to", 1.0)), draws=draws)


def _standard_normal(given: Given, draws: int) -> State:
    return Law("normal", (0.0, 1.0), draws=draws)


def _unit(given: Given, draws: int) -> State:
    return Law("uniform", (0.0, 1.0), draws=draws)


# What draws; likewise.
RANDOM_FACTORIES: dict[str, Callable[[Given, int], State]] = {
    "normal": _normal,
    "uniform": _uniform,
    **dict.fromkeys(("randn", "randn_like"), _standard_normal),
    **dict.fromkeys(("rand", "rand_like"), _unit),
}
_FUNCTIONS = ("abs", "exp", "expm1", "log", "log1p", "sqrt", "tanh")
# Which limits follow the tensor.
_CLAMPS = {"clamp": ("min", "max"), "clamp_min": ("min",), "clamp_max": ("max",)}
_OPERATORS = {"add": "+", "sub": "-", "mul": "*", "div": "/"}


def operate(name: str, values: Sequence[Any], options: Given) -> State:
    """Return what is known of an operation's result.

    Args:
        name: aten's, without the underscore of those that work in place.
        values: the arguments: numbers, and of tensors what is known of them.
        options: arguments that have only names.
    """
    if name in _CLAMPS and isinstance(values[0], Law | Formula):
        limits = {**dict(zip(_CLAMPS[name], values[1:], strict=False)), **options}
        return _clamped(values[0], limits.get("min"), limits.get("max"))
    if any(each is None for each in values):
        # What was never initialised stays so.
        return None
    known = all(isinstance(each, Law | Formula | int | float) for each in values)
    found = _operated(name, [_scalar(each) for each in values], options) if known else None
    return found or Computed(name)


def joined(parts: Sequence[tuple[int, State]], *, in_order: bool) -> State:
    """Return what is known of tensors side by side.

    Args:
        parts: how many elements each has, and what is known of them.
        in_order: whether the elements of one follow those of the other.
    """
    laws = [law for size, law in parts if size]
    if laws and isinstance(laws[0], Law) and all(law == laws[0] for law in laws):
        return replace(laws[0], written=None)
    if not in_order or not all(isinstance(law, Law) for law in laws):
        return Computed("cat")
    found = Parts(((0, None),), sum(size for size, _ in parts))
    start = 0
    for size, law in parts:
        if isinstance(law, Law) and size:
            found = found.with_run(start, start + size, law)
        start += size
    return found


def _clamped(value: Law | Formula, low: Any, high: Any) -> State:
    text = _text(value)
    for function, limit in (("max", low), ("min", high)):
        if limit is not None and not isinstance(limit, int | float):
            return Computed("clamp")
        if limit is not None:
            text = f"{function}({text}, {number(limit)})"
    return Formula(text, value if isinstance(value, Law) else value.of)


def _scalar(value: Any) -> Any:
    """Return the number that all elements are, if they are."""
    if isinstance(value, Law) and value.kind == "constant":
        return value.numbers[0]
    return value


def _operated(name: str, values: list[Any], options: Given) -> State:
    if options.get("alpha", 1) != 1 or options.get("rounding_mode"):
        return None
    match name, values:
        case "neg", [Law() as law]:
            return law.times(-1)
        case ("mul", [Law() as law, int() | float() as factor]) | (
            "mul",
            [int() | float() as factor, Law() as law],
        ):
            return law.times(factor)
        case "div", [Law() as law, int() | float() as factor] if factor:
            return law.over(factor)
        case ("add", [Law() as law, int() | float() as shift]) | (
            "add",
            [int() | float() as shift, Law() as law],
        ):
            return law.plus(shift)
        case "sub", [Law() as law, int() | float() as shift]:
            return law.plus(-shift)
        case ("rsub", [Law() as law, int() | float() as shift]) | (
            "sub",
            [int() | float() as shift, Law() as law],
        ):
            return law.times(-1).plus(shift)
    return _formula(name, values)


def _formula(name: str, values: list[Any]) -> State:
    laws = [each if isinstance(each, Law) else each.of for each in values if _varies(each)]
    if not laws or any(law != laws[0] or law.draws != laws[0].draws for law in laws):
        return None
    match name, values:
        case "neg", [x]:
            return Formula(f"-{_operand(x)}", laws[0], alone=False)
        case function, [x] if function in _FUNCTIONS:
            return Formula(f"{function}({_text(x)})", laws[0])
        case operator, [x, y] if operator in _OPERATORS:
            text = f"{_operand(x)} {_OPERATORS[operator]} {_operand(y)}"
            return Formula(text, laws[0], alone=False)
    return None


def _varies(value: Any) -> bool:
    return isinstance(value, Law | Formula)


def _text(value: Any) -> str:
    if isinstance(value, Formula):
        return value.text
    return "x" if isinstance(value, Law) else number(value)


def _operand(value: Any) -> str:
    alone = value.alone if isinstance(value, Formula) else _varies(value) or value >= 0
    return _text(value) if alone else f"({_text(value)})"
