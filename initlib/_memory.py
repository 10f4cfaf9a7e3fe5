"""Memory by the page, as disks and vectors want it."""

from __future__ import annotations

import mmap
import os
import resource
from contextlib import suppress
from functools import cache
from pathlib import Path

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

    Raises:
        MemoryError: the system has none.
    """
    spare = HUGE if nbytes >= HUGE else 0
    try:
        memory = mmap.mmap(-1, nbytes + spare, flags=mmap.MAP_PRIVATE | mmap.MAP_ANON)
    except OSError as error:
        raise MemoryError(f"{nbytes >> 20} MiB are needed for buffers") from error
    array = np.frombuffer(memory, np.uint8)
    if not spare:
        return array
    with suppress(AttributeError, OSError):
        memory.madvise(mmap.MADV_HUGEPAGE)
    start = -array.ctypes.data % HUGE
    return array[start : start + nbytes]


def check_room(nbytes: int) -> None:
    """Find out whether there is so much more memory for this process, as far as can be told.

    Where there isn't, some libraries end the process, or the system does.

    Raises:
        MemoryError: there isn't.
    """
    if nbytes > total():
        raise MemoryError(f"{nbytes >> 20:,} MiB are needed, but there are only {total() >> 20:,}")
    statistics = Path("/proc/self/statm")
    if not statistics.exists():
        return
    used = statistics.read_text().split()
    for kind, field in ((resource.RLIMIT_AS, 0), (resource.RLIMIT_DATA, 5)):
        limit = resource.getrlimit(kind)[0]
        left = limit - int(used[field]) * resource.getpagesize()
        if limit != resource.RLIM_INFINITY and left < nbytes:
            need, have = nbytes >> 20, max(left, 0) >> 20
            limits = f"a limit (ulimit -v or -d) leaves {have:,}"
            raise MemoryError(f"{need:,} MiB more are needed, but {limits}")


@cache
def total(groups: Path = Path("/proc/self/cgroup"), mounted: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the bytes of memory that this process may have: the machine's, or its container's."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for line in groups.read_text().splitlines() if groups.exists() else ():
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            root = mounted / controllers
            name = "memory.limit_in_bytes" if controllers else "memory.max"
            # A container sees its own group as the root, whatever its path is outside.
            inner = root / path.lstrip("/")
            for group in (inner, *inner.parents):
                if group.is_relative_to(root):
                    found += _limits(group / name)
    return min(found)


def _limits(file: Path) -> list[int]:
    """Return the limit in a file, if there is one."""
    with suppress(OSError, ValueError):
        return [int(file.read_text())]
    return []
