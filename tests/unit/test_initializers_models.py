"""What current models use: spreads by their formulas, tables by slow exact arithmetic."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from initlib import initializers
from initlib._dtypes import DTYPES, INTEGERS
from initlib._errors import RequestError
from initlib._stream import Stream
from initlib.initializers import Arange, RotaryInvFreq, Sinusoidal, Target

# Logarithms, powers and sines here have so many bits.
BITS = 200


@pytest.mark.parametrize(
    ("name", "config", "stddev"),
    [
        ("gpt2_residual", {"sigma": 0.02, "num_layers": 12}, 0.02 / math.sqrt(24)),
        ("scaled_normal", {"sigma": 0.01, "num_layers": 2}, 0.005),
        ("small_init", {"dim": 640}, 0.025),
        ("wang_init", {"n_layers": 4, "dim": 64}, 1 / 16),
        ("mup_input", {"std": 0.02}, 0.02),
        ("mup_hidden", {"std": 0.02, "width_mult": 4}, 0.01),
        ("mup_output", {"std": 0.02, "width_mult": 4}, 0.005),
        ("lora_a_gaussian", {"r": 8}, 0.125),
    ],
)
def test_spreads(name, config, stddev):
    made = initializers.deserialize({"class_name": name, "config": {**config, "seed": 5}})
    assert type(made) is initializers.RandomNormal
    assert (made.mean, made.stddev, made.seed) == (0, pytest.approx(stddev, rel=1e-15), 5)


def test_lora():
    a, b = initializers.get("lora_a"), initializers.get("lora_b")
    target = Target((8, 100), np.dtype("float32"), Stream.seeded(0), "torch")
    assert initializers.distribution(a, target).high == pytest.approx(0.1, rel=1e-15)
    assert type(b) is initializers.Zeros


@pytest.mark.parametrize(
    ("start", "step", "dtype", "shape"),
    [
        (0, 1, "int64", (1, 70_001)),
        (-128, 2, "int8", (128,)),
        (255, -1, "uint8", (4, 64)),
        (2**64 - 5, 1, "uint64", (5,)),
        (-(2**63), 2**62, "int64", (4,)),
        (0, 1, "bool", (2,)),
        (1.0, 3.0, "int32", (7,)),
    ],
)
def test_ranges_of_integers(start, step, dtype, shape):
    values = Arange(start, step)(shape, dtype)
    assert (values.shape, values.dtype) == (shape, DTYPES[dtype])
    size = math.prod(shape)
    assert [int(v) for v in values.ravel()] == [int(start) + i * int(step) for i in range(size)]


def test_ranges_of_floats():
    values = Arange(0.1, 0.7)((100_000,), "float64")
    assert values.tolist() == [0.1 + i * 0.7 for i in range(100_000)]
    assert Arange(0.5, 0.25)((3,), "bfloat16").tolist() == [0.5, 0.75, 1.0]
    assert Arange()((0,)).shape == (0,)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_ranges_end_where_the_dtype_does(dtype):
    last = int(np.iinfo(dtype).max)
    assert int(Arange(last - 1)((2,), dtype)[1]) == last
    with pytest.raises(RequestError, match=f"expected values that {dtype} can hold .*{last + 1}$"):
        Arange(last - 1)((3,), dtype)


@pytest.mark.parametrize(("base", "factor"), [(10000.0, 1.0), (500_000, 8), (3, 0.7)])
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_rotary_frequencies_are_the_nearest(base, factor, dtype):
    values = RotaryInvFreq(base, factor)((96,), dtype)
    with mpmath.workprec(BITS):
        exact = [mpmath.mpf(base) ** (-mpmath.mpf(i) / 96) / factor for i in range(96)]
    expected = np.array([float(each) for each in exact])
    if dtype == "float64":
        assert values.tolist() == expected.tolist()
    else:
        assert values.tobytes() == initializers.Constant(expected)((96,), dtype).tobytes()


@pytest.mark.parametrize("width", [1, 2, 7, 64])
@pytest.mark.parametrize("order", ["interleaved", "halves"])
@pytest.mark.parametrize("endpoint", [False, True])
def test_sinusoids(width, order, endpoint):
    if endpoint and width % 2:
        with pytest.raises(RequestError, match=f"expected an even width, received {width}"):
            Sinusoidal(100, order, endpoint)((3, width))
        return
    rows = [0, 1, 2, 511, 70_000]
    table = Sinusoidal(100, order, endpoint)((70_001, width), "float64")[rows]
    half = -(-width // 2)
    for column in range(width):
        pair, cosine = divmod(column, 2)
        if order == "halves":
            pair, cosine = column % half, column >= half
        power = Fraction(2 * pair, width)
        if endpoint:
            power = Fraction(pair, max(half - 1, 1))
        with mpmath.workprec(BITS):
            angle = mpmath.mpf(100) ** (-mpmath.mpf(power.numerator) / power.denominator)
            wave = mpmath.cos if cosine else mpmath.sin
            exact = [float(wave(row * angle)) for row in rows]
        # The angle is a multiple of 2^-53 turns, and off by 2^-65 turns a row.
        np.testing.assert_allclose(table[:, column], exact, rtol=0, atol=1.2e-15 + 7e4 * 1.8e-19)
    assert not table[0, 0].any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: initializers.small_init(0), "expected a positive dim, received 0"),
        (lambda: initializers.mup_hidden(1, "x"), "expected a number for width_mult, received 'x'"),
        (lambda: initializers.scaled_normal(1, -1), "expected a positive num_layers, received -1"),
        (lambda: Arange("x"), "expected a finite number for start, received 'x'"),
        (lambda: Arange(0, math.inf), "expected a finite number for step, received inf"),
        (lambda: Arange([1]), "expected a finite number for start, received [1]"),
        (lambda: Arange(0, 0.5)((3,), "int8"), "expected values that int8 can hold (the integers"),
        (lambda: Arange(0.5)((1,), "int8"), "expected values that int8 can hold (the integers"),
        (lambda: Arange(-1)((2,), "uint8"), "expected values that uint8 can hold"),
        (lambda: Arange()((3,), "bool"), "expected values that bool can hold"),
        (lambda: Arange(0, 1e5)((2,), "float16"), "expected values that float16 can hold"),
        (lambda: RotaryInvFreq(0), "expected a positive base, received 0"),
        (lambda: RotaryInvFreq()((2, 3)), "RotaryInvFreq fills vectors of half a head's size"),
        (lambda: RotaryInvFreq()((2,), "int8"), "RotaryInvFreq needs a floating-point dtype, rec"),
        (lambda: RotaryInvFreq()((70_000,)), "RotaryInvFreq has at most 65,536 frequencies, rec"),
        (lambda: RotaryInvFreq(2, 5e-324)((2,)), "expected a factor that leaves finite values"),
        (lambda: RotaryInvFreq(2, 1e-9)((2,), "float16"), "expected values that float16 can hold"),
        (lambda: Sinusoidal(order="half"), "unknown order 'half'; did you mean 'halves'?"),
        (lambda: Sinusoidal()((2,)), "Sinusoidal fills 2-dimensional tensors, received (2,)"),
        (lambda: Sinusoidal()((2, 2), "int8"), "Sinusoidal needs a floating-point dtype, received"),
        (lambda: Sinusoidal()((1, 70_000)), "Sinusoidal has at most 65,536 frequencies, received"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(RequestError) as error:
        make()
    assert str(error.value).startswith(message)
