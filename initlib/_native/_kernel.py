"""What a kernel is: a function on numbers and addresses, named without being imported."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Function = Callable[..., None]

_C_TYPES: dict[str, Any] = {
    "float32": ctypes.c_float,
    "float64": ctypes.c_double,
    "int32": ctypes.c_int32,
    "int64": ctypes.c_int64,
    "uint32": ctypes.c_uint32,
    "uint64": ctypes.c_uint64,
}


@dataclass(frozen=True, slots=True)
class Kernel:
    """A function of one of initlib's modules, compiled for arguments of certain types.

    It returns nothing and raises nothing.

    Attributes:
        module: where it is defined; importing that brings Numba in.
        name: of the function.
        types: of its arguments, as Numba names them. With a `*` behind, it is the address of such.
    """

    module: str
    name: str
    types: tuple[str, ...]

    @property
    def symbol(self) -> str:
        """A name that tells it from all other kernels."""
        return f"{self.name}-{'-'.join(self.types).replace('*', 'p')}"

    @property
    def prototype(self) -> Any:
        """What makes a Python function of the machine code's address; it releases the GIL."""
        arguments = (ctypes.c_void_p if t.endswith("*") else _C_TYPES[t] for t in self.types)
        return ctypes.CFUNCTYPE(None, *arguments)
