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
    except (SystemExit, KeyboardInterrupt) as error:
        # typer makes an exit of an interrupt.
        stopped = _signals.stopped(error)
        if isinstance(error.__context__, BrokenPipeError):
            # A reader of help that has had enough is no error.
            sys.exit(0)
        if stopped is None:
            raise
        _fail(stopped.message(), 128 + stopped.number)
    finally:
        # The process ends: a last collection, by Python itself, would only take time.
        gc.freeze()


def _run() -> None:
    # Looking for plugins takes pydantic longer the more packages are installed.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # OpenBLAS ends the process if it can't start its threads, which are of no use here.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    warnings.showwarning = _warn
    try:
        _check_memory()
        # Loading the commands takes a moment, in which signals come, too.
        from initgen._app import app

        app(prog_name="initgen")
    except MemoryError as error:
        text = f"there is not enough memory: {error}".removesuffix(": ")
        _fail(_told(error, f"{text}; {MORE_MEMORY}"), NOT_DONE)
    except ImportError as error:
        # The system's loader has no other words for it.
        short = any(words in str(error) for words in ("failed to map", "cannot allocate memory"))
        advice = f"; there is not enough memory; {MORE_MEMORY}" if short else ""
        _fail(f"cannot load a library: {error}{advice}", NOT_DONE)
    except OSError as error:
        # Those of files come with their names; what is left is our own output.
        from initlib import StorageError

        if isinstance(error, StorageError):
            _fail(_told(error), NOT_DONE)
        if error.filename is not None:
            # Such as a module, where the process may open no more files.
            _fail(f"cannot load {error.filename}: {error.strerror}", NOT_DONE)
        discard_output()
        _fail(f"cannot print the result: {error.strerror}", NOT_DONE)
    except ValueError as error:
        from initlib import RequestError

        if not isinstance(error, RequestError):
            raise
        _fail(_told(error), REQUEST_WRONG)


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
