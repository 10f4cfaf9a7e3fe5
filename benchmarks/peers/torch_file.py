"""torch_file.py FILE DISTRIBUTION TENSORS SIDE: what a user of torch would write."""

import sys

import torch
from safetensors.torch import save_file

path, distribution, count, side = *sys.argv[1:3], *map(int, sys.argv[3:])
torch.manual_seed(42)
tensors = {f"h.{i}.kernel": torch.empty(side, side) for i in range(count)}
for tensor in tensors.values():
    if distribution == "normal":
        torch.nn.init.normal_(tensor, std=0.02)
    else:
        torch.nn.init.trunc_normal_(tensor, std=0.02, a=-0.04, b=0.04)
save_file(tensors, path)
