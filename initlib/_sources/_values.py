"""Values that are known one by one, as an initializer."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt

# A manifest that a person may read has no longer lists.
MOST = 4096
# Of a call, in characters; longer lists are in a config.
LONGEST = 400


def initializer_of(values: npt.NDArray[Any]) -> str | None:
    """Return the initializer that makes an array: a name, a call, or a config as JSON.

    Rows that are equal are written once. None if there are too many values.
    """
    if not values.size:
        return "zeros"
    shown = values
    while shown.ndim and len(shown) and _equal(shown):
        shown = shown[0]
    if shown.size > MOST or not np.all(np.isfinite(shown)):
        return None
    # The shortest decimals that are rounded to the very same values.
    numbers = [_shortest(value) for value in shown.flat]
    if shown.size == 1:
        named: dict[float | int, str] = {0: "zeros", 1: "ones"}
        return named.get(numbers[0], f"constant({numbers[0]!r})")
    listed = np.array(numbers).reshape(shown.shape).tolist()
    if len(call := f"constant({listed})") <= LONGEST:
        return call
    return json.dumps({"class_name": "Constant", "config": {"value": listed}})


def _equal(rows: npt.NDArray[Any]) -> bool:
    return bool(np.array_equal(rows, np.broadcast_to(rows[:1], rows.shape)))


def _shortest(value: Any) -> float | int:
    return float(str(value)) if isinstance(value, np.floating) else int(value)
