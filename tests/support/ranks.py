"""What each process of a group does in tests of sharded modules, and starting them."""

import multiprocessing
import os
import sys
import traceback
from unittest import mock

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Shard, distribute_tensor
from torch.distributed.tensor.debug import CommDebugMode
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    parallelize_module,
)

import initlib

# Sizes that two and four don't divide.
WIDTH, HIDDEN, WORDS = 10, 27, 13
SEED = 3


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.up = nn.Linear(WIDTH, 28)
        self.down = nn.Linear(28, WIDTH, bias=False)

    def forward(self, x):
        return x + self.down(torch.relu(self.up(self.norm(x))))


class Net(nn.Module):
    """Tied, with a persistent buffer, blocks, and sizes that no mesh divides."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(WORDS, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.wide = nn.Linear(WIDTH, HIDDEN)
        self.narrow = nn.Linear(HIDDEN, WIDTH)
        self.head = nn.Linear(WIDTH, WORDS, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("scale", torch.empty(WIDTH))

    def forward(self, ids):
        x = self.embed(ids) * self.scale
        for block in self.blocks:
            x = block(x)
        return self.head(self.narrow(torch.relu(self.wide(x))))


def manifest():
    with torch.device("meta"):
        net = Net()
    layers = [
        {"name": name, "shape": [*tensor.shape], "initializer": "normal(stddev=0.2)"}
        for name, tensor in net.state_dict().items()
        if name != "head.weight"
    ]
    return {"seed": SEED, "layout": "torch", "layers": layers}


def run(calls):
    """Make each call in a process of its own, all at the same time.

    They are forked from one that has imported torch, and so start at once.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ranks", "meshes", "architectures"])
    results = context.SimpleQueue()
    processes = [context.Process(target=_call, args=(*call, results)) for call in calls]
    # The one that is forked looks nowhere else for what it is to import.
    with mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)):
        for process in processes:
            process.start()
    for process in processes:
        process.join(timeout=300)
        process.kill()
    problems = [results.get() if not results.empty() else "it died" for _ in processes]
    problem = next(filter(None, problems), None)
    if problem:
        raise AssertionError(problem)


def _call(function, args, results):
    torch.set_num_threads(1)
    problem = None
    try:
        function(*args)
        if dist.is_initialized():
            dist.destroy_process_group()
    except BaseException:
        problem = traceback.format_exc()
    results.put(problem)


def run_group(world, case, *args):
    """Run a case in all processes of a group."""
    store = dist.TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    run([(_member, (rank, world, store.port, case, args)) for rank in range(world)])


def _member(rank, world, port, case, args):
    store = dist.TCPStore("localhost", port, is_master=False)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world)
    case(world, *args)


def materialized(module, source, **options):
    """Fill a module, and make sure that nothing was communicated."""
    with CommDebugMode() as communication:
        done = initlib.torch.materialize(module, source, **options)
    assert communication.get_total_counts() == 0
    assert done.elements == sum(
        local(tensor).numel() for tensor in {id(t): t for t in tensors(module)}.values()
    )
    return done


def tensors(module):
    return [t for t in module.state_dict(keep_vars=True).values() if t is not None]


def local(tensor):
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def assert_stored(module, path, *, full=True):
    """Compare what is held here with what torch makes of the file's tensors; and all together."""
    stored = load_file(path)
    state = module.state_dict(keep_vars=True)
    for name, tensor in state.items():
        expected = stored.get(name)
        if expected is None:
            first = next(n for n, other in state.items() if other is tensor)
            assert first != name
            continue
        if isinstance(tensor, DTensor):
            mine = distribute_tensor(
                expected, tensor.device_mesh, tensor.placements, src_data_rank=None
            ).to_local()
            assert_bits(tensor.to_local(), mine)
            if full:
                assert_bits(tensor.full_tensor(), expected)
        else:
            assert_bits(tensor, expected)


