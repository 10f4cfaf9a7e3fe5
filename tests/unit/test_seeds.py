"""Seeds: what is accepted, when values repeat, and what a file's context changes."""

import pickle
import random
import threading

import numpy as np
import pytest

from initlib._errors import RequestError
from initlib._seeds import SeedGenerator, draws_for, fresh_seed, stream_of
from initlib._stream import MAX_SEED, Stream


@pytest.mark.parametrize("seed", [0, 7, MAX_SEED, np.int64(7), np.uint8(7)])
def test_integers_are_seeds(seed):
    assert stream_of(seed) == Stream.seeded(int(seed))
    assert stream_of(seed) == stream_of(seed)


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1, 1.0, "7", True, np.float32(7), [7]])
def test_anything_else_is_refused(seed):
    expected = r"expected a seed from 0 to 2\*\*64 - 1, received "
    with pytest.raises(RequestError, match=expected):
        stream_of(seed)
    with pytest.raises(RequestError, match=expected):
        SeedGenerator(seed)


def test_a_generator_gives_a_new_stream_at_each_use():
    generator = SeedGenerator(7)
    assert [stream_of(generator) for _ in range(3)] == [Stream.seeded(7, k) for k in range(3)]
    assert SeedGenerator(7).next() == Stream.seeded(7)


def test_generators_without_a_seed_differ():
    assert SeedGenerator().next() != SeedGenerator().next()


def test_a_generator_is_made_again_from_its_config_at_its_first_use():
    generator = SeedGenerator(7, name="mine")
    generator.next()
    config = generator.get_config()
    assert config == {"seed": 7, "name": "mine"}
    assert SeedGenerator.from_config(config).next() == Stream.seeded(7)
    assert SeedGenerator().get_config() == {"seed": None, "name": "seed_generator"}


def test_a_pickled_generator_goes_on_where_it_was():
    generator = SeedGenerator(7)
    generator.next()
    assert pickle.loads(pickle.dumps(generator)).next() == Stream.seeded(7, 1)  # noqa: S301


def test_threads_never_share_a_use():
    generator, streams = SeedGenerator(7), []
    threads = [
        threading.Thread(target=lambda: streams.extend(generator.next() for _ in range(500)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(streams) == {Stream.seeded(7, k) for k in range(2000)}


def test_fresh_seeds_follow_pythons_random():
    state = random.getstate()
    try:
        random.seed(5)
        first = fresh_seed(), fresh_seed()
        random.seed(5)
        assert (fresh_seed(), fresh_seed()) == first
        assert first[0] != first[1]
    finally:
        random.setstate(state)


def test_without_a_seed_streams_are_fresh_or_the_default():
    assert stream_of(None) != stream_of(None)
    assert stream_of(None, default=3) == Stream.seeded(3)


def test_a_context_numbers_its_draws():
    with draws_for(3, "dense/kernel"):
        drawn = [stream_of(None), stream_of(None, default=9), stream_of(SeedGenerator())]
    assert drawn == [Stream.named(3, "dense/kernel", k) for k in range(3)]


def test_a_context_leaves_integers_and_gives_generators_the_name():
    shared = SeedGenerator(7)
    with draws_for(3, "a"):
        assert stream_of(5) == Stream.seeded(5)
        assert stream_of(shared) == Stream.named(7, "a")
    with draws_for(3, "b"):
        assert stream_of(shared) == Stream.named(7, "b")
    # The generator's own counter has not moved.
    assert shared.next() == Stream.seeded(7)


def test_contexts_nest_end_and_belong_to_their_thread():
    elsewhere = []
    with draws_for(3, "outer"):
        with draws_for(4, "inner"):
            assert stream_of(None) == Stream.named(4, "inner")
        assert stream_of(None) == Stream.named(3, "outer")
        thread = threading.Thread(target=lambda: elsewhere.append(stream_of(None, default=1)))
        thread.start()
        thread.join()
    assert elsewhere == [Stream.seeded(1)]
    assert stream_of(None, default=2) == Stream.seeded(2)


def test_a_context_ends_with_an_error():
    with pytest.raises(KeyError), draws_for(3, "a"):
        raise KeyError
    assert stream_of(None, default=2) == Stream.seeded(2)
