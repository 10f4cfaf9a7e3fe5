"""`initlib.torch.materialize`: any mesh holds what `generate` writes to the file, bit for bit."""

import subprocess
import sys

import meshes
import numpy as np
import pytest
import ranks
import torch
from architectures import CONFIGS
from torch import nn

import initlib
from initlib.torch import _local


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("materialize")
    initlib.generate(ranks.manifest(), folder / "net.safetensors")
    for kind in ("LlamaForCausalLM", "GPT2LMHeadModel", "BertForMaskedLM"):
        CONFIGS[kind].architectures = [kind]
        CONFIGS[kind].save_pretrained(folder / kind)
        draft = initlib.manifest(f"hf:{folder / kind}")
        initlib.generate(draft.manifest, folder / f"{kind}.safetensors")
    return folder


@pytest.mark.parametrize("world", [1, 2, 4])
def test_groups_of_processes(files, world):
    ranks.run_group(world, ranks.all_cases, files / "net.safetensors", files)


def test_every_rank_of_any_mesh():
    ranks.run([(meshes.all_meshes, (rank,)) for rank in range(meshes.MOST)])


@pytest.mark.parametrize("axis", [0, 1])
def test_a_parameter_that_no_process_could_hold(axis):
    ranks.run([(meshes.check_huge, (axis,))])


def linear(device="meta", **options):
    return nn.Linear(3, 4, device=device, **options)


def source(**changes):
    layers = {
        "weight": {"shape": [4, 3], "initializer": "normal"},
        "bias": {"shape": [4], "initializer": "zeros"},
        **changes,
    }
    return {"layers": [{"name": name, **layer} for name, layer in layers.items() if layer]}


def test_a_module_that_has_memory_is_filled_in_place(files):
    module = ranks.Net()
    with torch.no_grad():
        module.scale = module.scale.double().float()
        weight = torch.empty(13, 10).t().contiguous().t()  # columns first, as after a transpose
        module.embed.weight = module.head.weight = nn.Parameter(weight)
    before = {name: tensor.data_ptr() for name, tensor in module.state_dict().items()}
    done = initlib.torch.materialize(module, files / "net.safetensors")
    ranks.assert_stored(module, files / "net.safetensors")
    assert before == {name: tensor.data_ptr() for name, tensor in module.state_dict().items()}
    assert done.elements == sum(p.numel() for p in module.parameters()) + 10
    assert (done.missing_keys, done.unexpected_keys, done.computed) == ((), (), ())


def test_blocks_of_what_has_another_order_in_memory(monkeypatch):
    shape = [5, 7, 3, 2]
    manifest = source(bias=None, weight={"shape": shape, "initializer": "normal"})
    expected = initlib.open(manifest, "pt").get_tensor("weight")
    for block in (1, 5, 6, 7, 43, 10**6):
        monkeypatch.setattr(_local, "BLOCK", block)
        module = nn.Conv2d(7, 5, (3, 2), bias=False).to(memory_format=torch.channels_last)
        initlib.torch.materialize(module, manifest)
        assert module.weight.stride() == (42, 1, 14, 7)
        ranks.assert_bits(module.weight, expected)
        parts = [*_local._blocks(tuple(shape))]
        assert max(np.empty(shape)[part].size for part in parts) <= block


def test_device_dtype_seed_and_what_stays(files):
    module = linear(dtype=torch.bfloat16)
    module.bias.requires_grad_(False)
    done = initlib.torch.materialize(module, source(), device="cpu", seed=8, dtype="bfloat16")
    expected = initlib.open(source(), "pt", seed=8, dtype="bfloat16")
    assert done.filled == ("weight", "bias")
    ranks.assert_bits(module.weight, expected.get_tensor("weight"))
    assert (module.weight.requires_grad, module.bias.requires_grad) == (True, False)
    with torch.device("cpu"):
        assert not initlib.torch.materialize(linear(), source()).missing_keys


