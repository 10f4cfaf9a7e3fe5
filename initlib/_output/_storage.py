"""What can go wrong with a disk, told in one line; and what brings data onto it."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ByteSize

from initlib._errors import InitlibError, StorageError, reason
from initlib._files import OPEN
from initlib._remote import named

# How a file system says that its folders need no sync, or that it has none for them.
NO_SYNC = (errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP)


def check_space(path: Path, folder: Path, nbytes: int) -> None:
    """Raise StorageError, which names `path`, if a folder's disk can't hold so many bytes."""
    with storage_errors(path):
        usage = shutil.disk_usage(folder)
    # Some file systems, as over networks, don't know.
    if usage.total and nbytes > usage.free:
        need, have = (ByteSize(n).human_readable() for n in (nbytes, usage.free))
        if need == have:
            need, have = f"{nbytes:,} bytes", f"{usage.free:,}"
        problem = f"{need} are needed, but the disk of {folder} has only {have} free"
        raise StorageError(f"{path}: {problem}; free some space, or write elsewhere")


@contextmanager
def storage_errors(
    path: str | os.PathLike[str], hidden: re.Pattern[str] | None = None
) -> Iterator[None]:
    """Turn what goes wrong with a file into a StorageError that names it, not `hidden` ones."""
    try:
        yield
    except OSError as error:
        if isinstance(error, InitlibError):
            own = (hidden and hidden.match(str(error))) or OPEN.match(str(error))
            if not own:
                raise
            why = str(error)[own.end() :]
        else:
            why = reason(error)
        raise StorageError(f"{named(path)}: {why}") from error
    except MemoryError as error:
        problem = f"there is not enough memory: {error}".removesuffix(": ")
        advice = "use less --memory or fewer --threads, or allow it more"
        raise StorageError(f"{named(path)}: {problem}; {advice}") from error


def sync(path: Path) -> None:
    """Bring a file's content, or what was made, renamed or removed in a folder, to the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise
    finally:
        os.close(fd)
