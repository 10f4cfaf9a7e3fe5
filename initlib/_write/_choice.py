"""Which way data goes to the disk: past the page cache, unless the way through it is faster."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

# What is written by each way to compare them.
TRIAL = 64 << 20
# Smaller files are not worth a trial, nor is a disk that takes so many bytes a second: copying them
# into the page cache would cost more than is to be gained.
WORTH = 8 << 30
FAST = 1_000_000_000
# By how much the way through the page cache has to be faster.
CLEARLY = 1.25


class Choice:
    """Decides for one file; threads may ask and tell it at the same time.

    The first bytes go past the page cache. Where that is slow, as over some networks, as many go
    through it, until they are on the disk; all others take the way that was faster.

    Attributes:
        direct: whether to go past the page cache.
    """

    def __init__(self, nbytes: int, sync: Callable[[], None]) -> None:
        """Begin with a file of so many bytes; `sync` brings what was written to the disk."""
        self.direct = True
        self._sync = sync
        self._open = nbytes >= WORTH
        self._begin, self._written = time.perf_counter(), 0
        self._rate = 0.0
        self._lock = threading.Lock()

    def told(self, nbytes: int, *, direct: bool) -> None:
        """Take note of bytes that were written."""
        if not self._open or direct is not self.direct:
            return
        with self._lock:
            self._written += nbytes
            if not self._open or self._written < TRIAL:
                return
            if not self.direct:
                self._sync()
            rate = self._written / (time.perf_counter() - self._begin)
            if self.direct:
                self._rate, self.direct = rate, rate >= FAST
                self._open = not self.direct
            else:
                self.direct, self._open = rate < CLEARLY * self._rate, False
            self._begin, self._written = time.perf_counter(), 0
