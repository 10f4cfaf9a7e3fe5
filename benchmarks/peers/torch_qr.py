"""torch_qr.py ROWS COLUMNS DTYPE REPEATS: seconds of torch.linalg.qr alone; print JSON."""

import json
import sys
import time

import torch

rows, columns, dtype, repeats = *map(int, sys.argv[1:3]), sys.argv[3], int(sys.argv[4])
matrix = torch.randn(rows, columns, dtype=getattr(torch, dtype))
seconds = []
for _ in range(repeats + 1):
    begin = time.perf_counter()
    torch.linalg.qr(matrix)
    seconds.append(time.perf_counter() - begin)
json.dump(seconds[1:], sys.stdout)
