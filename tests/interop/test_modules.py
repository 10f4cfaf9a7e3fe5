"""`initgen manifest torch:FILE.py:factory`: any module, by what is seen while it is built."""

import math
import runpy
import textwrap

import numpy as np
import pytest
import torch
from architectures import assert_alike
from safetensors.torch import load_file, load_model

import initlib
from initlib._errors import RequestError


@pytest.fixture
def source(tmp_path, monkeypatch):
    """Write a file of modules; return how it is named."""
    monkeypatch.chdir(tmp_path)

    def write(text, name="build"):
        number = len(list(tmp_path.glob("*.py")))
        path = tmp_path / f"nets{number}.py"
        head = "import math, torch\nfrom torch import nn\n"
        path.write_text(head + textwrap.dedent(text))
        return f"torch:{path.name}:{name}"

    return write


def initializers_of(draft):
    """Return each tensor's initializer as it is written."""
    return {item["name"]: item.get("initializer") for item in draft.manifest["layers"]}


def written(source, body):
    """Return the initializers of a module's parameters w, v, ... that a body makes."""
    lines = textwrap.indent(textwrap.dedent(body), "        ")
    text = f"class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n{lines}"
    return initlib.manifest(source(text, "Net"))


MODULES = """
    def build():
        return nn.ModuleDict({
            "linear": nn.Linear(40, 30),
            "conv": nn.Conv2d(6, 8, 3, groups=2),
            "transposed": nn.ConvTranspose2d(4, 6, 3),
            "norm": nn.LayerNorm(20),
            "batch": nn.BatchNorm2d(6),
            "embedding": nn.Embedding(50, 16, padding_idx=3),
            "lstm": nn.LSTM(12, 20, 2, bidirectional=True),
            "gru": nn.GRU(12, 20),
            "attention": nn.MultiheadAttention(24, 4),
            "separate": nn.MultiheadAttention(24, 4, kdim=12, vdim=8),
            "encoder": nn.TransformerEncoderLayer(24, 4, 32),
            "bilinear": nn.Bilinear(5, 6, 7),
            "prelu": nn.PReLU(),
            "bag": nn.EmbeddingBag(20, 8),
        })
"""


def test_torchs_own_modules(source, tmp_path):
    """Loaded strictly, and every tensor's moments are the framework's own."""
    where = source(MODULES)
    draft = initlib.manifest(where)
    assert draft.missing == ()
    initlib.generate(draft.manifest, tmp_path / "m.safetensors")
    torch.manual_seed(5)
    module = runpy.run_path(tmp_path / "nets0.py")["build"]()
    theirs = {name: value.numpy().copy() for name, value in module.state_dict().items()}
    ours = load_file(tmp_path / "m.safetensors")
    module.load_state_dict(ours, strict=True)
    for name, values in theirs.items():
        assert_alike(name, ours[name].numpy(), values)


def test_calls_are_written_as_they_are_known(source):
    found = initializers_of(initlib.manifest(source(MODULES)))
    assert found["linear.weight"] == "kaiming_uniform(a=sqrt(5))"
    assert found["linear.bias"] == "random_uniform(-1/sqrt(40), 1/sqrt(40))"
    assert found["embedding.weight"] == (
        "concatenate([3, 1, 46], [random_normal(stddev=1), zeros(), random_normal(stddev=1)])"
    )
    assert found["attention.in_proj_weight"] == "xavier_uniform"
    assert found["batch.running_var"] == "ones"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("self.w = nn.Parameter(torch.randn(4, 5) * 0.02)", "random_normal(stddev=0.02)"),
        ("self.w = nn.Parameter(0.5 - torch.rand(4, 5))", "random_uniform(-0.5, 0.5)"),
        ("self.w = nn.Parameter(torch.full((4, 5), 0.25))", "constant(0.25)"),
        ("self.w = nn.Parameter(torch.tensor([1.0, 2.5]))", "constant([1.0, 2.5])"),
        (
            "self.w = nn.Parameter(torch.empty(4, 5).normal_(1, 2))",
            "random_normal(mean=1, stddev=2)",
        ),
        ("self.w = nn.Parameter(torch.empty(4, 5)); self.w.data.fill_(3)", "constant(3)"),
        ("self.w = nn.Parameter(torch.empty(4, 5)); self.w.data = torch.zeros(4, 5)", "zeros"),
        ("self.w = nn.Parameter(torch.eye(4))", "identity"),
        (
            "from torch.nn.init import trunc_normal_\n"
            "self.w = nn.Parameter(trunc_normal_(torch.empty(4, 5), std=0.02))",
            "trunc_normal(std=0.02, a=-2, b=2)",
        ),
        (
            "self.w = nn.Parameter(torch.empty(4, 5)); nn.init.orthogonal_(self.w, gain=2**0.5)",
            "orthogonal(gain=sqrt(2))",
        ),
        (
            "self.w = nn.Parameter(torch.empty(4, 5)); nn.init.kaiming_normal_(self.w, "
            "mode='fan_out', nonlinearity='relu')",
            "kaiming_normal(mode='fan_out', nonlinearity='relu')",
        ),
        # The last one counts, and what comes after a call changes it.
        (
            "self.w = nn.Parameter(torch.empty(4, 25)); nn.init.xavier_uniform_(self.w); "
            "nn.init.normal_(self.w, std=0.5); self.w.data.mul_(0.5)",
            "random_normal(stddev=0.25)",
        ),
        (
            "self.w = nn.Parameter(torch.empty(4, 25)); nn.init.kaiming_uniform_(self.w); "
            "self.w.data.div_(2)",
            "random_uniform(-0.2449489742783178, 0.2449489742783178)",
        ),
        (
            "self.w = nn.Parameter(torch.empty(3, 5)); nn.init.zeros_(self.w[:2]); "
            "nn.init.uniform_(self.w[2])",
            "concatenate([2, 1], [zeros(), random_uniform(minval=0, maxval=1)])",
        ),
        (
            "self.w = nn.Parameter(torch.exp(torch.rand(9)))",
            'elementwise("exp(x)", random_uniform(minval=0, maxval=1))',
        ),
        # Computed without chance.
        (
            "self.w = nn.Parameter(1 / 2 ** torch.arange(0, 3).float())",
            "constant([1.0, 0.5, 0.25])",
        ),
        (
            "n = int(torch.linspace(0, 4, 3)[1].item()); self.w = nn.Parameter(torch.ones(n))",
            "ones",
        ),
    ],
)
def test_what_reaches_a_parameter(source, body, expected):
    draft = written(source, body)
    assert initializers_of(draft) == {"w": expected}
    assert draft.missing == ()


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("self.w = nn.Parameter(torch.empty(4, 5))", "nothing initialises it"),
        (
            "self.w = nn.Parameter(torch.empty(4, 5)); nn.init.zeros_(self.w[1:])",
            "a part of it is never initialised",
        ),
        (
            "self.w = nn.Parameter(torch.randn(4, 4) @ torch.randn(4, 4))",
            "it is computed from random numbers (randn)",
        ),
        ("self.w = nn.Parameter(torch.zeros(4, dtype=torch.complex64))", "its dtype complex64"),
    ],
)
def test_what_no_manifest_can_say(source, body, problem):
    draft = written(source, body)
    ((name, what),) = draft.missing
    assert name == "w"
    assert what.startswith(problem)
    assert "# PARTIAL: 1 of its tensors" in draft.text
    if "w" in initializers_of(draft):
        with pytest.raises(RequestError, match="initializer"):
            initlib.generate(draft.manifest, dry_run=True)


