"""What the plan asks of initializers: built-in, derived, custom, or plain callables."""

import numpy as np
import pytest

import initlib
import initlib.initializers
import initlib.random
from initlib import initializers
from initlib._dtypes import FLOATS
from initlib._errors import RequestError
from initlib._stream import Normal, Stream
from initlib.initializers import (
    Constant,
    HeNormal,
    Initializer,
    Orthogonal,
    RandomNormal,
    SeedGenerator,
    Target,
    Zeros,
    draws_for,
    materialize,
    stream_for,
    streams,
)

keras = initlib


def target(shape=(4, 3), dtype="float32", layout="keras"):
    return Target(shape, np.dtype(dtype), Stream.named(1, "a"), layout)


# The two examples of Keras's guide to initializers, in its words but for the imports.
class ExampleRandomNormal(keras.initializers.Initializer):
    def __init__(self, mean, stddev):
        self.mean = mean
        self.stddev = stddev

    def __call__(self, shape, dtype=None, **kwargs):
        return keras.random.normal(shape, mean=self.mean, stddev=self.stddev, dtype=dtype, **kwargs)

    def get_config(self):
        return {"mean": self.mean, "stddev": self.stddev}


def my_init(shape, dtype=None):
    return keras.random.normal(shape, dtype=dtype)


class Ramp(Initializer):
    """Streams, and nothing else."""

    def fill(self, out, start, target):
        out[:] = np.arange(start, start + out.size)


class Doubled(RandomNormal):
    """Overrides the call alone: what it inherits to stream with would be wrong."""

    def __call__(self, shape, dtype=None):
        return 2 * super().__call__(shape, dtype)


class Duck:
    def __call__(self, shape, dtype=None):
        return np.zeros(shape, dtype)

    def fill(self, out, start, target):
        out[:] = 7


@pytest.mark.parametrize(
    ("initializer", "expected"),
    [
        (Zeros(), True),
        (HeNormal(), True),
        (Ramp(), True),
        (Duck(), True),
        (Orthogonal(), False),
        (Doubled(), False),
        (ExampleRandomNormal(0, 1), False),
        (my_init, False),
        (lambda shape, dtype=None: None, False),
    ],
)
def test_streams(initializer, expected):
    assert streams(initializer, target()) is expected


@pytest.mark.parametrize("example", [ExampleRandomNormal(0.0, 1.0), my_init])
def test_keras_guides_examples(example):
    with draws_for(1, "a"):
        values = materialize(example, target())
    expected = np.empty(12, np.float32)
    Normal(0.0, 1.0).fill(expected, 0, Stream.named(1, "a"))
    np.testing.assert_array_equal(values, expected.reshape(4, 3))
    assert example((2, 2)).dtype == np.float32


def test_the_guides_class_is_made_again_from_its_config():
    again = ExampleRandomNormal(0.5, 2).clone()
    assert (again.mean, again.stddev) == (0.5, 2)


def test_derived_classes_are_called():
    with draws_for(1, "a"):
        doubled = materialize(Doubled(stddev=0.5), target())
    np.testing.assert_array_equal(doubled, 2 * materialize(RandomNormal(stddev=0.5), target()))


def test_materialize_fills_what_streams():
    np.testing.assert_array_equal(materialize(Ramp(), target()), np.arange(12).reshape(4, 3))
    np.testing.assert_array_equal(materialize(Duck(), target()), np.full((4, 3), 7))
    assert materialize(Duck(), target()).dtype == np.float32


def test_a_streaming_class_needs_no_call():
    np.testing.assert_array_equal(Ramp()((2, 2), "int8"), [[0, 1], [2, 3]])


def test_layout_reaches_the_built_ins():
    keras_like, torch_like = target((8, 2)), target((8, 2), layout="torch")
    he = HeNormal()
    ratio = materialize(he, torch_like) / materialize(he, keras_like)
    np.testing.assert_allclose(ratio, 2.0, rtol=1e-6)  # sqrt(8 / 2), to float32's rounding


def test_the_base_class_does_nothing():
    with pytest.raises(NotImplementedError, match="Initializer implements neither"):
        Initializer()((2,))
    assert Initializer().get_config() == {}