def test_names_that_only_one_side_has():
    module = linear()
    done = initlib.torch.materialize(
        module, source(bias=None, b={"shape": [1], "initializer": "ones"}), strict=False
    )
    assert (done.missing_keys, done.unexpected_keys) == (("bias",), ("b",))
    assert module.bias.is_meta
    assert not module.weight.is_meta


class Tables(nn.Module):
    """Two tables that aren't saved, and nothing else."""

    def __init__(self):
        super().__init__()
        self.register_buffer("steps", self.computed(), persistent=False)
        self.register_buffer("mask", torch.ones(3, 3, dtype=torch.bool), persistent=False)

    def computed(self):
        return 0.5 ** torch.arange(4)


class Resetting(Tables):
    def reset_parameters(self):
        self.steps.copy_(self.computed())
        self.mask = torch.ones(3, 3, dtype=torch.bool)


class Lazy(Tables):
    def reset_parameters(self):
        self.steps.copy_(self.computed())


def with_tables(kind):
    with torch.device("meta"):
        return nn.ModuleDict({"fc": nn.Linear(3, 4), "tables": kind()})


FC = {
    "layers": [
        {"name": "fc.weight", "shape": [4, 3], "initializer": "normal"},
        {"name": "fc.bias", "shape": [4], "initializer": "zeros"},
    ]
}
TABLES = [
    {"name": "tables.steps", "shape": [4], "initializer": "constant([1, 0.5, 0.25, 0.125])"},
    {"name": "tables.mask", "shape": [3, 3], "initializer": "ones", "dtype": "bool"},
]


def test_buffers_that_are_not_saved():
    expected = Tables()
    names = ("tables.steps", "tables.mask")

    def fill(module):
        module.steps.copy_(module.computed())
        module.mask.fill_(True)

    for kind, manifest, function, computed in (
        (Resetting, FC, None, names),
        (Tables, FC, fill, names),
        (Tables, {"layers": FC["layers"] + TABLES}, None, ()),
        (Resetting, {"layers": FC["layers"] + TABLES[1:]}, None, names[:1]),
    ):
        module = with_tables(kind)
        done = initlib.torch.materialize(module, manifest, buffers=function)
        assert done.computed == computed
        ranks.assert_bits(module["tables"].steps, expected.steps)
        ranks.assert_bits(module["tables"].mask, expected.mask)
    # With values already, they are nobody's business.
    module = nn.ModuleDict({"fc": nn.Linear(3, 4), "tables": Tables()})
    initlib.torch.materialize(module, FC)
    ranks.assert_bits(module["tables"].steps, expected.steps)


def test_buffers_that_nothing_computes():
    message = "'tables.steps', 'tables.mask': not saved, and without values on the meta device"
    with pytest.raises(initlib.RequestError, match=message):
        initlib.torch.materialize(with_tables(Tables), FC)
    with pytest.raises(
        initlib.RequestError,
        match=r"'tables.mask': what computes the buffers of Lazy left it as it was",
    ):
        initlib.torch.materialize(with_tables(Lazy), FC)
    module = with_tables(Tables)
    done = initlib.torch.materialize(module, FC, strict=False)
    assert done.missing_keys == ("tables.steps", "tables.mask")
    assert module["tables"].steps.is_meta


def tied():
    module = nn.ModuleDict({"a": linear(bias=False), "b": linear(bias=False)})
    module["b"].weight = module["a"].weight
    return module


WEIGHT = {"shape": [4, 3], "initializer": "normal"}


@pytest.mark.parametrize("name", ["a.weight", "b.weight"])
def test_either_name_of_what_is_tied(name):
    module = tied()
    manifest = {"layers": [{"name": name, **WEIGHT}]}
    done = initlib.torch.materialize(module, manifest)
    assert (done.filled, done.elements) == ((name,), 12)
    assert module["a"].weight is module["b"].weight
    ranks.assert_bits(module["a"].weight, initlib.open(manifest, "pt").get_tensor(name))


