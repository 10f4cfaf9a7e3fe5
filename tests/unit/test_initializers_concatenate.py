"""Tensors in parts: which part is whose, that none repeats another, and what is refused."""

import numpy as np
import pytest

import initlib
from initlib import initializers
from initlib._errors import RequestError
from initlib.initializers import Concatenate, RandomNormal


def test_parts_lie_one_after_the_other():
    values = Concatenate([2, 1, 3], ["zeros", "ones", RandomNormal(5, 0.1)], seed=1)((6, 4))
    assert np.all(values[:2] == 0)
    assert np.all(values[2] == 1)
    assert np.all(np.abs(values[3:] - 5) < 1)


def test_an_array_fills_its_own_part():
    values = Concatenate([1, 2], ["zeros", initializers.Constant([[1, 2], [3, 4]])])((3, 2))
    assert values.tolist() == [[0, 0], [1, 2], [3, 4]]


def test_parts_are_what_the_whole_would_have_there():
    normal = RandomNormal()
    whole = RandomNormal(seed=3)((10, 7))
    parts = Concatenate([1, 4, 5], ["zeros", normal, normal], seed=3)((10, 7))
    assert np.array_equal(parts[1:], whole[1:])


def test_fans_are_those_of_a_part():
    uniform = Concatenate([2, 6], ["zeros", "glorot_uniform"], seed=3)((8, 4))
    limit = np.sqrt(6 / (6 + 4))
    assert 0.7 * limit < np.abs(uniform[2:]).max() < limit


def test_configs_of_parts_round_trip():
    mine = Concatenate((1, 2), ["zeros", RandomNormal(1)], seed=4)
    again = initializers.deserialize(initializers.serialize(mine))
    assert again.get_config() == mine.get_config()
    assert np.array_equal(again((3, 5)), mine((3, 5)))


@pytest.mark.parametrize(
    ("sizes", "parts", "message"),
    [
        (3, ["zeros"], "expected a list of sizes of 0 or more, received 3"),
        ([], [], "expected a list of sizes of 0 or more, received []"),
        ([-1, 4], ["zeros", "ones"], "expected a list of sizes of 0 or more, received [-1, 4]"),
        ([3], "zeros", "expected a list of 1 initializers, one for each of the sizes, received 'z"),
        ([1, 2], ["zeros"], "expected a list of 2 initializers, one for each of the sizes"),
        ([3], ["orthogonal"], "expected constants or independent draws without a seed as parts"),
        ([3], [RandomNormal(seed=1)], "expected constants or independent draws without a seed"),
        ([3], ["zeross"], "unknown initializer 'zeross'; did you mean 'zeros'?"),
    ],
)
def test_what_is_refused(sizes, parts, message):
    with pytest.raises(RequestError) as caught:
        Concatenate(sizes, parts)
    assert str(caught.value).startswith(message)


def test_parts_must_make_up_the_shape():
    with pytest.raises(RequestError, match=r"expected 3 rows, the sum of the sizes, in the shape"):
        Concatenate([1, 2], ["zeros", "ones"])((4, 2))
    with pytest.raises(RequestError, match="300"):
        Concatenate([1, 2], ["zeros", initializers.Constant(300)])((3,), "uint8")


def test_manifests_write_parts_as_calls():
    call = "concatenate([pad, 3], [zeros(), jax.normal(stddev=2*pad)])"
    layer = {"name": "w", "shape": [4, 2], "initializer": call}
    done = initlib.generate({"vars": {"pad": 1}, "layers": [layer]}, dry_run=True)
    assert done.parameters == 8
    layer["initializer"] = "concatenate([4], [ones(x=1)])"
    with pytest.raises(RequestError, match=r"for 'w': Ones has no argument 'x'; it takes none"):
        initlib.generate({"layers": [layer]}, dry_run=True)


def test_the_catalogue_tells_what_is_required():
    entry = initializers.lookup("concatenate")
    assert entry.required == ("sizes", "initializers")
    assert entry.arguments == {"sizes": None, "initializers": None, "seed": None}
