"""From a kernel's Python code to machine code, by Numba."""

from __future__ import annotations

import importlib
from typing import Any

from numba import cfunc, types

from initlib._native._kernel import Kernel
from initlib._native._machine import machine_code


def compiled(kernel: Kernel) -> bytes:
    """Return a kernel's machine code."""
    module = importlib.import_module(kernel.module)
    signature = types.void(*map(_numba_type, kernel.types))
    # Division by zero can't occur; Numba's check for it would keep the loops from being vectorised.
    made = cfunc(signature, error_model="numpy")(getattr(module, kernel.name))
    return machine_code(made.inspect_llvm(), made.native_name, kernel.symbol)


def _numba_type(name: str) -> Any:
    number = getattr(types, name.removesuffix("*"))
    return types.CPointer(number) if name.endswith("*") else number  # type: ignore[no-untyped-call]
