"""New files, and ways to them that stay right whatever their names come to mean."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import BinaryIO


def new_file(path: Path) -> BinaryIO:
    """Open a file for writing that isn't there yet, not even as a link."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o666), "wb")


def sync(file: BinaryIO) -> None:
    """Bring what was written to the disk."""
    file.flush()
    os.fsync(file.fileno())


def itself(fd: int, path: Path) -> Path:
    """Return a path to what is open as `fd`, even if it is moved or another takes its place.

    Where the system has no such paths, that is the `path` by which it was opened.
    """
    magic = Path(f"/proc/self/fd/{fd}")
    return magic if magic.exists() else path


def open_name(message: str) -> str | None:
    """Return the path of this kind that a message of an error begins with, if it does."""
    found = re.match(r"(/proc/self/fd/\d+(/[^/:]+)?): ", message)
    return found and found[1]
