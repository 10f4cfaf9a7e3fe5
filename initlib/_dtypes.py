"""The element types a tensor can have: their names, their limits, and rounding to them."""

from __future__ import annotations

import contextlib
import reprlib
from typing import Any

import ml_dtypes
import numpy as np

from initlib._errors import RequestError, did_you_mean

FLOATS: dict[str, np.dtype[Any]] = {
    "float64": np.dtype(np.float64),
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float8_e4m3fn": np.dtype(ml_dtypes.float8_e4m3fn),
    "float8_e5m2": np.dtype(ml_dtypes.float8_e5m2),
}
INTEGERS: dict[str, np.dtype[Any]] = {
    name: np.dtype(name)
    for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
}
DTYPES = {**FLOATS, **INTEGERS, "bool": np.dtype(np.bool_)}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}

# How other programs spell dtypes: not accepted, one name is enough, but suggested.
_SPELLINGS = {
    **dict.fromkeys(("fp64", "f64", "double"), "float64"),
    **dict.fromkeys(("fp32", "f32", "float", "single"), "float32"),
    **dict.fromkeys(("fp16", "f16", "half"), "float16"),
    **dict.fromkeys(("bf16", "brain"), "bfloat16"),
    **dict.fromkeys(("fp8", "float8", "f8_e4m3", "fp8_e4m3", "float8_e4m3"), "float8_e4m3fn"),
    **dict.fromkeys(("f8_e5m2", "fp8_e5m2"), "float8_e5m2"),
    **{f"{letter}{bits}": f"{word}{bits}"
       for letter, word in (("i", "int"), ("u", "uint")) for bits in (8, 16, 32, 64)},
    "int": "int64", "long": "int64", "short": "int16", "byte": "uint8", "boolean": "bool",
}  # fmt: skip

DEFAULT = "float32"
_short = reprlib.Repr()
_short.maxstring = 80


def as_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the NumPy dtype for a name, a NumPy or ml_dtypes type, or None (float32).

    Raises:
        RequestError: initlib does not write this dtype.
    """
    if dtype is None:
        return DTYPES[DEFAULT]
    if isinstance(dtype, str):
        if dtype not in DTYPES:
            raise RequestError(f"unknown dtype {_short.repr(dtype)}{_nearest(dtype)}")
        return DTYPES[dtype]
    found: np.dtype[Any] | None = None
    with contextlib.suppress(TypeError):
        found = np.dtype(dtype)
    if found is None or found not in _NAMES:
        raise RequestError(f"unknown dtype {dtype!r}; expected one of {', '.join(DTYPES)}")
    return found


def _nearest(name: str) -> str:
    """Return the hint of the dtype that a wrong name stands for, or of all that there are."""
    spelling = name.lower().removeprefix("torch.").removeprefix("jnp.").removeprefix("np.")
    known = spelling if spelling in DTYPES else _SPELLINGS.get(spelling)
    hint = f"; did you mean {known!r}?" if known else did_you_mean(name, DTYPES)
    return hint or f"; expected one of {', '.join(DTYPES)}"


def dtype_name(dtype: np.dtype[Any]) -> str:
    """Return the name by which manifests, files and Keras know a dtype."""
    return _NAMES[dtype]


def is_float(dtype: np.dtype[Any]) -> bool:
    """Tell a floating-point dtype; NumPy's own `kind` calls bfloat16 and float8 opaque."""
    return dtype in FLOATS.values()


def largest(dtype: np.dtype[Any]) -> float:
    """Return the largest finite value of a floating-point dtype."""
    return float(ml_dtypes.finfo(dtype).max)  # type: ignore[no-untyped-call]