def assert_bits(ours, theirs):
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    ours, theirs = (
        each.detach().contiguous().reshape(-1).view(torch.uint8) for each in (ours, theirs)
    )
    assert torch.equal(ours, theirs)


def on_meta():
    with torch.device("meta"):
        return Net()


def check_output(module, path, ids):
    """A forward and a backward pass, beside an unsharded module's that loaded the file."""
    plain = Net()
    plain.load_state_dict(load_file(path), strict=False)
    made, expected = module(ids), plain(ids)
    made = made.full_tensor() if isinstance(made, DTensor) else made
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-5)
    made.sum().backward()


def plain(world, path):
    module = on_meta()
    materialized(module, path)
    assert module.head.weight is module.embed.weight
    assert_stored(module, path)


def fsdp(world, path):
    module = on_meta()
    mesh = init_device_mesh("cpu", (world,))
    for block in module.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(module, mesh=mesh)
    done = materialized(module, path)
    assert "embed.weight" in done.filled
    assert "head.weight" not in done.filled
    assert module.head.weight is module.embed.weight
    assert_stored(module, path)
    check_output(module, path, torch.arange(WORDS).reshape(1, -1))
    # Again, in place: what was trained begins anew.
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    optimizer.step()
    materialized(module, path)
    assert_stored(module, path)
    check_output(module, path, torch.arange(WORDS).reshape(1, -1))


def fsdp_and_tensor_parallel(world, path):
    for shape in {(1, world), (world, 1), (2, world // 2)} - {(2, 0)}:
        module = on_meta()
        mesh = init_device_mesh("cpu", shape, mesh_dim_names=("dp", "tp"))
        for block in module.blocks:
            plan = {"up": ColwiseParallel(), "down": RowwiseParallel()}
            parallelize_module(block, mesh["tp"], plan)
            fully_shard(block, mesh=mesh["dp"])
        fully_shard(module, mesh=mesh["dp"])
        materialized(module, path)
        assert_stored(module, path)
        check_output(module, path, torch.arange(WORDS).reshape(1, -1))


def tensor_parallel(world, path):
    module = on_meta()
    plan = {"wide": ColwiseParallel(), "narrow": RowwiseParallel()}
    parallelize_module(module, init_device_mesh("cpu", (world,)), plan)
    materialized(module, path)
    assert_stored(module, path)


def shard_by_columns(world, path):
    module = on_meta()
    for block in module.blocks:
        fully_shard(block, shard_placement_fn=lambda p: Shard(1) if p.shape[1:] == (28,) else None)
    assert module.blocks[0].down.weight.placements == (Shard(1),)
    materialized(module, path)
    assert_stored(module, path)


def transformers_models(world, folder):
    import transformers
    from architectures import CONFIGS

    for kind in ("LlamaForCausalLM", "GPT2LMHeadModel", "BertForMaskedLM"):
        with torch.device("meta"):
            model = getattr(transformers, kind)(CONFIGS[kind]).eval()
        for layer in model.modules():
            if isinstance(layer, transformers.modeling_layers.GradientCheckpointingLayer):
                fully_shard(layer)
        fully_shard(model)
        path = folder / f"{kind}.safetensors"
        done = initlib.torch.materialize(model, path, buffers=model._init_weights)
        assert_stored(model, path, full=False)
        other = getattr(transformers, kind)(CONFIGS[kind]).eval()
        assert set(done.computed) == {n for n, _ in other.named_buffers()} - set(other.state_dict())
        for name, buffer in other.named_buffers():
            assert_bits(model.get_buffer(name), buffer)
        other.load_state_dict(load_file(path), strict=False)
        ids = torch.arange(12).reshape(2, 6)
        with torch.no_grad():
            torch.testing.assert_close(model(ids).logits, other(ids).logits, rtol=1e-4, atol=1e-5)


def all_cases(world, path, folder):
    for case in (plain, fsdp, fsdp_and_tensor_parallel, tensor_parallel, shard_by_columns):
        case(world, path)
    transformers_models(world, folder)
