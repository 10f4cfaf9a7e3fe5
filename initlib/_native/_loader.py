"""When kernels are loaded or compiled, and where on disk their machine code is kept.

    <user's cache folder>/initgen/kernels/<digest of source, machine and kernel>

holds a digest of the machine code (32 bytes) and the machine code.
"""

from __future__ import annotations

import os
import secrets
import threading
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path

from blake3 import blake3

from initlib._native._kernel import Function, Kernel
from initlib._version import __version__

FOLDER = "INITGEN_CACHE_DIR"
_DIGEST = 32
_lock = threading.RLock()
# None for those that can't be had.
_loaded: dict[Kernel, Function | None] = {}


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

        That is for small jobs, and where there is no compiler or it is told not to compile.
        """
        if self.job < self.loading:
            return None
        if kernel in _loaded:
            return _loaded[kernel]
        compiling = self.job >= self.compiling
        if kernel in self._absent and not compiling:
            return None
        with _lock:
            if kernel not in _loaded:
                function = _load(kernel, compiling=compiling)
                if function is None and not compiling:
                    self._absent.add(kernel)
                    return None
                _loaded[kernel] = function
            return _loaded[kernel]


def _load(kernel: Kernel, *, compiling: bool) -> Function | None:
    """Fetch a kernel from the disk, or else compile it and keep it there."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        return None
    try:
        from initlib._native._machine import description, function_in

        path = _path(kernel, description())
        code = None if path is None else _read(path)
        if code is not None:
            return function_in(code, kernel)
        if not compiling:
            return None
        from initlib._native._apart import compiled_apart

        code = compiled_apart(kernel)
        function = function_in(code, kernel)
        if path is not None:
            _keep(path, code)
    except Exception as error:
        # Whatever is wrong with the compiler, NumPy makes the same bytes.
        reason = " ".join(str(error).split()) or type(error).__name__
        warnings.warn(f"no compiled kernels, so it is slow: {reason}", RuntimeWarning, stacklevel=2)
        return None
    return function


def _path(kernel: Kernel, machine: str) -> Path | None:
    """Return the file of a kernel's machine code; None where none can be kept."""
    named = os.environ.get(FOLDER)
    if named:
        folder = Path(named)
    else:
        from platformdirs import user_cache_path

        folder = user_cache_path("initgen") / "kernels"
    source = _source()
    # Without a home it isn't absolute, and a folder of whatever place this is isn't to be trusted.
    if source is None or not (named or folder.is_absolute()):
        return None
    key = "\0".join((kernel.module, kernel.symbol, machine, __version__, source))
    return folder / blake3(key.encode()).hexdigest()


@cache
def _source() -> str | None:
    """Return a digest of all code that kernels are made of; None if it isn't there to be read."""
    package = Path(__file__).parents[1]
    rooms = ("_native", "_stream", "_moments")
    files = sorted(path for room in rooms for path in (package / room).glob("*.py"))
    return blake3(b"".join(path.read_bytes() for path in files)).hexdigest() if files else None


def _read(path: Path) -> bytes | None:
    """Return the machine code in a file, None if there is none, or it is damaged or not ours."""
    with suppress(OSError), path.open("rb") as file:
        status = os.fstat(file.fileno())
        if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022:
            return None
        content = file.read()
        digest, code = content[:_DIGEST], content[_DIGEST:]
        if blake3(code).digest() == digest:
            return code
    return None


def _keep(path: Path, code: bytes) -> None:
    """Put machine code in a file that nobody else can write, if there is a place for it."""
    temporary = path.with_name(f".{secrets.token_hex(8)}")
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
                file.write(blake3(code).digest() + code)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
