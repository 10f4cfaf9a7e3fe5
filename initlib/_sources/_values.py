"""Values that are known one by one, as an initializer."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from initlib.initializers import Arange, Sinusoidal

# A manifest has no longer lists.
MOST = 1 << 16
# Of a call, in characters; longer lists are in a config.
LONGEST = 400


def initializer_of(values: npt.NDArray[Any]) -> str | None:
    """Return the initializer that makes an array: a name, a call, or a config as JSON.

    Ranges and sinusoids are called what they are; rows that are equal are written once. None if
    there are too many values.
    """
    if not values.size:
        return "zeros"
    shown = values
    while shown.ndim and _equal(shown):
        shown = shown[0]
    if not np.all(np.isfinite(shown)):
        return None
    # Two numbers are always a range.
    if shown.size > 2 and (call := _range(values) or _sinusoids(values)):
        return call
    if shown.size > MOST:
        return None
    # The shortest decimals that are rounded to the very same values.
    numbers = [_shortest(value) for value in shown.flat]
    if shown.size == 1:
        known: dict[float | int, str] = {0: "zeros", 1: "ones"}
        return known.get(numbers[0], f"constant({numbers[0]!r})")
    listed = np.array(numbers).reshape(shown.shape).tolist()
    if len(call := f"constant({listed})") <= LONGEST:
        return call
    return json.dumps({"class_name": "Constant", "config": {"value": listed}})


def _equal(rows: npt.NDArray[Any]) -> bool:
    return bool(np.array_equal(rows, np.broadcast_to(rows[:1], rows.shape)))


def _shortest(value: Any) -> float | int:
    return float(str(value)) if isinstance(value, np.floating) else int(value)


def _range(values: npt.NDArray[Any]) -> str | None:
    first, second = (_shortest(value) for value in values.flat[:2])
    step = second - first
    if np.array_equal(Arange(first, step)(values.shape, values.dtype), values):
        given = f"start={first}" * (first != 0), f"step={step}" * (step != 1)
        arguments = ", ".join(filter(None, given))
        return f"arange({arguments})" if arguments else "arange"
    return None


def _sinusoids(values: npt.NDArray[Any]) -> str | None:
    if values.ndim != 2 or values.dtype.kind != "f":
        return None
    # Frameworks compute angles in float32, whose errors grow with the position.
    allowed = (1e-6 + 3e-7 * np.arange(len(values)))[:, np.newaxis]
    for order, endpoint in product(("interleaved", "halves"), (False, True)):
        if endpoint and values.shape[1] % 2:
            continue
        made = Sinusoidal(order=order, endpoint=endpoint)(values.shape, np.float64)
        if np.all(np.abs(made - values) <= allowed):
            return f"sinusoidal(order={order!r}, endpoint={endpoint})"
    return None
