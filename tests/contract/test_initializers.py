"""What holds for every initializer in every dtype."""

import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from initlib import initializers
from initlib._dtypes import DTYPES, FLOATS, INTEGERS
from initlib._errors import RequestError
from initlib._stream import Stream
from initlib.initializers import Target

ARRAY = np.arange(13 * 11, dtype=np.float64).reshape(13, 1, 11) % 2
CASES = {
    "zeros": initializers.Zeros(),
    "ones": initializers.Ones(),
    "constant": initializers.Constant(1),
    "constant-array": initializers.Constant(ARRAY),
    "constant-row": initializers.Constant(ARRAY[0]),
    "given": initializers.get(ARRAY),
    "identity": initializers.Identity(),
    "normal": initializers.RandomNormal(0.1, 0.5, seed=7),
    "uniform": initializers.RandomUniform(-1, 2.5, seed=7),
    "truncated": initializers.TruncatedNormal(0.1, 0.5, seed=7),
    "scaling": initializers.VarianceScaling(2, "fan_avg", "untruncated_normal", seed=7),
    "glorot-normal": initializers.GlorotNormal(7),
    "glorot-uniform": initializers.GlorotUniform(7),
    "he-normal": initializers.HeNormal(7),
    "he-uniform": initializers.HeUniform(7),
    "lecun-normal": initializers.LecunNormal(7),
    "lecun-uniform": initializers.LecunUniform(7),
    "orthogonal": initializers.Orthogonal(1.5, seed=7),
    "kaiming-normal": initializers.KaimingNormal(0.2, "fan_out", seed=7),
    "kaiming-uniform": initializers.KaimingUniform(nonlinearity="tanh", seed=7),
    "xavier-normal": initializers.XavierNormal(1.5, 7),
    "xavier-uniform": initializers.XavierUniform(seed=7),
    "concatenate": initializers.Concatenate(
        [1, 0, 10, 2], ["ones", "zeros", initializers.RandomNormal(1, 2), "he_uniform"], seed=7
    ),
    "elementwise": initializers.Elementwise(
        "log(max(x, 0.1)) / 2", initializers.RandomUniform(0, 3), 7
    ),
    "dirac": initializers.Dirac(),
    "dirac-groups": initializers.Dirac(11),
    "sparse": initializers.Sparse(0.4, 0.5, 7),
    "delta-orthogonal": initializers.DeltaOrthogonal(1.5, seed=7),
    "jax-scaling": initializers.JaxVarianceScaling(2, "fan_geo_avg", "normal", seed=7),
    "jax-axes": initializers.JaxVarianceScaling(2, "fan_in", "uniform", 0, [2], 1, 7),
    "jax-orthogonal": initializers.JaxOrthogonal(1.5, 0, 7),
    "arange": initializers.Arange(3, 0.5),
    "rotary": initializers.RotaryInvFreq(500, 2),
    "sinusoidal": initializers.Sinusoidal(),
    "sinusoidal-halves": initializers.Sinusoidal(100, "halves", True),
    "from-file": initializers.FromFile("source.safetensors", "w"),
    "trunc-normal": initializers.TruncNormal(0.5, 0.75, a=-1, b=None, seed=7),
    "stft-real": initializers.STFT(),
    "stft-imag": initializers.STFT("imag", "hamming", "spectrum", True),
    "stft-array": initializers.STFT("imag", np.arange(13), None),
}
SEEDED = [name for name in CASES if "seed" in CASES[name].get_config()]
FLOATS_ONLY = [*SEEDED, "stft-real", "stft-imag", "stft-array"]
FLOATS_ONLY += ["rotary", "sinusoidal", "sinusoidal-halves"]
WHOLE = ("orthogonal", "sparse", "delta-orthogonal", "jax-orthogonal")
# What axes some need; others have any.
SHAPES = {
    "identity": (13, 11),
    "sparse": (13, 11),
    "rotary": (143,),
    "sinusoidal": (13, 11),
    "sinusoidal-halves": (14, 12),
}


# Whose axes are given, whatever the layout.
GIVEN = (
    *("constant-array", "constant-row", "given", "from-file", "sinusoidal-halves", "concatenate"),
)


def shape_of(name, layout="keras"):
    shape = SHAPES.get(name, (13, 1, 11))
    return shape if layout == "keras" or name in GIVEN else shape[::-1]


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """Work beside the file that one of them reads."""
    folder = tmp_path_factory.mktemp("folder")
    before = Path.cwd()
    os.chdir(folder)
    save_file({"w": np.sin(np.arange(13.0 * 11)).reshape(13, 1, 11)}, "source.safetensors")
    yield
    os.chdir(before)


