"""Bytes of a file at an address, read by any thread."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

from initlib._errors import StorageError
from initlib._remote._address import Address
from initlib._remote._systems import HTTP

# Headers, HDF5's structures and small tensors are read by so many bytes at once, which are kept.
BLOCK = 256 << 10
BLOCKS = 32


class Remote:
    """A file at an address, open for reading.

    Attributes:
        size: in bytes, when it was opened.
    """

    def __init__(self, address: Address) -> None:
        """Open it.

        Raises:
            RequestError: there is no such bucket.
            StorageError: there is no such file, or it can't be read.
        """
        self.address, self.size = address, address.size()
        self._file: Any = None
        self._lock = threading.Lock()
        if address.protocol in HTTP:
            self._file = address.call("read", self._open)

    def _open(self) -> Any:
        """Open a file of a web server: one that gives no parts of files would send the whole."""
        return self.address.system.open(
            self.address.key, "rb", block_size=BLOCK, cache_type="none", size=self.size
        )

    def read_into(self, out: memoryview, offset: int) -> int:
        """Fill `out` from a place on; return how many bytes there were."""
        if len(out) >= BLOCK:
            data: bytes | memoryview = self.fetch(offset, offset + len(out))
        else:
            number, begin = divmod(offset, BLOCK)
            data = memoryview(_block(self, number))[begin : begin + len(out)]
        if len(data) > len(out):
            raise StorageError(f"{self.address}: cannot read: more came than was asked for")
        out[: len(data)] = data
        return len(data)

    def fetch(self, start: int, end: int) -> bytes:
        """Return a piece."""
        if self._file is None:
            return self.address.read(start, end)

        def fetch() -> bytes:
            with self._lock:
                self._file.seek(start)
                return bytes(self._file.read(end - start))

        found: bytes = self.address.call("read", fetch)
        return found

    def again(self) -> Remote:
        """Return what is read in its place when it is closed: itself, as there is nothing open."""
        return self

    def close(self) -> None:
        """Do nothing: there is nothing open."""


@lru_cache(maxsize=BLOCKS)
def _block(file: Remote, number: int) -> bytes:
    return file.fetch(number * BLOCK, min((number + 1) * BLOCK, file.size))