@pytest.mark.parametrize(
    ("initializer", "message"),
    [
        (HeNormal(), "random values need a floating-point dtype, received int32"),
        (Orthogonal(), "random values need a floating-point dtype, received int32"),
        (Constant(0.5), "expected values that int32 can hold"),
    ],
)
def test_check(initializer, message):
    with pytest.raises(RequestError, match=message):
        initializers.check(initializer, target(dtype="int32"))
    # What overrides the call, or isn't ours, is not known to be unfit.
    initializers.check(Doubled(), target(dtype="int32"))
    initializers.check(my_init, target(dtype="int32"))
    initializers.check(Duck(), target(dtype="int32"))


def test_distribution():
    assert initializers.distribution(RandomNormal(1, 2), target()) == Normal(1.0, 2.0)
    for other in (Zeros(), Orthogonal(), Doubled(), my_init):
        assert initializers.distribution(other, target()) is None


@pytest.mark.parametrize(
    ("initializer", "stream"),
    [
        (HeNormal(), Stream.named(5, "w")),
        (HeNormal(7), Stream.seeded(7)),
        (HeNormal(np.int64(7)), Stream.seeded(7)),
        (HeNormal(SeedGenerator(7)), Stream.named(7, "w")),
        (HeNormal(SeedGenerator()), Stream.named(5, "w")),
        (Orthogonal(seed=7), Stream.seeded(7)),
        (my_init, Stream.named(5, "w")),
        (Ramp(), Stream.named(5, "w")),
    ],
)
def test_stream_for(initializer, stream):
    assert stream_for(initializer, 5, "w") == stream


def test_custom_seeds_count():
    ramp = Ramp()
    ramp.seed = 7
    assert stream_for(ramp, 5, "w") == Stream.seeded(7)
    ramp.seed = SeedGenerator(8)
    assert stream_for(ramp, 5, "w") == Stream.named(8, "w")


def test_unseeded_built_ins_inside_a_context():
    # Made when its module was imported, used by a custom callable while a file is generated.
    shared, generator = RandomNormal(), RandomNormal(seed=SeedGenerator(7))
    runs = []
    for _ in range(2):
        with draws_for(1, "a"):
            runs.append([shared((3,)), shared((3,)), generator((3,))])
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0][0], runs[0][1])
    # Outside, it repeats its values as in Keras.
    np.testing.assert_array_equal(shared((3,)), shared((3,)))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda shape: np.zeros(shape, "float32"), "expected <lambda>.shape, dtype=None.: "),
        (lambda: 0, "expected <lambda>.shape, dtype=None.: "),
        (
            lambda shape, dtype=None: np.zeros((3, 4), dtype),
            r"expected shape \(4, 3\) from <lambda>, received \(3, 4\)",
        ),
        (
            lambda shape, dtype=None: np.zeros(shape),
            "expected dtype float32 from <lambda>, received float64",
        ),
        (lambda shape, dtype=None: 1.0, r"expected shape \(4, 3\) from <lambda>, received \(\)"),
        (lambda shape, dtype=None: None, "expected an array from <lambda>, which returned nothing"),
    ],
)
def test_what_custom_callables_get_wrong(function, message):
    with pytest.raises(RequestError, match=message):
        materialize(function, target())


def test_callables_are_called_as_keras_does():
    calls = []

    def record(shape, dtype=None, **kwargs):
        calls.append((shape, dtype, kwargs))
        return np.ones(shape, dtype).T.T

    for dtype in FLOATS:
        materialize(record, Target((2, 2), FLOATS[dtype], Stream.seeded(0)))
    assert calls == [((2, 2), dtype, {}) for dtype in FLOATS]


def test_results_are_in_c_order():
    values = materialize(
        lambda shape, dtype: np.asfortranarray(np.eye(4, 3, dtype=dtype)), target()
    )
    assert values.flags.c_contiguous
    np.testing.assert_array_equal(values, np.eye(4, 3))
    assert materialize(lambda shape, dtype: np.zeros(shape, dtype), target(())).shape == ()


def test_functions_in_c_and_arrays_of_others():
    class Other:
        def __array__(self, dtype=None, copy=None):
            return np.ones((4, 3), np.float32)

    np.testing.assert_array_equal(materialize(np.zeros, target()), np.zeros((4, 3)))
    np.testing.assert_array_equal(
        materialize(lambda shape, dtype: Other(), target()), np.ones((4, 3))
    )
