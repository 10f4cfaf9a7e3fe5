"""The frameworks load what `generate` writes: no tensor is missing, and no bit differs."""

import importlib.util
import os
import shutil
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ["HF_HUB_OFFLINE"] = "1"

import h5py
import jax
import keras
import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
import yaml
from safetensors import safe_open
from scipy.stats import ks_2samp
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

import initlib
from initlib._dtypes import DTYPES, is_float
from initlib._stream import Stream
from initlib.initializers import Target, get, materialize

EXAMPLES = Path(__file__).parents[2] / "examples"
FLOATS = [name for name, dtype in DTYPES.items() if is_float(dtype)]
SEED = 42  # of all examples


def as_bytes(values):
    """Return a tensor of any framework as its dtype's name, shape and bytes."""
    if isinstance(values, torch.Tensor):
        dtype = str(values.dtype).removeprefix("torch.")
        raw = values.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        return dtype, tuple(values.shape), raw
    values = np.asarray(values)
    return values.dtype.name, values.shape, values.tobytes()


def made(initializer, name, shape, dtype="float32", layout="keras", seed=SEED):
    """Return a tensor as the library makes it without a file, in the form of `as_bytes`."""
    target = Target(tuple(shape), DTYPES[dtype], Stream.named(seed, name), layout)
    return as_bytes(materialize(get(initializer), target))


def normal(stddev):
    return {"class_name": "RandomNormal", "config": {"stddev": stddev}}


