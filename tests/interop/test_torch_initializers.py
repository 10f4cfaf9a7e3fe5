"""Initializers under torch's names draw what torch's draw."""

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp
from transformers.models.llama.modeling_llama import LlamaConfig, LlamaRotaryEmbedding
from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding
from transformers.models.whisper.modeling_whisper import sinusoids

from initlib import initializers
from initlib._stream import Stream
from initlib.initializers import Target, materialize

SHAPES = [(300, 200), (60, 40, 5, 5)]
KAIMING = [
    {"a": a, "mode": mode, "nonlinearity": nonlinearity}
    for a, mode, nonlinearity in itertools.product(
        (0, 5**0.5), ("fan_in", "fan_out"), ("leaky_relu", "relu", "tanh")
    )
]
CALLS = [
    *(("kaiming_normal", arguments) for arguments in KAIMING),
    *(("kaiming_uniform", arguments) for arguments in KAIMING),
    *(
        (name, {"gain": gain})
        for name in ("xavier_normal", "xavier_uniform")
        for gain in (1, 5 / 3, 0.1)
    ),
    *(("torch.normal_", arguments) for arguments in ({}, {"mean": 1, "std": 0.2})),
    *(("torch.uniform_", arguments) for arguments in ({}, {"a": -1, "b": 0.2})),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("name", "arguments"), CALLS)
def test_values_are_drawn_alike(name, arguments, shape):
    torch.manual_seed(1)
    function = name.removeprefix("torch.").rstrip("_") + "_"
    theirs = getattr(torch.nn.init, function)(torch.empty(shape), **arguments).numpy().ravel()
    initializer = initializers.IDENTIFIERS[name](**arguments)
    target = Target(shape, np.dtype("float32"), Stream.seeded(1), "torch")
    ours = materialize(initializer, target).ravel()
    # Chance exceeds six standard errors twice in 10^9.
    spread, size = theirs.std(), ours.size
    assert abs(ours.mean() - theirs.mean()) < 6 * spread * np.sqrt(2 / size)
    assert abs(ours.std() - spread) < 6 * spread / np.sqrt(size)
    assert ks_2samp(ours, theirs).pvalue > 1e-9
    if name.endswith("uniform"):
        assert np.abs(ours).max() == pytest.approx(np.abs(theirs).max(), rel=1e-3)


@pytest.mark.parametrize("param", [None, 0, 0.3])
def test_gains(param):
    names = (
        "linear",
        "conv3d",
        "conv_transpose1d",
        "sigmoid",
        "tanh",
        "relu",
        "leaky_relu",
        "selu",
    )
    for name in names:
        theirs = torch.nn.init.calculate_gain(name, param)
        assert initializers.calculate_gain(name, param) == pytest.approx(theirs, rel=1e-14)


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("shape", [(6, 4, 3), (12, 2, 4, 5), (6, 9, 1, 2, 3)])
def test_dirac(shape, groups):
    theirs = torch.nn.init.dirac_(torch.empty(shape), groups)
    target = Target(shape, np.dtype("float32"), Stream.seeded(1), "torch")
    assert np.array_equal(materialize(initializers.torch.dirac_(groups), target), theirs)


def test_the_same_everywhere():
    theirs = torch.nn.init.eye_(torch.empty(4, 7))
    assert np.array_equal(initializers.torch.eye_()((4, 7)), theirs)
    theirs = torch.nn.init.constant_(torch.empty(4, 7), 0.1)
    assert np.array_equal(initializers.torch.constant_(0.1)((4, 7)), theirs)
    for name, value in (("zeros_", 0), ("ones_", 1)):
        assert (getattr(initializers.torch, name)()((4, 7)) == value).all()


@pytest.mark.parametrize("sparsity", [0, 0.1, 0.3, 0.95, 1])
@pytest.mark.parametrize("shape", [(30, 400), (71, 300)])
def test_sparse(shape, sparsity):
    torch.manual_seed(1)
    theirs = torch.nn.init.sparse_(torch.empty(shape), sparsity, 0.5).numpy()
    ours = initializers.torch.sparse_(sparsity, 0.5, seed=1)(shape)
    assert np.array_equal((ours == 0).sum(0), (theirs == 0).sum(0))
    a, b = ours[ours != 0], theirs[theirs != 0]
    if a.size:
        assert abs(a.std() - b.std()) < 6 * 0.5 / np.sqrt(a.size)
        assert ks_2samp(a, b).pvalue > 1e-9


@pytest.mark.parametrize("shape", [(30, 40), (40, 30), (8, 5, 3, 3), (50, 3, 2)])
def test_orthogonal(shape):
    torch.manual_seed(1)
    theirs = torch.nn.init.orthogonal_(torch.empty(shape), 2).numpy()
    target = Target(shape, np.dtype("float32"), Stream.seeded(1), "torch")
    ours = materialize(initializers.torch.orthogonal_(2), target)
    for values in (theirs, ours):
        matrix = values.reshape(shape[0], -1)
        rows, columns = matrix.shape
        gram = matrix @ matrix.T if rows <= columns else matrix.T @ matrix
        np.testing.assert_allclose(gram, 4 * np.eye(min(rows, columns)), atol=1e-5)


def test_every_name_is_here():
    theirs = {name for name in dir(torch.nn.init) if name.endswith("_") and name[0] != "_"}
    ours = {name for name in initializers.torch.__all__ if name.endswith("_")}
    assert theirs - {"trunc_normal_"} == ours - {"trunc_normal_"}


@pytest.mark.parametrize(("theta", "dim"), [(10000.0, 64), (500000.0, 128)])
def test_rotary_frequencies(theta, dim):
    config = LlamaConfig(
        hidden_size=4 * dim,
        num_attention_heads=4,
        rope_parameters={"rope_type": "default", "rope_theta": theta},
    )
    theirs = LlamaRotaryEmbedding(config).inv_freq.numpy()
    ours = initializers.RotaryInvFreq(theta)((dim // 2,))
    # Theirs are a power and a quotient in float32, ours the nearest numbers.
    np.testing.assert_allclose(ours, theirs, rtol=2e-6)


def test_sinusoids():
    layer = MarianSinusoidalPositionalEmbedding(500, 64)
    theirs = layer.create_weight().numpy()
    ours = initializers.Sinusoidal(order="halves")((500, 64))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2**-24)
    # Whisper's angles of up to 1500 radians are float32: off by half of 2^-13.
    theirs = sinusoids(1500, 384).numpy()
    ours = initializers.Sinusoidal(order="halves", endpoint=True)((1500, 384))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1500 * 2**-22)


@pytest.mark.parametrize("dtype", ["int8", "int64", "float32"])
def test_ranges(dtype):
    theirs = torch.arange(-5, 100, 3, dtype=getattr(torch, dtype)).numpy()
    assert np.array_equal(initializers.Arange(-5, 3)(theirs.shape, dtype), theirs)
