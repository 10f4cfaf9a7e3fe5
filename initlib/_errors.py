"""What can go wrong, told apart by who can mend it."""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable
from functools import partial
from itertools import islice
from typing import Any

# Of a message in characters: what files say is in it, which can be endless.
MAX_MESSAGE = 2000
# Looking for what is near takes time by the square of the length, for each choice.
MAX_WORD, MAX_CHOICES = 100, 1000


class InitlibError(Exception):
    """Base of the errors that initlib raises on purpose; the message is one line."""

    def __init__(self, message: str = "") -> None:
        super().__init__(shortened(message))


class RequestError(InitlibError, ValueError):
    """The request is wrong: the caller can mend it (the command exits with 2)."""


class ManifestError(RequestError):
    """A manifest is wrong. The message starts with the file, the line and the path in it.

    Attributes:
        source: the manifest's file name, ``<stdin>`` or ``<manifest>`` for a Python object.
        line: 1-based line number, or None where there is no text behind the manifest.
        path: where in the manifest, such as ``layers[3].shape``; empty for the whole.
        problem: what is wrong there.
    """

    def __init__(self, problem: str, *, source: str, path: str = "", line: int | None = None):
        where = source if line is None else f"{source}:{line}"
        super().__init__(": ".join(part for part in (where, path, problem) if part))
        self.source, self.line, self.path, self.problem = source, line, path, problem

    def __reduce__(self) -> tuple[Any, ...]:
        """Tell pickle how to make it again: processes send errors to each other."""
        place = partial(ManifestError, source=self.source, path=self.path, line=self.line)
        return place, (self.problem,)


class StorageError(InitlibError, OSError):
    """It could not be done: a full disk, an unreadable file (the command exits with 3)."""


def shortened(text: str) -> str:
    """Return a text as one line, without its middle if it is endless."""
    text = " ".join(text.splitlines())
    if len(text) <= MAX_MESSAGE:
        return text
    half = (MAX_MESSAGE - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the choice nearest to `word`, or nothing if none is."""
    if len(word) > MAX_WORD:
        return ""
    words = (choice for choice in choices if len(choice) <= MAX_WORD)
    near = difflib.get_close_matches(word, list(islice(words, MAX_CHOICES)), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


# What an operator can do about errors of the system, whose own texts don't say it.
_ADVICE = {
    errno.EDQUOT: "free some space, or write elsewhere",
    errno.EFBIG: "files there, or of this user (ulimit -f), may not be so large; write a folder of "
    "smaller ones (--max-shard-size)",
    errno.EIO: "the system's log says more; the disk may be failing",
    errno.EMFILE: "allow more (ulimit -n)",
    errno.ENAMETOOLONG: "choose a shorter one",
    errno.ENFILE: "the whole system has no more; close other programs",
    errno.ENOMEM: "use less --memory or fewer --threads, or free some",
    errno.ENOSPC: "free some space, or write elsewhere",
    errno.EROFS: "write elsewhere",
}


def reason(error: OSError) -> str:
    """Return what the system said went wrong, and what can be done about it."""
    code = error.errno
    if not code:
        return " ".join(str(error).split())
    advice = _ADVICE.get(code)
    return os.strerror(code) + (f"; {advice}" if advice else "")
