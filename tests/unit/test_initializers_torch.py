"""Initializers under torch's names: their laws by torch's formulas, and what is refused."""

import math

import numpy as np
import pytest

from initlib import initializers
from initlib._errors import RequestError
from initlib._stream import Normal, Stream, Uniform
from initlib.initializers import Target, calculate_gain, torch


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


@pytest.mark.parametrize(
    ("made", "same"),
    [
        (torch.normal_(), initializers.RandomNormal(0, 1)),
        (torch.normal_(1, 0.5, 3), initializers.RandomNormal(1, 0.5, 3)),
        (torch.uniform_(), initializers.RandomUniform(0, 1)),
        (torch.uniform_(-1, 2), initializers.RandomUniform(-1, 2)),
        (torch.constant_(2), initializers.Constant(2)),
        (torch.zeros_(), initializers.Zeros()),
        (torch.ones_(), initializers.Ones()),
        (torch.eye_(), initializers.Identity()),
        (torch.orthogonal_(2), initializers.Orthogonal(2)),
        (torch.kaiming_uniform_(1), initializers.KaimingUniform(1)),
        (torch.xavier_normal_(2), initializers.XavierNormal(2)),
    ],
)
def test_the_modules_names(made, same):
    assert type(made) is type(same)
    assert made.get_config() == same.get_config()


def test_names_without_underscore_are_torchs_where_keras_has_none():
    assert initializers.get("normal").stddev == 0.05
    assert initializers.get("torch.normal").stddev == 1
    assert initializers.get("uniform").maxval == 0.05
    assert initializers.get("torch.uniform").maxval == 1
    assert initializers.IDENTIFIERS["sparse"] is initializers.Sparse
    assert initializers.IDENTIFIERS["constant"] is initializers.Constant


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float8_e5m2"])
@pytest.mark.parametrize("sparsity", [0, 0.1, 0.5, 0.95, 1])
def test_sparse_columns(sparsity, dtype):
    values = initializers.Sparse(sparsity, 3, seed=1)((70, 300), dtype).astype(np.float64)
    zeros = math.ceil(sparsity * 70)
    # A draw may be so small that float8 has no other number for it than 0.
    drawn = initializers.RandomNormal(0, 3, seed=1)((70, 300), dtype).astype(np.float64)
    assert (values[values != 0] == drawn[values != 0]).all()
    assert (((values == 0) & (drawn != 0)).sum(0) + (drawn == 0).sum(0) >= zeros).all()
    if dtype in ("float64", "float32"):
        assert ((values == 0).sum(0) == zeros).all()
        # Each row is as likely as any other: a binomial count of 300 draws at zeros / 70.
        share = zeros / 70
        off = np.abs((values == 0).sum(1) - 300 * share)
        assert (off <= 6 * math.sqrt(300 * share * (1 - share))).all()


def test_sparse_rows_are_chosen_anew_in_each_column():
    zero = initializers.Sparse(0.5, seed=1)((40, 200)) == 0
    assert len({column.tobytes() for column in zero.T}) == 200


def test_sparse_is_the_same_from_kernels_and_reference(monkeypatch):
    from initlib._native import Loader

    made = initializers.Sparse(0.3, seed=1)
    expected = made((3000, 40))
    monkeypatch.setattr(Loader, "get", lambda self, kernel: None)
    assert made((3000, 40)).tobytes() == expected.tobytes()


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("layout", ["keras", "torch"])
@pytest.mark.parametrize(("inputs", "outputs"), [(4, 6), (2, 12), (9, 6)])
def test_dirac_passes_channels_on(groups, layout, inputs, outputs):
    kernel = (3, 4)
    shape = (*kernel, inputs, outputs) if layout == "keras" else (outputs, inputs, *kernel)
    target = Target(shape, np.dtype("int8"), Stream.seeded(0), layout)
    values = initializers.materialize(initializers.Dirac(groups), target)
    if layout == "torch":
        values = np.moveaxis(values, (0, 1), (-1, -2))
    expected = np.zeros((*kernel, inputs, outputs), np.int8)
    share = outputs // groups
    for group in range(groups):
        for d in range(min(share, inputs)):
            expected[1, 2, d, group * share + d] = 1
    assert values.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: initializers.Sparse(1.5), "expected a sparsity from 0 to 1, received 1.5"),
        (lambda: initializers.Sparse(math.nan), "expected a sparsity from 0 to 1, received nan"),
        (lambda: initializers.Sparse(0.5, -1), "expected a stddev of 0 or more, received -1"),
        (lambda: initializers.Sparse(0.5)((3,)), "Sparse fills 2-dimensional tensors, received"),
        (lambda: initializers.Sparse(0.5)((3, 3), "int8"), "random values need a floating-point"),
        (lambda: initializers.Dirac(0), "expected an integer of 1 or more for groups, received 0"),
        (lambda: initializers.Dirac(1.5), "expected an integer of 1 or more for groups, received"),
        (lambda: initializers.Dirac()((3, 3)), "Dirac fills tensors of 3 to 5 axes, received"),
        (lambda: initializers.Dirac(2)((3, 3, 3)), "expected output channels that 2 groups can"),
        (lambda: torch.normal_("x"), "expected a number for mean, received 'x'"),
        (lambda: torch.uniform_(1, 0), "expected low <= high, received [1.0, 0.0)"),
        (lambda: torch.constant_("x"), "expected a number or an array of numbers, received 'x'"),
    ],
)
def test_what_the_others_refuse(make, message):
    with pytest.raises(RequestError) as error:
        make()
    assert str(error.value).startswith(message)
