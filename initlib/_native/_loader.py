"""When kernels are loaded or compiled, and where on disk their machine code is kept.

    <user's cache folder>/initgen/kernels/<digest of source, machine and kernel>

holds a digest of the machine code (32 bytes) and the machine code.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import threading
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from blake3 import blake3

from initlib._native._kernel import Function, Kernel

FOLDER = "INITGEN_CACHE_DIR"
_DIGEST = 32
_lock = threading.RLock()
_loaded: dict[Kernel, Function] = {}


class Loader:
    """Gives out kernels once a job is large enough to be worth the time that they take.

    Loading the first one from disk takes a thirtieth of a second, compiling it about a second.

    Attributes:
        loading: the least number of values for which kernels are loaded from disk.
        compiling: the least number for which those that aren't there are compiled.
        job: values of the largest job so far.
    """

    def __init__(self, *, loading: int, compiling: int) -> None:
        self.loading, self.compiling, self.job = loading, compiling, 0
        self._absent: set[Kernel] = set()

    def prepare(self, values: int) -> None:
        """Note the size of a job; from the first large one on, kernels serve smaller ones too."""
        self.job = max(self.job, values)

    def get(self, kernel: Kernel) -> Function | None:
        """Return a kernel's function, or None where the reference is to be used.

        That is for small jobs, and where Numba isn't installed or told not to compile.
        """
        if self.job < self.loading:
            return None
        if function := _loaded.get(kernel):
            return function
        compiling = self.job >= self.compiling
        if kernel in self._absent and not compiling:
            return None
        with _lock:
            function = _loaded.get(kernel) or _load(kernel, compiling=compiling)
            if function is None:
                self._absent.add(kernel)
            else:
                _loaded[kernel] = function
            return function


def _load(kernel: Kernel, *, compiling: bool) -> Function | None:
    """Fetch a kernel from the disk, or else compile it and keep it there."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        return None
    try:
        from initlib._native._machine import description, function_in

        path = _folder() / blake3(_key(kernel, description())).hexdigest()
        code = _read(path)
        if code is None:
            if not compiling:
                return None
            code = _compiled(kernel)
            _keep(path, code)
        return function_in(code, kernel)
    except ImportError:
        return None


def _compiled(kernel: Kernel) -> bytes:
    """Compile a kernel in another process: the 100 MB of memory that this takes end with it."""
    program = "from initlib._native._compile import main; main()"
    command = [sys.executable, "-c", program, kernel.module, kernel.name, *kernel.types]
    with suppress(OSError, subprocess.CalledProcessError):
        no_input = subprocess.DEVNULL
        done = subprocess.run(command, check=True, capture_output=True, stdin=no_input)  # noqa: S603
        return done.stdout
    # Perhaps no process can be started, or not this Python. What is wrong else will show here.
    from initlib._native._compile import compiled

    return compiled(kernel)


def _key(kernel: Kernel, machine: str) -> bytes:
    try:
        numba = version("numba")
    except PackageNotFoundError:
        numba = ""
    return "\0".join((kernel.module, kernel.symbol, machine, numba, _source())).encode()


@cache
def _source() -> str:
    """Return a digest of all code that kernels are made of."""
    package = Path(__file__).parents[1]
    rooms = ("_native", "_stream", "_moments")
    files = sorted(path for room in rooms for path in (package / room).glob("*.py"))
    return blake3(b"".join(path.read_bytes() for path in files)).hexdigest()


def _folder() -> Path:
    """Return the folder that keeps machine code."""
    if named := os.environ.get(FOLDER):
        return Path(named)
    from platformdirs import user_cache_path

    return user_cache_path("initgen") / "kernels"


def _read(path: Path) -> bytes | None:
    """Return the machine code in a file, None if there is none or it is damaged."""
    with suppress(OSError):
        content = path.read_bytes()
        digest, code = content[:_DIGEST], content[_DIGEST:]
        if blake3(code).digest() == digest:
            return code
    return None


def _keep(path: Path, code: bytes) -> None:
    """Put machine code in a file, if there is a place for it."""
    temporary = path.with_name(f".{secrets.token_hex(8)}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(blake3(code).digest() + code)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