def test_tied_weights_and_what_is_not_saved(source, tmp_path):
    draft = written(
        source,
        """
        self.a = nn.Linear(4, 6, bias=False)
        self.b = nn.Linear(4, 6, bias=False)
        self.b.weight = self.a.weight
        self.register_buffer("kept", torch.arange(4.0))
        self.register_buffer("left", torch.arange(4.0), persistent=False)
        """,
    )
    assert initializers_of(draft).keys() == {"kept", "a.weight"}
    assert draft.notes == ("tied: b.weight is a.weight, which is written once",)
    initlib.generate(draft.manifest, tmp_path / "m.safetensors")
    module = runpy.run_path(tmp_path / "nets0.py")["Net"]()
    assert load_model(module, tmp_path / "m.safetensors") == (set(), [])
    assert module.kept.tolist() == [0, 1, 2, 3]


def test_no_memory_is_taken_for_weights(source):
    """A module of 4 TB."""
    draft = written(source, "self.w = nn.Linear(1 << 20, 1 << 20)")
    assert draft.parameters == (1 << 40) + (1 << 20)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "def build():\n    return 3",
            "expected a torch.nn.Module from nets0.py:build, received 3",
        ),
        ("def build():\n    1 / 0", r"nets0.py:build raised ZeroDivisionError: .* \(nets0.py:4\)"),
        ("def build(n):\n    pass", "nets0.py:build raised TypeError: build"),
        ("def biuld():\n    pass", "nets0.py has no 'build'; did you mean 'biuld'"),
        ("import nothing_such", "importing nets0.py raised ModuleNotFoundError"),
        (
            "def build():\n    return nn.Linear(2, int(torch.rand(1).item() * 9))",
            "nets0.py:build raised .*random numbers",
        ),
        (
            "def build():\n    torch.zeros(3).numpy()",
            "nets0.py:build raised .*meta device, where tensors have no values",
        ),
    ],
)
def test_what_fails_is_told_in_a_line(source, text, message):
    with pytest.raises(RequestError, match=message) as caught:
        initlib.manifest(source(text))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there():
    with pytest.raises(RequestError, match=r"there is no file no.py"):
        initlib.manifest("torch:no.py:build")
    with pytest.raises(
        RequestError, match=r"expected torch:FILE.py:factory, received 'torch:no.py"
    ):
        initlib.manifest("torch:no.py")


def test_the_moments_of_a_formula(source, tmp_path):
    """Mamba's step sizes, by hand."""
    draft = written(
        source,
        """
        dt = torch.exp(torch.rand(20000) * math.log(100) + math.log(0.001)).clamp(min=1e-4)
        self.w = nn.Parameter(dt + torch.log(-torch.expm1(-dt)))
        """,
    )
    initlib.generate(draft.manifest, tmp_path / "m.safetensors")
    values = load_file(tmp_path / "m.safetensors")["w"].double()
    steps = np.log(np.logaddexp(0, values.numpy()))
    assert steps.min() >= math.log(0.001) - 1e-5
    assert steps.max() <= math.log(0.1) + 1e-5
    width = math.log(100)
    assert abs(steps.mean() - math.log(0.01)) < 6 * width / math.sqrt(12 * 20000)
    assert abs(steps.std() - width / math.sqrt(12)) < 0.02
