"""A folder held open: whatever its name comes to mean meanwhile, new files stay in this one."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from initlib._errors import StorageError, reason
from initlib._files import itself

# How a file system says that it has no way to bring a folder to the disk.
NO_SYNC = (errno.EINVAL, errno.EOPNOTSUPP, errno.EBADF)


@dataclass(frozen=True, slots=True)
class Held:
    """A folder, by its name and as it was when it was opened.

    Attributes:
        target: what is to be written in it; messages name it.
        folder: its name.
        path: the folder itself; names below it are right even if it is moved or another is put in
            its place.
    """

    target: Path
    folder: Path
    path: Path

    def __truediv__(self, name: str) -> Path:
        """Return the path of a file in it."""
        return self.path / name

    def check(self) -> None:
        """Raise StorageError if its name no longer means it."""
        with suppress(OSError):
            if self.folder.samefile(self.path):
                return
        problem = "its folder was removed, moved or replaced meanwhile, so nothing was written"
        raise StorageError(f"{self.target}: {problem}")

    def sync(self) -> None:
        """Bring to the disk what was renamed in it.

        Raises:
            StorageError: that failed, which only matters once the system fails.
        """
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except PermissionError:
            # It may be written but not read.
            os.sync()
            return
        except OSError as error:
            raise self._unsynced(error) from error
        try:
            os.fsync(fd)
        except OSError as error:
            if error.errno not in NO_SYNC:
                raise self._unsynced(error) from error
        finally:
            with suppress(OSError):
                os.close(fd)

    def _unsynced(self, error: OSError) -> StorageError:
        problem = "it is whole and in its place, but may be lost if the machine fails now"
        return StorageError(f"{self.target}: {problem}: {reason(error)}")


@contextmanager
def held(target: Path, folder: Path) -> Iterator[Held]:
    """Hold a folder open in which `target` is to be written."""
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Held(target, folder, itself(fd, folder))
    finally:
        with suppress(OSError):
            os.close(fd)
