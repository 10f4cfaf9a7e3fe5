"""Arithmetic in manifests: `4*d_model`, `0.02/sqrt(2*n_layers)`.

Python's parser reads the text, a whitelist walks the tree, and nothing is ever run. Results are the
same on every machine: integers are exact, floats use only exactly rounded operations, and a float's
integer power is computed as a fraction and rounded once. Limits keep it all quick.
"""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections.abc import Callable, Mapping
from decimal import Context, Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, TypeAlias

from initlib._errors import RequestError, did_you_mean
from initlib._manifest._wording import show

Number: TypeAlias = int | float
Variables: TypeAlias = Mapping[str, Number]

MAX_LENGTH = 1000
MAX_DEPTH = 50
# Room for every seed and every dimension.
MAX_INTEGER = 2**64
# Beyond 2^1074 a power of two over- or underflows float64; fractions stay small enough to be quick.
MAX_EXPONENT = 1074
# Variables that a message lists.
FEW = 20

CONSTANTS: dict[str, float] = {"inf": math.inf, "nan": math.nan}


def _power(base: Number, exponent: Number) -> Number:
    if not isinstance(exponent, int):
        raise RequestError("expected an integer exponent after **; use sqrt for roots")
    if isinstance(base, int) and exponent >= 0:
        if abs(base) > 1 and exponent > MAX_INTEGER.bit_length():
            raise RequestError(f"a number is beyond {_LIMIT}")
        # -1, 0 and 1 have powers of any exponent, by its parity.
        return int(base ** (exponent if abs(base) > 1 else exponent and 2 - exponent % 2))
    if abs(exponent) > MAX_EXPONENT:
        raise RequestError(f"expected an exponent up to {MAX_EXPONENT}, received {exponent}")
    return _float_power(base, exponent)


def _float_power(base: Number, exponent: int) -> float:
    """Return a power, rounded once; the fraction that settles it can take half a millisecond."""
    if base:
        power = _DECIMAL.power(_DECIMAL.create_decimal(base), exponent)
        if power.adjusted() < -400:
            return math.copysign(0.0, power)
        if power.adjusted() > 400:
            raise OverflowError
        # The decimal is off by less than this; where both round alike, so does what is between.
        low, high = (float(_DECIMAL.multiply(power, factor)) for factor in _AROUND)
        if low == high:
            return low
    return float(Fraction(base) ** exponent)


# Room for the powers of all floats; create_decimal rounds, which a power magnifies 1074 times.
_DECIMAL = Context(prec=100, Emax=10**6, Emin=-(10**6), traps=[])
_AROUND = Decimal(1) - Decimal("1e-80"), Decimal(1) + Decimal("1e-80")
_LIMIT = f"2**{MAX_INTEGER.bit_length() - 1}"
_UNARY: dict[type[ast.unaryop], Callable[[Any], Number]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}
# What each function computes, and the least and most arguments it takes.
_FUNCTIONS: dict[str, tuple[Callable[..., Number], int, int]] = {
    "sqrt": (math.sqrt, 1, 1),
    "min": (min, 2, MAX_LENGTH),
    "max": (max, 2, MAX_LENGTH),
    "abs": (abs, 1, 1),
    "round": (round, 1, 1),
    "floor": (math.floor, 1, 1),
    "ceil": (math.ceil, 1, 1),
}
RESERVED = frozenset({*CONSTANTS, *_FUNCTIONS})


