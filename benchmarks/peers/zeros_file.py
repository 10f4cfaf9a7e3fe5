"""zeros_file.py FILE TENSORS THREADS CHUNK PATH: write zeros as initgen writes values.

As many threads write chunks of as many bytes with pwritev into a file that already has its length,
then fsync: through the page cache (PATH "cached") or past it ("direct", by O_DIRECT). Nothing is
computed, and nothing but the standard library imported. The zeros lie in huge pages where the
system has them, as initgen's buffers do.
"""

import ctypes
import mmap
import os
import sys
from concurrent.futures import ThreadPoolExecutor

file, size = sys.argv[1], int(sys.argv[2]) * 4096 * 4096 * 4
threads, chunk = int(sys.argv[3]), int(sys.argv[4])
HUGE = 2 << 20
memory = mmap.mmap(-1, chunk + HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANON)
memory.madvise(mmap.MADV_HUGEPAGE)
start = -ctypes.addressof(ctypes.c_char.from_buffer(memory)) % HUGE
zeros = memoryview(memory)[start : start + chunk]
zeros[:] = bytes(chunk)


def write(offset: int) -> None:
    part = zeros[: size - offset]
    if os.pwritev(fd, [part], offset) != len(part):
        raise OSError(f"{file}: a write was cut short")


flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
fd = os.open(file, flags | os.O_DIRECT if sys.argv[5] == "direct" else flags)
os.truncate(fd, size)
with ThreadPoolExecutor(threads) as executor:
    list(executor.map(write, range(0, size, chunk)))
os.fsync(fd)
