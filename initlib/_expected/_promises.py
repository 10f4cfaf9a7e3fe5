"""From an initializer and the tensor that it fills to what can be expected of the values."""

from __future__ import annotations

import math
import reprlib
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from initlib import initializers
from initlib._description import Expected, Family
from initlib._expected._rounded import Law, Rounded, rounded
from initlib.initializers import Constant, Identity, Ones, Orthogonal, Target, Zeros

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

# The relative error of a matrix from LAPACK, generously.
LAPACK = 1e-9
# Constants of several values are looked at one by one up to so many.
FEW = 1 << 17

_short = reprlib.Repr()
_short.maxother = 40


@dataclass(frozen=True, slots=True)
class Promise:
    """What can be expected of a tensor's values.

    Attributes:
        expected: the figures that are shown.
        drawn: the distribution of independent draws, if that is what they are.
        exact: whether mean, stddev and bounds are those of these very values, not of a
            distribution.
        norm: root of the mean square of the values, where only that is known.
        slack: how far rounding may take the norm.
    """

    expected: Expected
    drawn: Rounded | None = None
    exact: bool = False
    norm: float | None = None
    slack: float = 0.0

    def counts(self, edges: Floats, size: int) -> Floats | None:
        """Return how many of `size` values are expected between each two edges, the last included.

        None if the values aren't draws.
        """
        if self.drawn is None:
            return None
        shares = self.drawn.below(edges)
        shares[-1] = self.drawn.until(edges[-1:])[0]
        return size * np.diff(shares)


def promise(initializer: Any, target: Target, label: str | None = None) -> Promise:
    """Return what an initializer promises of a target.

    Args:
        initializer: built-in or custom; None where it is code that may not run.
        target: what it fills.
        label: the initializer as it is written; None for its own name and arguments.
    """
    label = label or call(initializer)
    law = None if initializer is None else initializers.distribution(initializer, target)
    kind = type(initializer)
    if isinstance(law, Law) and target.size:
        drawn = rounded(law, target.dtype)
        return (
            _drawn(label, drawn) if drawn.stddev else _given(label, _filled(initializer, target, 1))
        )
    if kind is Orthogonal:
        return _orthogonal(label, initializer.gain, target)
    if kind is Identity and target.size:
        return _identity(label, float(_filled(initializer, target, 1)[0]), target)
    if kind in (Zeros, Ones, Constant) and target.size:
        several = kind is Constant and np.size(initializer.value) > 1
        if target.size <= FEW or not several:
            return _given(label, _filled(initializer, target, target.size if several else 1))
    return Promise(Expected(label))


def call(initializer: Any) -> str:
    """Return an initializer as manifests write it: ``random_normal(stddev=0.02)``."""
    cls: Any = type(initializer)
    name: str = cls.__name__
    if cls is not initializers.IDENTIFIERS.get(name):
        return name
    entry = initializers.lookup(name)
    config = {key: getattr(initializer, key) for key in entry.arguments if key != "seed"}
    if (seed := getattr(initializer, "given_seed", None)) is not None:
        config["seed"] = getattr(seed, "initial_seed", seed)
    given = [
        f"{key}={value:.6g}" if isinstance(value, float) else f"{key}={_short.repr(value)}"
        for key, value in config.items()
        if np.ndim(value) or value != entry.arguments.get(key)
    ]
    return f"{entry.identifier}({', '.join(given)})" if given else entry.identifier


def _filled(initializer: Any, target: Target, count: int) -> Array:
    """Return the first values of a target."""
    values = np.empty(count, target.dtype)
    initializer.fill(values, 0, target)
    return values


def _drawn(label: str, drawn: Rounded) -> Promise:
    low, high = (bound if math.isfinite(bound) else None for bound in (drawn.low, drawn.high))
    return Promise(Expected(label, drawn.name, drawn.mean, drawn.stddev, low, high), drawn=drawn)


def _given(label: str, values: Array) -> Promise:
    """Return the figures of values that don't depend on chance."""
    numbers = values.astype(np.float64)
    if not np.isfinite(numbers).all():
        return Promise(Expected(label))
    low, high = float(numbers.min()), float(numbers.max())
    name: Family | None = "constant" if low == high else None
    with np.errstate(over="ignore"):
        mean = low if low == high else float(numbers.mean())
        stddev = 0.0 if low == high else float(numbers.std())
    known = [each if math.isfinite(each) else None for each in (mean, stddev)]
    return Promise(Expected(label, name, known[0], known[1], low, high), exact=True)


def _identity(label: str, gain: float, target: Target) -> Promise:
    share = min(target.shape) / target.size
    stddev = abs(gain) * math.sqrt(share * (1 - share))
    bounds = (gain, gain) if share == 1 else (min(gain, 0.0), max(gain, 0.0))
    return Promise(Expected(label, None, gain * share, stddev, *bounds), exact=True)


def _orthogonal(label: str, gain: float, target: Target) -> Promise:
    """Return the one exact figure of an orthogonal matrix: the sum of its squares.

    All min(rows, columns) rows or columns have length `gain`, so the mean square is
    gain^2 / max(rows, columns).
    """
    side = target.shape[0] if target.layout == "torch" else target.shape[-1]
    norm = abs(gain) / math.sqrt(max(side, target.size // max(side, 1), 1))
    limits = ml_dtypes.finfo(target.dtype)  # type: ignore[no-untyped-call]
    slack = (LAPACK + float(limits.eps)) * norm + float(limits.smallest_subnormal)
    return Promise(Expected(label, None, 0.0, norm), norm=norm, slack=slack)