def example(name):
    """Import an example script."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Every dtype by every way to read a file.


def tensors_of(dtype):
    """Return name, initializer and shape of some tensors that a dtype can hold."""
    anything = [("ones", "ones", [7]), ("scalar", "ones", []), ("empty", "zeros", [0, 3])]
    if dtype not in FLOATS:
        return [*anything, ("a/b/zeros", "zeros", [2, 3, 4])]
    return [
        *anything,
        ("a/b/normal", "random_normal", [129, 33]),
        ("a/b/uniform", "glorot_uniform", [3, 3, 5, 7]),
        ("a/c/truncated", "he_normal", [1, 257]),
        ("orthogonal", "orthogonal", [12, 20]),
    ]


def read_with(framework):
    def read(path):
        with safe_open(path, framework) as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

    return read


def read_jax(path):
    # Without it JAX makes 64-bit tensors narrower.
    with jax.enable_x64(True):
        return read_with("jax")(path)


def read_h5py(path):
    """Read a file as Keras does: an attribute tells what opaque bytes are."""
    found = {}

    def visit(name, dataset):
        if isinstance(dataset, h5py.Dataset) and name != "__metadata__":
            found[name] = dataset[()]
            if "dtype" in dataset.attrs:
                found[name] = np.asarray(found[name]).view(DTYPES[dataset.attrs["dtype"]])

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


READERS = {
    "safetensors.torch": safetensors.torch.load_file,
    "safetensors.numpy": safetensors.numpy.load_file,
    "safe_open-pt": read_with("pt"),
    "safe_open-np": read_with("np"),
    "safe_open-jax": read_jax,
    "h5py": read_h5py,
}
# safetensors 0.8 looks for float8 in NumPy itself, which has none.
NO_FLOAT8 = {"safetensors.numpy", "safe_open-np", "safe_open-jax"}
CASES = [
    (reader, dtype)
    for reader in READERS
    for dtype in DTYPES
    if not (reader in NO_FLOAT8 and dtype.startswith("float8"))
]


@pytest.mark.parametrize(("reader", "dtype"), CASES)
def test_every_reader_gets_every_bit(tmp_path, reader, dtype):
    tensors = tensors_of(dtype)
    layers = [{"name": n, "initializer": i, "shape": s} for n, i, s in tensors]
    path = tmp_path / ("model.h5" if reader == "h5py" else "model.safetensors")
    initlib.generate({"seed": SEED, "layers": layers}, path, dtype=dtype)
    found = {name: as_bytes(values) for name, values in READERS[reader](path).items()}
    assert found == {name: made(init, name, shape, dtype) for name, init, shape in tensors}


# torch and transformers.


def assert_same_values(model, path):
    """Check that a model's own tensors are the file's, bit for bit, and that it uses all of them.

    `named_parameters` gives tied parameters once, by the name under which they are saved.
    """
    parameters = dict(model.named_parameters())
    with safe_open(path, "pt") as file:
        assert sorted(parameters) == sorted(file.keys())
        for name, parameter in parameters.items():
            assert as_bytes(parameter) == as_bytes(file.get_tensor(name)), name


def assert_same_distributions(model, peer):
    """Check each of a model's tensors against the same of a model that the framework initialised.

    Of n normal values the mean has the standard error s/sqrt(n) and their spread s has s/sqrt(2n);
    a difference of two such has sqrt(2) times as much. Chance exceeds six of it twice in 10^9.

    Returns:
        How many tensors are random.
    """
    theirs = dict(peer.named_parameters())
    drawn = 0
    for name, parameter in model.named_parameters():
        a, b = (p.detach().double().numpy().ravel() for p in (parameter, theirs[name]))
        assert a.shape == b.shape, name
        if b.std() == 0:
            assert np.array_equal(a, b), name
            continue
        drawn += 1
        s, n = b.std(), b.size
        assert abs(a.mean() - b.mean()) < 6 * s * np.sqrt(2 / n), name
        assert abs(a.std() - s) < 6 * s / np.sqrt(n), name
        # Their shapes: a part is enough, sorting it all would take long.
        assert ks_2samp(a[:20_000], b[:20_000]).pvalue > 1e-9, name
    return drawn


def test_mlp_state_dict(tmp_path):
    path = tmp_path / "mlp.safetensors"
    initlib.generate(EXAMPLES / "mlp.yaml", path)
    model = torch.nn.Module()
    model.fc1 = torch.nn.Linear(784, 256)
    model.fc2 = torch.nn.Linear(256, 10)
    model.load_state_dict(safetensors.torch.load_file(path), strict=True)
    assert_same_values(model, path)
    # 784 inputs, not 256, are what he_uniform goes by.
    assert as_bytes(model.fc1.weight) == made(
        "he_uniform", "fc1.weight", (256, 784), layout="torch"
    )
    # An output of mean 0 is as wide as x W has it: sqrt(784) * sqrt(2/784) for inputs of width 1.
    torch.manual_seed(0)
    width = model.fc1(torch.randn(1000, 784)).std().item()
    assert width == pytest.approx(2**0.5, rel=0.01)


@pytest.fixture(
    scope="module",
    params=[(), ("n_layer=2", "n_embd=128", "vocab_size=1000")],
    ids=["124M", "small"],
)
def gpt2(request, tmp_path_factory):
    """The folder that bootstrap_torch.py makes."""
    folder = tmp_path_factory.mktemp("gpt2")
    example("bootstrap_torch").main(str(folder), *request.param)
    yield folder
    shutil.rmtree(folder)


def test_gpt2_from_pretrained(gpt2):
    config = GPT2Config.from_pretrained(gpt2)
    model, report = GPT2LMHeadModel.from_pretrained(gpt2, output_loading_info=True)
    assert {"missing_keys", "unexpected_keys", "mismatched_keys"} <= report.keys()
    assert not any(report.values())
    assert model.lm_head.weight is model.transformer.wte.weight
    assert_same_values(model, gpt2 / "model.safetensors")
    wte, c_proj = model.transformer.wte.weight, model.transformer.h[1].mlp.c_proj.weight
    assert as_bytes(wte) == made(normal(0.02), "transformer.wte.weight", wte.shape)
    residual = normal(0.02 / (2 * config.n_layer) ** 0.5)
    assert as_bytes(c_proj) == made(residual, "transformer.h.1.mlp.c_proj.weight", c_proj.shape)

    torch.manual_seed(0)
    drawn = assert_same_distributions(model, GPT2LMHeadModel(config))
    assert drawn == 2 + 4 * config.n_layer


def test_the_small_gpt2_runs(tmp_path):
    example("bootstrap_torch").main(str(tmp_path), "n_layer=2", "n_embd=128", "vocab_size=1000")
    model = GPT2LMHeadModel.from_pretrained(tmp_path).eval()
    tokens = torch.arange(1000).reshape(10, 100)
    with torch.no_grad():
        loss = model(tokens, labels=tokens).loss.item()
    # It knows nothing yet: every token is as likely as any other.
    assert loss == pytest.approx(np.log(1000), rel=0.02)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_llama_from_pretrained(tmp_path, dtype):
    manifest = yaml.safe_load((EXAMPLES / "llama-7b.yaml").read_text())
    changes = {"num_hidden_layers": 2, "hidden_size": 128, "intermediate_size": 344}
    manifest["vars"].update(changes, vocab_size=1000)
    config = LlamaConfig(**manifest["vars"], num_attention_heads=4, dtype=dtype)
    config.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    initlib.generate(manifest, path, dtype=dtype)
    model, report = LlamaForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values())
    assert model.dtype is getattr(torch, dtype)
    assert_same_values(model, path)
    name = "model.layers.1.mlp.down_proj.weight"
    down_proj = model.model.layers[1].mlp.down_proj.weight
    assert as_bytes(down_proj) == made(normal(0.02), name, (128, 344), dtype, "torch")

    torch.manual_seed(0)
    assert assert_same_distributions(model, LlamaForCausalLM(config)) == 2 + 7 * 2


# Keras.

# Its variables take no `copy` argument, which NumPy 2 asks for.
keras_warns = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(params=["float32", "bfloat16"])
def policy(request):
    """The dtype of all that Keras makes."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


@keras_warns
def test_keras_load_weights(tmp_path, policy):
    path = tmp_path / "cnn.weights.h5"
    initlib.generate(EXAMPLES / "keras_cnn.yaml", path, dtype=policy)
    model = example("keras_cnn").build_model()
    model.load_weights(path)
    expected = {
        f"layers/{layer}/vars/{index}": initializer
        for layer, kernel in (
            ("conv2d", "he_normal"),
            ("conv2d_1", "he_normal"),
            ("dense", "glorot_uniform"),
        )
        for index, initializer in enumerate((kernel, "zeros"))
    }
    values = model.get_weights()
    assert [as_bytes(each) for each in values] == [
        made(initializer, name, each.shape, policy)
        for (name, initializer), each in zip(expected.items(), values, strict=True)
    ]


@keras_warns
def test_the_keras_example_runs(tmp_path, capsys):
    example("keras_cnn").main(str(tmp_path / "cnn.weights.h5"))
    assert capsys.readouterr().out.count("std") == 6
