"""A function of independent draws, such as the inverse softplus of a log-uniform step size."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from initlib._errors import RequestError, did_you_mean
from initlib.initializers._base import Array, Target, pieces
from initlib.initializers._configs import encode
from initlib.initializers._random import Drawn, Seeded
from initlib.initializers._rounding import round_once

MAX_LENGTH = 1000
MAX_DEPTH = 50

_FUNCTIONS: dict[str, tuple[Callable[..., Array], int]] = {
    **{
        name: (getattr(np, name), 1)
        for name in ("abs", "exp", "expm1", "log", "log1p", "sqrt", "tanh")
    },
    "max": (np.maximum, 2),
    "min": (np.minimum, 2),
}
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
Function = Callable[[Array], Any]


class Elementwise(Seeded):
    """A formula of independent draws: of each draw x, one element.

    It is computed in float64 and rounded once. Logarithms and exponentials are NumPy's: other
    machines' last bits may differ.

    Formula: W = f(x), where x is drawn by another initializer

    Args:
        formula: in x, with numbers, + - * /, parentheses, and abs, exp, expm1, log, log1p, max,
            min, sqrt, tanh.
        of: the initializer that draws x: independent draws, without a seed of its own.
        seed: integer, `SeedGenerator` or None.

    Raises:
        RequestError: an argument is wrong.
    """

    tolerance = 1e-6

    def __init__(self, formula: str, of: Any, seed: Any = None) -> None:
        # The registry lists this class, too.
        from initlib.initializers._registry import get

        super().__init__(seed)
        self.formula, self.of = formula, get(of)
        self._function = _read(formula)
        if not isinstance(self.of, Drawn) or self.of.given_seed is not None:
            raise RequestError(
                f"expected independent draws without a seed for the formula, received {of!r}"
            )

    def check(self, target: Target) -> None:
        """Raise RequestError if the dtype isn't a float, or too narrow for the draws."""
        self.of.check(target)

    def fill(self, out: Array, start: int, target: Target) -> None:
        """Write elements start .. start + out.size of the target into `out`."""
        wide = np.dtype(np.float64 if target.dtype == np.float64 else np.float32)
        source = Target(target.shape, wide, target.stream, target.layout)
        for piece, index in pieces(out, start):
            draws = np.empty(piece.size, wide)
            self.of.fill(draws, int(index[0]), source)
            with np.errstate(all="ignore"):
                values = self._function(draws.astype(np.float64))
            piece[:] = round_once(np.broadcast_to(values, piece.shape), target.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as what JSON can hold."""
        return {"formula": self.formula, "of": encode(self.of), **super().get_config()}


def _read(formula: Any) -> Function:
    """Return the function that a formula stands for; nothing in it is ever run as code."""
    if not isinstance(formula, str) or len(formula) > MAX_LENGTH:
        raise RequestError(f"expected a formula of at most {MAX_LENGTH} characters in x")
    try:
        tree = ast.parse(formula.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise RequestError(f"expected a formula in x, received {formula!r}") from None
    return _function(tree, formula, 0)


def _function(node: ast.expr, formula: str, depth: int) -> Function:
    if depth > MAX_DEPTH:
        raise RequestError(f"expected at most {MAX_DEPTH} levels in the formula")
    match node:
        case ast.Name(id="x"):
            return lambda x: x
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            # As NumPy's number, which divides by zero as arrays do.
            return lambda x: np.float64(value)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _applied(operator.neg, [_function(operand, formula, depth + 1)])
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            sides = [_function(side, formula, depth + 1) for side in (left, right)]
            return _applied(_BINARY[type(op)], sides)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            inner = [_function(each, formula, depth + 1) for each in args]
            return _applied(_named(name, len(args)), inner)
    raise RequestError(
        f"expected x, numbers, + - * /, parentheses and {', '.join(_FUNCTIONS)} in {formula!r}"
    )


def _named(name: str, count: int) -> Callable[..., Array]:
    if name not in _FUNCTIONS:
        hint = did_you_mean(name, _FUNCTIONS) or f"; expected one of {', '.join(_FUNCTIONS)}"
        raise RequestError(f"unknown function {name!r}{hint}")
    function, expected = _FUNCTIONS[name]
    if count != expected:
        raise RequestError(f"{name} takes {expected} arguments, received {count}")
    return function


def _applied(function: Callable[..., Any], inner: list[Function]) -> Function:
    return lambda x: function(*(each(x) for each in inner))
