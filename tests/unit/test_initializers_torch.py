"""Initializers under torch's names: their laws by torch's formulas, and what is refused."""

import math

import numpy as np
import pytest

from initlib import initializers
from initlib._errors import RequestError
from initlib._stream import Normal, Stream, Uniform
from initlib.initializers import Target, calculate_gain


def law(initializer, shape=(64, 48, 3), layout="torch"):
    target = Target(shape, np.dtype("float32"), Stream.seeded(0), layout)
    return initializers.distribution(initializer, target)


# Of the shape above, as torch has it.
FAN_IN, FAN_OUT = 48 * 3, 64 * 3


@pytest.mark.parametrize(
    ("initializer", "stddev"),
    [
        ("kaiming_normal", math.sqrt(2 / FAN_IN)),
        (initializers.KaimingNormal(mode="fan_out"), math.sqrt(2 / FAN_OUT)),
        (initializers.KaimingNormal(a=2), math.sqrt(2 / 5 / FAN_IN)),
        (initializers.KaimingNormal(nonlinearity="selu"), 0.75 / math.sqrt(FAN_IN)),
        (initializers.KaimingNormal(9, nonlinearity="relu"), math.sqrt(2 / FAN_IN)),
        ("xavier_normal", math.sqrt(2 / (FAN_IN + FAN_OUT))),
        (initializers.XavierNormal(gain=3), 3 * math.sqrt(2 / (FAN_IN + FAN_OUT))),
    ],
)
def test_normals_are_not_cut(initializer, stddev):
    found = law(initializers.get(initializer))
    assert isinstance(found, Normal)
    assert (found.mean, found.stddev) == (0, pytest.approx(stddev, rel=1e-14))


@pytest.mark.parametrize(
    ("initializer", "limit"),
    [
        ("kaiming_uniform_", math.sqrt(6 / FAN_IN)),
        # What torch.nn.Linear and convolutions draw.
        (initializers.KaimingUniform(math.sqrt(5)), 1 / math.sqrt(FAN_IN)),
        (initializers.KaimingUniform(0, "fan_out", "tanh"), 5 / 3 * math.sqrt(3 / FAN_OUT)),
        ("xavier_uniform_", math.sqrt(6 / (FAN_IN + FAN_OUT))),
        (initializers.XavierUniform(0.5), 0.5 * math.sqrt(6 / (FAN_IN + FAN_OUT))),
    ],
)
def test_uniforms(initializer, limit):
    found = law(initializers.get(initializer))
    assert isinstance(found, Uniform)
    assert (found.low, found.high) == pytest.approx((-limit, limit), rel=1e-14)


@pytest.mark.parametrize(
    ("name", "param", "gain"),
    [
        ("linear", None, 1),
        ("conv_transpose2d", None, 1),
        ("sigmoid", 3, 1),
        ("tanh", None, 5 / 3),
        ("relu", None, math.sqrt(2)),
        ("leaky_relu", None, math.sqrt(2 / 1.0001)),
        ("leaky_relu", 0.5, math.sqrt(1.6)),
        ("selu", None, 0.75),
    ],
)
def test_gains(name, param, gain):
    assert calculate_gain(name, param) == pytest.approx(gain, rel=1e-15)


@pytest.mark.parametrize(
    "name", ["KaimingNormal", "KaimingUniform", "XavierNormal", "XavierUniform"]
)
def test_configs_come_back(name):
    cls = getattr(initializers, name)
    first = cls(0.5, seed=3)
    config = initializers.serialize(first)
    assert (config["module"], config["class_name"]) == ("initlib.initializers", name)
    again = initializers.deserialize(config)
    assert again.get_config() == first.get_config()
    assert np.array_equal(again((3, 4)), first((3, 4)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: calculate_gain("rleu"), "unknown nonlinearity 'rleu'; did you mean 'relu'?"),
        (lambda: calculate_gain("leaky_relu", "x"), "expected a number for param, received 'x'"),
        (lambda: initializers.KaimingNormal("x"), "expected a number for a, received 'x'"),
        (lambda: initializers.KaimingNormal(mode="fan_avg"), "unknown mode 'fan_avg'; did you"),
        (lambda: initializers.KaimingNormal(nonlinearity=[1]), "unknown nonlinearity [1]"),
        (lambda: initializers.KaimingUniform(1e200), "expected a gain above 0 from a, received"),
        (lambda: initializers.KaimingUniform(math.inf), "expected a gain above 0 from a, received"),
        (lambda: initializers.XavierUniform(1e200), "expected a gain above 0 from gain, received"),
        (lambda: initializers.XavierNormal(1e-200), "expected a gain above 0 from gain, received"),
        (lambda: initializers.XavierNormal(-1), "expected a gain above 0 from gain, received"),
        (lambda: initializers.XavierNormal(0), "expected a gain above 0 from gain, received 0"),
        (
            lambda: initializers.XavierUniform(math.inf),
            "expected a gain above 0 from gain",
        ),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(RequestError) as error:
        make()
    assert str(error.value).startswith(message)
