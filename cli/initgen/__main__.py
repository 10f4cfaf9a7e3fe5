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
        app(prog_name="initgen")
    except KeyboardInterrupt:
        _fail("interrupted; nothing was changed", 128 + signal.SIGINT)
    except BrokenPipeError:
        # The reader of our output has had enough, as `| head` does. Python would complain when it
        # flushes the rest at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except MemoryError as error:
        _fail(f"out of memory: {error}".rstrip(": "), NOT_DONE)
    except (ValueError, OSError) as error:
        from initlib import RequestError, StorageError

        if isinstance(error, RequestError):
            _fail(str(error), REQUEST_WRONG)
        if isinstance(error, StorageError):
            _fail(str(error), NOT_DONE)
        raise


def _stop(number: int, _frame: FrameType | None) -> None:
    """Leave as an exit does, so that temporary files are removed."""
    sys.exit(128 + number)


def _fail(message: str, code: int) -> None:
    print(f"initgen: {message}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