@lru_cache(maxsize=4096)
def parse(text: str) -> ast.expr:
    """Return the syntax tree of an expression or call.

    Raises:
        RequestError: it is not Python's syntax, or too long or too deep.
    """
    if len(text) > MAX_LENGTH:
        raise RequestError(f"expected at most {MAX_LENGTH} characters, received {len(text)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # `1or 2` and bad escapes, which Python only warns of
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise RequestError(f"cannot read {show(text)}") from None
    level: list[ast.AST] = [tree]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return tree
    raise RequestError(f"{show(text)} is nested too deeply")


@lru_cache(maxsize=4096)
def arithmetic_names(text: str) -> frozenset[str] | None:
    """Return the variables that an expression uses, or None if the text is not arithmetic."""
    try:
        tree = parse(text)
    except RequestError:
        return None
    names: set[str] = set()
    return frozenset(names) if _is_arithmetic(tree, names) else None


def _is_arithmetic(node: ast.expr, names: set[str]) -> bool:
    """Tell whether a tree holds whitelisted nodes only, and add the variables in it to `names`."""
    match node:
        case ast.Constant(value=value):
            return type(value) in (int, float)
        case ast.Name(id=name):
            names.add(name)
            return True
        case ast.UnaryOp(op=op, operand=operand):
            return type(op) in _UNARY and _is_arithmetic(operand, names)
        case ast.BinOp(op=op, left=left, right=right):
            sides = (_is_arithmetic(side, names) for side in (left, right))
            return type(op) in _BINARY and all(sides)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            return name in _FUNCTIONS and all(_is_arithmetic(arg, names) for arg in args)
    return False


def evaluate(value: Number | str, variables: Variables) -> Number:
    """Return the number that a manifest's number or expression stands for.

    Raises:
        RequestError: it is not arithmetic, uses an unknown name, or has no representable result.
    """
    if isinstance(value, int):
        return _bounded(value)
    if isinstance(value, float):
        return value
    try:
        return evaluate_tree(parse(value), variables)
    except RequestError as error:
        raise RequestError(f"cannot evaluate {show(value)}: {error}") from None


def evaluate_integer(value: Number | str, variables: Variables) -> int:
    """Return the integer that a number or expression stands for; 8/2 is one.

    Raises:
        RequestError: as `evaluate`, or it is not an integer.
    """
    number = evaluate(value, variables)
    if isinstance(number, float):
        if not number.is_integer():
            is_ = f"{value} is {number:.6g}, " if isinstance(value, str) else ""
            received = "" if is_ else f", received {value}"
            raise RequestError(f"{is_}expected an integer{received}")
        number = int(number)
    return number


def evaluate_tree(node: ast.expr, variables: Variables) -> Number:
    """Return the value of a parsed expression; raises as `evaluate`."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return _bounded(node.value)
    if isinstance(node, ast.Name):
        return _variable(node.id, variables)
    if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
        return _UNARY[type(node.op)](evaluate_tree(node.operand, variables))
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        left = evaluate_tree(node.left, variables)
        return _apply(_BINARY[type(node.op)], left, evaluate_tree(node.right, variables))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        arguments = [evaluate_tree(argument, variables) for argument in node.args]
        return _apply(_function(node.func.id, len(arguments)), *arguments)
    raise RequestError(
        "expected numbers, variables, + - * / // % **, parentheses"
        f" and {', '.join(sorted(_FUNCTIONS))}"
    )


def _apply(function: Callable[..., Number], *arguments: Number) -> Number:
    try:
        return _bounded(function(*arguments))
    except ZeroDivisionError:
        raise RequestError("division by zero") from None
    except OverflowError:
        raise RequestError("a number is too large") from None
    except RequestError:
        raise
    except ValueError:
        shown = ", ".join(f"{argument:.6g}" for argument in arguments)
        raise RequestError(f"there is no result for {shown}") from None


def _bounded(number: Any) -> Number:
    if isinstance(number, int):
        if abs(number) > MAX_INTEGER:
            raise RequestError(f"a number is beyond {_LIMIT}")
        return number
    if not math.isfinite(number):
        raise RequestError("a number is too large")
    return float(number)


def _variable(name: str, variables: Variables) -> Number:
    if name in variables:
        return variables[name]
    if name in CONSTANTS:
        return CONSTANTS[name]
    known = "; no variables are known here"
    if variables:
        more = f" and {len(variables) - FEW:,} more" if len(variables) > FEW else ""
        names = ", ".join(show(each)[1:-1] for each in sorted(variables)[:FEW])
        known = f"; known names: {names}{more}"
    raise RequestError(f"unknown name {show(name)}{did_you_mean(name, variables) or known}")


def _function(name: str, arguments: int) -> Callable[..., Number]:
    if name not in _FUNCTIONS:
        hint = did_you_mean(name, _FUNCTIONS) or f"; expected one of {', '.join(_FUNCTIONS)}"
        raise RequestError(f"unknown function {show(name)}{hint}")
    function, least, most = _FUNCTIONS[name]
    if not least <= arguments <= most:
        expected = "1 argument" if most == 1 else "2 arguments or more"
        raise RequestError(f"{name} takes {expected}, received {arguments}")
    return function
