"""What holds for every initializer in every dtype."""

import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
from initializer_cases import (
    CASES,
    FLOATS_ONLY,
    GIVEN,
    SEEDED,
    SOURCE,
    SOURCE_VALUES,
    WHOLE,
    shape_of,
)
from safetensors.numpy import save_file

from initlib import initializers
from initlib._dtypes import DTYPES, FLOATS, INTEGERS
from initlib._errors import RequestError
from initlib._stream import Stream
from initlib.initializers import Target


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """Work beside the file that one of them reads."""
    folder = tmp_path_factory.mktemp("folder")
    before = Path.cwd()
    os.chdir(folder)
    save_file({"w": SOURCE_VALUES}, SOURCE)
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
