"""Where the command starts, and where every failure becomes one line and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from initgen._app import app

# Exit codes: 1 is for commands that answer no.
REQUEST_WRONG, NOT_DONE = 2, 3


def main() -> None:
    """Run the command that the arguments name."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Under nohup a hang-up is ignored, and stays so.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)
    try:
        _run()
    except KeyboardInterrupt:
        _fail("interrupted; nothing was changed", 128 + signal.SIGINT)
    except BrokenPipeError:
        # The reader of our output has had enough, as `| head` does.
        _discard_output()
        sys.exit(0)
    except MemoryError as error:
        _fail(f"out of memory: {error}".rstrip(": "), NOT_DONE)
    except OSError as error:
        # Those of files come with their names; what is left is our own output.
        from initlib import StorageError

        if isinstance(error, StorageError):
            _fail(str(error), NOT_DONE)
        _discard_output()
        _fail(f"cannot print the result: {error.strerror}", NOT_DONE)
    except ValueError as error:
        from initlib import RequestError

        if not isinstance(error, RequestError):
            raise
        _fail(str(error), REQUEST_WRONG)


def _run() -> None:
    """Run the command to the end of its output."""
    try:
        app(prog_name="initgen")
    finally:
        # None where the process was started with it closed.
        if sys.stdout is not None:
            sys.stdout.flush()


def _discard_output() -> None:
    """Let what waits in a broken standard output vanish: Python would try to write it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _stop(number: int, _frame: FrameType | None) -> None:
    """Leave as an exit does, so that temporary files are removed."""
    sys.exit(128 + number)


def _fail(message: str, code: int) -> None:
    print(f"initgen: {message}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
