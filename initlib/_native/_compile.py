"""From a kernel's Python code to machine code, by Numba."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numba import cfunc, types

from initlib._native._kernel import Kernel
from initlib._native._machine import as_module, machine_code


def compiled(kernel: Kernel) -> bytes:
    """Return a kernel's machine code."""
    return machine_code(optimised(kernel))


def optimised(kernel: Kernel) -> Any:
    """Return a kernel as LLVM has it, in a module with nothing else."""
    module = importlib.import_module(kernel.module)
    signature = types.void(*map(_numba_type, kernel.types))
    # Division by zero can't occur; Numba's check for it would keep the loops from being vectorised.
    made = cfunc(signature, error_model="numpy")(getattr(module, kernel.name))
    return as_module(made.inspect_llvm(), made.native_name, kernel.symbol)


def compile_to(path: str, module: str, name: str, argument_types: Sequence[str]) -> None:
    """Write the machine code of a kernel to a file."""
    Path(path).write_bytes(compiled(Kernel(module, name, tuple(argument_types))))


def _numba_type(name: str) -> Any:
    number = getattr(types, name.removesuffix("*"))
    return types.CPointer(number) if name.endswith("*") else number  # type: ignore[no-untyped-call]
