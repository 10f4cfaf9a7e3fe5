"""Compiling in another process: the 100 MB of memory that Numba and LLVM take end with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from initlib._native._kernel import Kernel

# The other process looks for modules where this one does, and nowhere else: not in the current
# folder. Its machine code goes to a file, since Numba can be told to print.
_PROGRAM = """
import json, sys
path, sys.path[:], kernel = json.loads(sys.argv[1])
from initlib._native._compile import compile_to
compile_to(path, *kernel)
"""
# Set in the other process, which must not start a third.
_INSIDE = "INITGEN_COMPILING"
# Seconds. It takes one or two.
_PATIENCE = 120


def compiled_apart(kernel: Kernel) -> bytes:
    """Return a kernel's machine code; where no process can be started it is compiled here."""
    frozen = getattr(sys, "frozen", False) or not sys.executable
    if not frozen and _INSIDE not in os.environ:
        with suppress(OSError, subprocess.SubprocessError), tempfile.TemporaryDirectory() as folder:
            return _compiled(kernel, Path(folder, "code"))
    # What is wrong with the compiler will show here.
    from initlib._native._compile import compiled

    return compiled(kernel)


def _compiled(kernel: Kernel, path: Path) -> bytes:
    what = json.dumps([str(path), sys.path, [kernel.module, kernel.name, kernel.types]])
    subprocess.run(  # noqa: S603
        [sys.executable, "-P", "-c", _PROGRAM, what],
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_PATIENCE,
        env={**os.environ, _INSIDE: "1"},
    )
    return path.read_bytes()
