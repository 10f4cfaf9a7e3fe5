"""Memory by the page, as disks and vectors want it."""

from __future__ import annotations

import mmap

import numpy as np
import numpy.typing as npt

# Of memory and of disks, in bytes.
PAGE = 4096


def pages(nbytes: int) -> npt.NDArray[np.uint8]:
    """Return so many bytes of new memory, all 0, which start with a page and are this process's."""
    return np.frombuffer(mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANON), np.uint8)
