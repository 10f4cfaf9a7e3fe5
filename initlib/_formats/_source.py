"""A file open for reading: by any thread at any place, and as a file object for other libraries."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from initlib._errors import StorageError
from initlib._formats._entry import Contents, Entry, storage_errors
from initlib._remote import Address, Place, Remote

# What other libraries read through the file object, rather than into memory of their own, is
# directories and blocks. A directory that says it is larger is refused, not allocated.
MAX_READ = 1 << 20


class Data(Protocol):
    """Bytes by their places; any thread may read them at the same time."""

    def read_into(self, out: memoryview, offset: int) -> int:
        """Fill `out`, or a part of it, from a place on; return how many bytes it got."""

    def again(self) -> Data:
        """Return the same data, which stay open when these are closed."""

    def close(self) -> None:
        """Close them."""


class Descriptor:
    """The data of an open file."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def read_into(self, out: memoryview, offset: int) -> int:
        """Fill `out`, or a part of it, from a place on; return how many bytes it got."""
        return os.preadv(self._fd, [out], offset)

    def again(self) -> Descriptor:
        """Return the same data, which stay open when these are closed."""
        return Descriptor(os.dup(self._fd))

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class Source(io.RawIOBase):
    """A regular file, or a piece of one, open for reading.

    Threads may call `read_at` at the same time, but only one may use it as a file object.

    Attributes:
        path: what messages call it.
        start: byte of the file at which the piece starts.
        size: of the piece in bytes, when it was opened.
        check: is given this, where the file object reads, and what; it may raise ValueError.
    """

    def __init__(self, path: Place, data: Data, start: int, size: int):
        super().__init__()
        self.path, self.start, self.size = path, start, size
        self._data, self._position = data, 0
        self.check: Callable[[Source, int, bytes], None] | None = None

    @classmethod
    def open(cls, path: Place) -> Source:
        """Open a whole file.

        Raises:
            RequestError: it is in a bucket that isn't there.
            StorageError: it cannot be found or opened, or is not a regular file.
        """
        if isinstance(path, Address):
            remote = Remote(path)
            return cls(path, remote, 0, remote.size)
        # A pipe that nobody writes to would block, and be found out only then.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        with storage_errors(path, "read"):
            if not stat.S_ISREG(path.stat().st_mode):
                raise StorageError(f"{path}: cannot read: not a file")
            fd = os.open(path, flags)
            return cls(path, Descriptor(fd), 0, os.fstat(fd).st_size)

    def piece(self, start: int, size: int) -> Source:
        """Return a piece of this one, which lives on when this one is closed."""
        return Source(self.path, self._data.again(), self.start + start, size)

    def read_at(self, offset: int, out: npt.NDArray[np.uint8]) -> None:
        """Read bytes offset .. offset + len(out) of the piece into `out`, which is contiguous.

        Raises:
            StorageError: there are not so many, or they cannot be read.
        """
        view = out.data
        if offset + len(view) > self.size:
            raise StorageError(f"{self.path}: cannot read: shorter than its header says")
        offset += self.start
        with storage_errors(self.path, "read"):
            while view:
                count = self._data.read_into(view, offset)
                if not count:
                    raise StorageError(f"{self.path}: cannot read: it became shorter meanwhile")
                offset, view = offset + count, view[count:]

    def bytes_at(self, offset: int, count: int) -> bytes:
        """Return bytes offset .. offset + count of the piece.

        Raises:
            StorageError: there are not so many, or they cannot be read.
        """
        if offset + count > self.size:
            raise StorageError(f"{self.path}: cannot read: shorter than its header says")
        out = np.empty(count, np.uint8)
        self.read_at(offset, out)
        return out.tobytes()

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it has places."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to another place; return which, in bytes from the start of the piece."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Return the place in bytes from the start of the piece."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`, or as much of it as there are bytes; return how many."""
        view = np.frombuffer(buffer, np.uint8)[: max(0, self.size - self._position)]
        self.read_at(self._position, view)
        if self.check is not None:
            self.check(self, self._position, view.tobytes())
        self._position += view.size
        return view.size

    def read(self, size: int = -1) -> bytes:
        """Return `size` bytes, or all that are left.

        Raises:
            ValueError: these are more than any directory needs.
        """
        left = max(0, self.size - self._position)
        count = left if size < 0 else min(size, left)
        if count > MAX_READ:
            raise ValueError(f"it needs {count} bytes at once, more than {MAX_READ}")
        found = self.bytes_at(self._position, count)
        self._position += count
        return found

    def close(self) -> None:
        """Close the file; again does nothing."""
        if not self.closed:
            super().close()
            self._data.close()


class Opened:
    """A file open for reading its tensors' values.

    Attributes:
        source: where its bytes are.
        contents: what it holds; offsets are from the start of the source.
    """

    def __init__(self, source: Source, contents: Contents):
        self.source, self.contents = source, contents

    def read_values(self, entry: Entry, start: int, out: npt.NDArray[Any]) -> None:
        """Read values that have no offset. Threads may call it at the same time.

        Args:
            entry: one of the contents'.
            start: the first element, in C order.
            out: 1-D contiguous array of the entry's dtype; how many is its size.

        Raises:
            StorageError: they cannot be read.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Close the file; again does nothing."""
        self.source.close()
