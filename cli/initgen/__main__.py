"""Where the command starts, and where every failure becomes one line and an exit code."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import sys
import warnings
from typing import Any

# Modules and manifests make much that lives long, among which there is little to collect.
gc.set_threshold(100_000)

from initgen import _signals  # noqa: E402
from initgen._console import NOT_DONE, complain, discard_output  # noqa: E402

# Exit codes: 1 is for commands that answer no.
REQUEST_WRONG = 2

LEAST_MEMORY = 160 << 20
MORE_MEMORY = "allow more (ulimit -v), or use less --memory or fewer --threads"


def main() -> None:
    """Run the command that the arguments name."""
    try:
        _signals.watch()
        _open_standard_streams()
        _run()
    except BaseException as error:
        stopped = _signals.stopped(error)
        if stopped is None:
            _end(error)
        else:
            _fail(*stopped)
    finally:
        # The process ends: a last collection, by Python itself, would only take time.
        gc.freeze()


def _run() -> None:
    # Looking for plugins takes pydantic longer the more packages are installed.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # OpenBLAS ends the process if it can't start its threads, which are of no use here.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    warnings.showwarning = _warn
    _check_memory()
    # Loading the commands takes a moment, in which signals come, too.
    from initgen._app import app

    app(prog_name="initgen")


def _end(error: BaseException) -> None:
    """Say in one line what went wrong, and exit; raise again what is no failure, or a defect."""
    if isinstance(error, SystemExit) and isinstance(error.__context__, BrokenPipeError):
        # A reader of help that has had enough is no error.
        sys.exit(0)
    elif isinstance(error, MemoryError):
        text = f"there is not enough memory: {error}".removesuffix(": ")
        _fail(_told(error, f"{text}; {MORE_MEMORY}"), NOT_DONE)
    elif isinstance(error, ImportError):
        # The system's loader has no other words for it.
        short = any(words in str(error) for words in ("failed to map", "cannot allocate memory"))
        advice = f"; there is not enough memory; {MORE_MEMORY}" if short else ""
        _fail(f"cannot load a library: {error}{advice}", NOT_DONE)
    elif isinstance(error, OSError):
        # Those of files come with their names; what is left is our own output.
        from initlib import StorageError

        if isinstance(error, StorageError):
            _fail(_told(error), NOT_DONE)
        if error.filename is not None:
            # Such as a module, where the process may open no more files.
            _fail(f"cannot load {error.filename}: {error.strerror}", NOT_DONE)
        discard_output()
        _fail(f"cannot print the result: {error.strerror}", NOT_DONE)
    elif isinstance(error, ValueError):
        from initlib import RequestError

        if isinstance(error, RequestError):
            _fail(_told(error), REQUEST_WRONG)
    raise error


def _open_standard_streams() -> None:
    """Put the null device in the place of what was closed when the process started.

    Of the others, what can't be encoded is replaced.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        # Not every terminal has the characters of histograms, or of all names.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _check_memory() -> None:
    """Raise MemoryError where NumPy could not be loaded, which doesn't say so in one line."""
    import resource

    limits = (resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
    if any(0 <= limit < LEAST_MEMORY for limit in limits):
        raise MemoryError(f"{LEAST_MEMORY >> 20} MiB are needed at least")


def _warn(message: Warning | str, *_where: Any, **_more: Any) -> None:
    with contextlib.suppress(OSError):
        complain(str(message))


def _told(error: BaseException, text: str | None = None) -> str:
    """Return an error's message, or another one, with the notes of what is left of the work."""
    return "; ".join([text or str(error), *getattr(error, "__notes__", ())])


def _fail(message: str, code: int) -> None:
    _signals.ignore()
    # Nothing is to be done where messages can't be written either.
    with contextlib.suppress(OSError):
        complain(message)
    sys.exit(code)


if __name__ == "__main__":
    main()
