"""Initializers under torch's names draw what torch's draw."""

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp

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
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("name", "arguments"), CALLS)
def test_values_are_drawn_alike(name, arguments, shape):
    torch.manual_seed(1)
    theirs = getattr(torch.nn.init, f"{name}_")(torch.empty(shape), **arguments).numpy().ravel()
    initializer = getattr(initializers, name)(**arguments)
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
