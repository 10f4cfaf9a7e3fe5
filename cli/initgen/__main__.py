"""Where the command starts, and where every failure becomes one line and an exit code."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import sys

# Modules and manifests make much that lives long, among which there is little to collect.
gc.set_threshold(100_000)

from initgen import _signals  # noqa: E402
from initgen._console import NOT_DONE, complain, discard_output  # noqa: E402

# Exit codes: 1 is for commands that answer no.
REQUEST_WRONG = 2


def main() -> None:
    """Run the command that the arguments name."""
    # Looking for plugins takes pydantic longer the more packages are installed.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    _signals.watch()
    _open_standard_streams()
    try:
        # What can't be loaded is one line, too.
        from initgen._app import app

        app(prog_name="initgen")
    except MemoryError as error:
        _fail(f"out of memory: {error}".rstrip(": "), NOT_DONE)
    except ImportError as error:
        _fail(f"cannot load a library: {error}", NOT_DONE)
    except OSError as error:
        # Those of files come with their names; what is left is our own output.
        from initlib import StorageError

        if isinstance(error, StorageError):
            _fail(str(error), NOT_DONE)
        discard_output()
        _fail(f"cannot print the result: {error.strerror}", NOT_DONE)
    except ValueError as error:
        from initlib import RequestError

        if not isinstance(error, RequestError):
            raise
        _fail(str(error), REQUEST_WRONG)
    finally:
        # The process ends: a last collection, by Python itself, would only take time.
        gc.freeze()


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


def _fail(message: str, code: int) -> None:
    # Nothing is to be done where messages can't be written either.
    with contextlib.suppress(OSError):
        complain(message)
    sys.exit(code)


if __name__ == "__main__":
    main()
