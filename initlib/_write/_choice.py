"""Which way data goes to the disk: past the page cache, unless the way through it is faster."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

# What is written by each way to compare them.
TRIAL = 64 << 20
# Smaller files are not worth a trial, nor is a disk that takes so many bytes a second: there is
# little to be gained, and filling the page cache gets slower the longer it goes on.
WORTH = 8 << 30
FAST = 300_000_000
# How many times as fast the way through the page cache has to be.
CLEARLY = 2


class Choice:
    """Decides for one file; threads may ask and tell it at the same time.

    Data goes past the page cache. Where that is slow, as over some networks, a part goes through
    it, until it is on the disk; all that follows takes the way that was faster.

    Attributes:
        direct: whether to go past the page cache.
    """

    def __init__(self, nbytes: int, sync: Callable[[], None]) -> None:
        """Begin with a file of so many bytes; `sync` brings what was written to the disk."""
        self.direct = True
        self._sync = sync
        self._open = nbytes >= WORTH
        # The first part warms up, and isn't timed.
        self._begin: float | None = None
        self._written, self._rate = 0, 0.0
        self._lock = threading.Lock()

    def told(self, nbytes: int, *, direct: bool) -> None:
        """Take note of bytes that were written."""
        if not self._open or direct is not self.direct:
            return
        with self._lock:
            self._written += nbytes
            if not self._open or self._written < TRIAL:
                return
            if self._begin is not None:
                self._decide(self._begin)
            self._begin, self._written = time.perf_counter(), 0

    def _decide(self, begin: float) -> None:
        """Compare what was written since then."""
        if not self.direct:
            self._sync()
        rate = self._written / (time.perf_counter() - begin)
        if self.direct:
            self._rate, self.direct = rate, rate >= FAST
            self._open = not self.direct
        else:
            self.direct, self._open = rate < CLEARLY * self._rate, False
