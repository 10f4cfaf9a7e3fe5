"""New files, and ways to them that stay right whatever their names come to mean."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import BinaryIO

# What a message begins with that names an open file, as `itself` does.
OPEN = re.compile(r"/proc/self/fd/\d+: ")


def new_file(path: Path) -> BinaryIO:
    """Open a file for writing that isn't there yet, not even as a link."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o666), "wb")


def itself(fd: int, path: Path) -> Path:
    """Return a path to what is open as `fd`, even if it is moved or another takes its place.

    Where the system has no such paths, that is the `path` by which it was opened.
    """
    found = Path(f"/proc/self/fd/{fd}")
    return found if found.exists() else path