def test_weights_that_are_open():
    weights = initlib.open(source(), dtype="bfloat16")
    module = linear(device="cpu", dtype=torch.bfloat16)
    initlib.torch.materialize(module, weights)
    expected = initlib.open(source(), "pt", dtype="bfloat16")
    ranks.assert_bits(module.weight, expected.get_tensor("weight"))
    with pytest.raises(initlib.RequestError, match=r"is for initlib\.open, which has opened these"):
        initlib.torch.materialize(module, weights, seed=1)


def test_the_start_is_short():
    """Memory for what is on meta is asked for in a way that doesn't import SymPy, as torch may."""
    program = (
        "import sys, torch, initlib\n"
        "with torch.device('meta'): module = torch.nn.Linear(3, 4)\n"
        f"initlib.torch.materialize(module, {source()!r})\n"
        "assert not module.weight.is_meta\n"
        "print(*{'sympy', 'numba', 'scipy.linalg'} & {*sys.modules})"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout == "\n"


def test_elements_in_one_place():
    module = linear(device="cpu")
    module.weight = nn.Parameter(torch.zeros(1, 3).expand(4, 3))
    with pytest.raises(initlib.RequestError, match=r"'weight' has several elements in one place"):
        initlib.torch.materialize(module, source())


@pytest.mark.parametrize(
    ("module", "changes", "options", "message"),
    [
        (linear, {"bias": None}, {}, "the module has 'bias', which the manifest lacks"),
        (
            linear,
            {"bias": None, "bais": {"shape": [4], "initializer": "ones"}},
            {},
            "the module has 'bias', which the manifest lacks; did you mean 'bais'?",
        ),
        (
            lambda: nn.Sequential(linear()),
            {},
            {},
            "the module has '0.weight', '0.bias', which the manifest lacks; "
            "the manifest has 'weight', 'bias' instead",
        ),
        (
            linear,
            {"b": {"shape": [4], "initializer": "ones"}},
            {},
            "the manifest has 'b', which the module lacks",
        ),
        (
            linear,
            {"weight": {"shape": [3, 4], "initializer": "normal"}},
            {"strict": False},
            "'weight': the module has shape [4, 3], the manifest [3, 4]",
        ),
        (
            linear,
            {},
            {"dtype": "bfloat16"},
            "'weight': the module has float32, the manifest bfloat16: give one the other's dtype, "
            "by dtype=... or module.to(...)",
        ),
        (
            lambda: linear(dtype=torch.complex64),
            {},
            {},
            "'weight': the module has complex64, the manifest float32: give one the other's dtype, "
            "by dtype=... or module.to(...)",
        ),
        (lambda: nn.LazyLinear(4), {}, {}, "'weight' has no shape yet"),
        (lambda: [1], {}, {}, "expected a torch.nn.Module, received a list"),
        (linear, {}, {"device": "cuda"}, "expected a device of torch's, received 'cuda': "),
        (linear, {}, {"device": "gpo"}, "expected a device of torch's, received 'gpo'"),
        (linear, {}, {"seed": -1}, "expected a seed"),
        (
            tied,
            {"weight": None, "bias": None, "a.weight": WEIGHT, "b.weight": WEIGHT},
            {},
            "'a.weight' and 'b.weight' are tied in the module, and two tensors of the manifest",
        ),
    ],
)
def test_what_does_not_fit(module, changes, options, message):
    made = module()
    with pytest.raises(initlib.RequestError) as raised:
        initlib.torch.materialize(made, source(**changes), **options)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)
    if isinstance(made, nn.Module):
        assert all(p.is_meta for p in made.parameters() if not nn.parameter.is_lazy(p))


def test_what_is_placed_elsewhere():
    ranks.run([(meshes.check_refused, ())])
