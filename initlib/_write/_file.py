"""A file that threads write at any place, as fast as its file system lets them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from initlib._errors import StorageError
from initlib._files import itself
from initlib._make import Bytes
from initlib._memory import PAGE
from initlib._write._choice import Choice

# Less than this goes through the page cache: waiting for the disk each time would take longer.
LEAST = 256 << 10
# How a file system says that it doesn't write directly, or not in pages of this size.
REFUSALS = (errno.EINVAL, errno.EOPNOTSUPP)
# How the system says that a name isn't that of the file any more.
REPLACED = (errno.ELOOP, errno.ENOENT, errno.EISDIR)


class File:
    """A file open for writing. Whole pages of large writes go past the page cache (O_DIRECT).

    That saves a copy, which can cost more than making the values, and memory for it. File systems
    that have no such way, or not for this file, get all bytes through the page cache.
    """

    def __init__(self, path: Path, nbytes: int) -> None:
        """Open an existing file, into which so many bytes are to be written.

        Raises:
            StorageError: it is another's: a link, or a file that has other names.
        """
        self._path = path
        try:
            self._cached = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno not in REPLACED:
                raise
            raise self._strange() from error
        if os.fstat(self._cached).st_nlink > 1:
            os.close(self._cached)
            raise self._strange()
        self._direct = _open_direct(self.itself)
        self._refused = self._direct < 0
        self._choice = Choice(nbytes, self.sync)

    def write(self, data: Bytes, offset: int) -> None:
        """Write contiguous bytes at a place. Threads may call it at the same time.

        What fills pages of the file goes directly if it fills pages of memory, too.
        """
        first = -offset % PAGE
        pages = data[first : first + (data.size - first) // PAGE * PAGE]
        direct = not self._refused and self._choice.direct
        direct = direct and pages.size >= LEAST and pages.ctypes.data % PAGE == 0
        begin = end = 0
        if direct:
            begin, end = first, first + self._write_pages(pages, offset + first)
        _pwrite(self._cached, data[:begin], offset)
        _pwrite(self._cached, data[end:], offset + end)
        self._choice.told(data.size, direct=direct)

    def _write_pages(self, pages: Bytes, offset: int) -> int:
        """Write directly; return how many bytes were written, which need not be all."""
        try:
            return os.pwrite(self._direct, pages.data, offset)
        except OSError as error:
            if error.errno not in REFUSALS:
                raise
            self._refused = True
            return 0

    def sync(self) -> None:
        """Bring what was written to the disk."""
        os.fsync(self._cached)

    @property
    def itself(self) -> Path:
        """The file's path, which is right even if it is moved or another is put in its place."""
        return itself(self._cached, self._path)

    def check(self) -> None:
        """Raise StorageError if its name no longer means it."""
        try:
            same = os.path.samestat(self._path.lstat(), os.fstat(self._cached))
        except FileNotFoundError:
            same = False
        if not same:
            raise self._strange()

    def _strange(self) -> StorageError:
        problem = "another program removed, moved or replaced the temporary file or its folder"
        return StorageError(f"{self._path}: {problem}")

    def close(self) -> None:
        """Close the file."""
        try:
            os.close(self._cached)
        finally:
            if self._direct >= 0:
                os.close(self._direct)


def _open_direct(path: Path) -> int:
    """Open a file for direct writes; return -1 where the system or the file system has none."""
    flag = getattr(os, "O_DIRECT", 0)
    if not flag:
        return -1
    try:
        return os.open(path, os.O_WRONLY | os.O_CLOEXEC | flag)
    except OSError:
        return -1


def _pwrite(fd: int, data: Bytes, offset: int) -> None:
    """Write all of the data; a call may write less than it was given."""
    view = data.data
    while view:
        count = os.pwrite(fd, view, offset)
        offset, view = offset + count, view[count:]
