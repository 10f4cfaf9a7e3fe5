"""One process's part of tensors on any mesh, in groups that can't communicate."""

import math
import re
import resource
from collections import OrderedDict

import pytest
import torch
import torch.distributed as dist
from ranks import assert_bits, materialized
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module
from torch.distributed.tensor.placement_types import _StridedShard
from torch.testing._internal.distributed.fake_pg import FakeStore

import initlib

# The most processes that any of these meshes has.
MOST = 16
SHAPES = [(13, 9, 2), (8, 8, 8), (1, 5, 3), (3, 1, 4), (0, 4, 3)]
PLACEMENTS = {
    1: [[Shard(0)], [Shard(1)], [Shard(2)], [Replicate()]],
    2: [
        [Shard(0), Shard(0)],
        [Shard(0), Shard(1)],
        [Shard(1), Shard(0)],
        [Shard(1), Shard(1)],
        [Shard(0), Replicate()],
        [Replicate(), Shard(1)],
    ],
    3: [
        [Replicate(), Shard(1), Shard(0)],
        [Shard(0), Shard(1), Shard(0)],
        [Shard(2), Shard(2), Shard(2)],
    ],
}
MESHES = [(1,), (3,), (8,), (2, 3), (3, 2), (2, 2, 2)]
# As FSDP has them after tensor parallelism, and after two kinds of it.
STRIDED = {
    (2, 3): [_StridedShard(0, split_factor=3), Shard(0)],
    (3, 2): [_StridedShard(1, split_factor=2), Shard(1)],
    (2, 2, 2): [Replicate(), _StridedShard(0, split_factor=2), Shard(0)],
    (2, 2, 3): [_StridedShard(0, split_factor=6), Shard(0), Shard(0)],
    (2, 3, 2): [_StridedShard(0, split_factor=6), _StridedShard(0, split_factor=2), Shard(0)],
    (3, 2, 2): [_StridedShard(0, split_factor=2), Shard(0), Shard(0)],
}


def all_meshes(rank):
    checked = 0
    for shape in MESHES:
        for placements in PLACEMENTS[len(shape)]:
            checked += check_distributed(rank, shape, placements, SHAPES)
    for shape, placements in STRIDED.items():
        checked += check_distributed(rank, shape, placements, [(24, 12), (48, 24)])
    for shape in [(3, 2), (4, 2), (3, 4), (4, 4)]:
        for size in (7, 9, 38):
            checked += check_fsdp(rank, shape, size)
    assert checked


def mesh_with(rank, shape, **names):
    """Return a mesh in which this process has a rank, or None where it has none."""
    world = math.prod(shape)
    if rank >= world:
        return None
    if dist.is_initialized():
        dist.destroy_process_group()
    dist.init_process_group("fake", store=FakeStore(), rank=rank, world_size=world)
    return init_device_mesh("cpu", shape, **names)


def check_distributed(rank, shape, placements, shapes):
    mesh = mesh_with(rank, shape)
    if mesh is None:
        return 0
    layers = [
        {"name": f"{i}", "shape": [*each], "initializer": "normal", "dtype": "bfloat16"}
        for i, each in enumerate(shapes)
    ]
    weights = initlib.open({"layers": layers}, "pt")
    expected = [
        distribute_tensor(weights.get_tensor(f"{i}"), mesh, placements, src_data_rank=None)
        for i in range(len(shapes))
    ]
    module = nn.ParameterList(torch.empty_like(each, device="meta") for each in expected)
    materialized(module, {"layers": layers})
    for made, each in zip(module, expected, strict=True):
        assert made.placements == each.placements == tuple(placements)
        assert_bits(made.to_local(), each.to_local())
    return len(shapes)


def check_fsdp(rank, shape, size):
    """Shards of shards: what each rank has is cut up, and sizes that can't be divided show it.

    Placements that are read from left to right would have other rows in other places.
    """
    mesh = mesh_with(rank, shape, mesh_dim_names=("data", "tensor"))
    if mesh is None:
        return 0
    source = {"layers": [{"name": "up.weight", "shape": [size, 3], "initializer": "normal"}]}
    whole = initlib.open(source, "pt").get_tensor("up.weight")
    with torch.device("meta"):
        module = nn.Sequential(OrderedDict(up=nn.Linear(3, size, bias=False)))
    parallelize_module(module, mesh["tensor"], {"up": ColwiseParallel()})
    fully_shard(module, mesh=mesh["data"])
    materialized(module, source)
    column, row = rank % shape[1], rank // shape[1]
    part = chunk(chunk(whole, shape[1], column), shape[0], row)
    assert_bits(module.up.weight.to_local(), part)
    return 1


def chunk(tensor, count, number):
    parts = torch.chunk(tensor, count)
    return parts[number] if number < len(parts) else tensor[:0]


def check_huge(axis):
    """10^10 elements, 37 GiB, of which one in 10,000 processes makes its own alone."""
    source = {"layers": [{"name": "weight", "shape": [10**5, 10**5], "initializer": "he_normal"}]}
    mesh = mesh_with(4321, (10_000,))
    with torch.device("meta"):
        module = nn.Linear(10**5, 10**5, bias=False)
    fully_shard(module, mesh=mesh, shard_placement_fn=lambda parameter: Shard(axis))
    part = initlib.open(source, "pt").get_slice("weight")
    index = tuple(slice(43210, 43220) if i == axis else slice(None) for i in range(2))
    expected = part[index]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done = materialized(module, source, threads=1)
    assert done.elements == module.weight.to_local().numel() == 10**6
    # Four are the part itself.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10
    assert_bits(module.weight.to_local(), expected)


def check_refused():
    source = {"layers": [{"name": "0", "shape": [4, 6], "initializer": "normal"}]}
    mesh = mesh_with(1, (4,))
    others = DeviceMesh("cpu", [0, 2])
    for mesh_, placements, message in (
        (others, [Shard(0)], "'0': this process isn't in the mesh that it is sharded on"),
        (mesh, [Partial()], "'0': expected Shard or Replicate, received P"),
        (mesh, [_StridedShard(0, split_factor=3)], "'0': (_StridedShard(dim=0, sf=3),) are no "),
        (mesh, [Shard(1)], "'0': this process holds [1, 6] of it, where (Shard(dim=1),) on a mesh"),
    ):
        local = torch.empty(1, 6, device="meta")
        tensor = DTensor.from_local(
            local, mesh_, placements, run_check=False, shape=torch.Size([4, 6]), stride=(6, 1)
        )
        module = nn.ParameterList([tensor])
        before = module[0].to_local().device
        with pytest.raises(initlib.RequestError, match=f"^{re.escape(message)}"):
            initlib.torch.materialize(module, source)
        assert module[0].to_local().device == before
    # Buffers that aren't saved, of which no process has all.
    module = nn.Module()
    module.register_buffer("0", distributed(mesh), persistent=False)
    initlib.torch.materialize(module, source)
    assert_bits(module.get_buffer("0").to_local(), initlib.open(source, "pt").get_slice("0")[1:2])
    module.register_buffer("0", distributed(mesh), persistent=False)
    module.register_buffer("1", torch.ones(2))
    source = {"layers": [{"name": "1", "shape": [2], "initializer": "ones"}]}
    with pytest.raises(initlib.RequestError, match="'0': not saved, and without values"):
        initlib.torch.materialize(module, source, buffers=lambda module: None)


def distributed(mesh):
    return DTensor.from_local(torch.empty(1, 6, device="meta"), mesh, [Shard(0)], run_check=False)
