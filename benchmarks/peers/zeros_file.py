"""zeros_file.py FILE TENSORS THREADS CHUNK: zeros by the I/O path of initgen.

As many threads write chunks of as many bytes with pwritev into a file that already has its length,
then fsync. Nothing is computed, and nothing but the standard library imported.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

path, size = sys.argv[1], int(sys.argv[2]) * 4096 * 4096 * 4
threads, chunk = int(sys.argv[3]), int(sys.argv[4])
zeros = memoryview(bytearray(chunk))


def write(offset: int) -> None:
    part = zeros[: size - offset]
    if os.pwritev(fd, [part], offset) != len(part):
        raise SystemExit("the disk is full")


fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
os.truncate(fd, size)
with ThreadPoolExecutor(threads) as executor:
    list(executor.map(write, range(0, size, chunk)))
os.fsync(fd)