def test_every_class_is_here():
    classes = {type(case) for case in CASES.values()} - {type(CASES["given"])}
    assert classes == {each for each in initializers.IDENTIFIERS.values() if isinstance(each, type)}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", CASES)
def test_shape_dtype_and_repetition(name, dtype):
    values = CASES[name](shape_of(name), dtype)
    assert isinstance(values, np.ndarray)
    assert (values.shape, values.dtype) == (shape_of(name), FLOATS[dtype])
    assert values.tobytes() == CASES[name](list(shape_of(name)), FLOATS[dtype]).tobytes()
    assert np.all(np.isfinite(values.astype(np.float64)))
    constant = name in ("zeros", "ones", "constant")
    assert (len(np.unique(values.astype(np.float64))) == 1) == constant


@pytest.mark.parametrize("layout", ["keras", "torch"])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", CASES)
def test_any_pieces_make_the_same_bytes(name, dtype, layout):
    target = Target(shape_of(name, layout), FLOATS[dtype], Stream.seeded(7), layout)
    initializer = CASES[name]
    initializers.check(initializer, target)
    whole = initializers.materialize(initializer, target)
    assert (whole.shape, whole.dtype) == (target.shape, target.dtype)
    if layout == "keras":
        assert whole.tobytes() == initializer(target.shape, dtype).tobytes()
    if not initializers.streams(initializer, target):
        assert name in WHOLE
        return
    bounds = [0, 1, 2, 3, 7, 8, 64, 65, 100, 127, whole.size]
    pieces = []
    for start, stop in reversed(list(itertools.pairwise(bounds))):
        piece = np.full(stop - start, 9, target.dtype)
        initializer.fill(piece, start, target)
        pieces.insert(0, piece)
    assert np.concatenate(pieces).tobytes() == whole.tobytes()


@pytest.mark.parametrize("name", CASES)
def test_configs_make_it_again(name):
    initializer = CASES[name]
    config = initializers.serialize(initializer)
    again = initializers.get(json.loads(json.dumps(config)))
    assert initializers.serialize(again) == config
    expected = initializer(shape_of(name)).tobytes()
    assert again(shape_of(name)).tobytes() == expected
    assert initializer.clone()(shape_of(name)).tobytes() == expected
    assert type(initializer.clone()) is type(initializer)


# Those of "arange" and "from-file" are tried elsewhere: few dtypes hold such numbers.
@pytest.mark.parametrize("dtype", [*INTEGERS, "bool"])
@pytest.mark.parametrize("name", [name for name in CASES if name not in ("arange", "from-file")])
def test_integers(name, dtype):
    if name in FLOATS_ONLY:
        with pytest.raises(RequestError, match=f"floating-point dtype, received {dtype}"):
            CASES[name](shape_of(name), dtype)
    else:
        values = CASES[name](shape_of(name), dtype)
        assert values.dtype == DTYPES[dtype]
        np.testing.assert_array_equal(values, CASES[name](shape_of(name)))


@pytest.mark.parametrize("name", CASES)
def test_wrong_dtypes_and_shapes(name):
    with pytest.raises(RequestError, match="unknown dtype 'flaot32'; did you mean 'float32'"):
        CASES[name](shape_of(name), "flaot32")
    with pytest.raises(RequestError, match="expected a shape of integers of 0 or more"):
        CASES[name]((3, -1, 2))


@pytest.mark.parametrize("name", SEEDED)
def test_seeds(name):
    config = CASES[name].get_config()
    cls = type(CASES[name])
    unseeded = cls.from_config({**config, "seed": None})
    other = cls.from_config({**config, "seed": None})
    shape = shape_of(name)
    # None: drawn once, when made, and not written.
    np.testing.assert_array_equal(unseeded(shape), unseeded(shape))
    assert not np.array_equal(unseeded(shape), other(shape))
    assert unseeded.get_config()["seed"] is None
    generated = cls.from_config({**config, "seed": initializers.SeedGenerator(7)})
    first, second = generated(shape), generated(shape)
    np.testing.assert_array_equal(first, CASES[name](shape))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in CASES
        if name not in (*GIVEN, "dirac", "dirac-groups", "delta-orthogonal", "rotary", "jax-axes")
        and "stft" not in name
    ],
)
@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_nothing_to_fill(name, shape):
    assert CASES[name](shape).shape == shape
