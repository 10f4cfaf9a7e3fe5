"""Machine code: kernels that Numba compiles once for a machine, kept on disk and loaded from it."""

from initlib._native._kernel import Function, Kernel
from initlib._native._loader import Loader

__all__ = ["Function", "Kernel", "Loader"]
