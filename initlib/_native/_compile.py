"""From a kernel's Python code to machine code, by Numba."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from numba import cfunc
from numba import types as numba_types

from initlib._native._kernel import Kernel
from initlib._native._machine import machine_code


def compiled(kernel: Kernel) -> bytes:
    """Return a kernel's machine code."""
    module = importlib.import_module(kernel.module)
    signature = numba_types.void(*map(_numba_type, kernel.types))
    # Division by zero can't occur; Numba's check for it would keep the loops from being vectorised.
    made = cfunc(signature, error_model="numpy")(getattr(module, kernel.name))
    return machine_code(made.inspect_llvm(), made.native_name, kernel.symbol)


def _numba_type(name: str) -> Any:
    number = getattr(numba_types, name.removesuffix("*"))
    return numba_types.CPointer(number) if name.endswith("*") else number  # type: ignore[no-untyped-call]


def main() -> None:
    """Write the machine code of the kernel that the arguments say to standard output."""
    module, name, *types = sys.argv[1:]
    sys.stdout.buffer.write(compiled(Kernel(module, name, tuple(types))))
