"""The kernels equal the reference bit for bit, for any transform, dtype, start and length."""

import math

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from initlib._dtypes import FLOATS
from initlib._errors import RequestError
from initlib._stream import Normal, Stream, Truncated, TruncatedNormal, Uniform, _engine

PARAMETERS = st.floats(-100, 100), st.floats(0, 30)
DISTRIBUTIONS = {
    "normal": st.builds(Normal, *PARAMETERS),
    "truncated": st.builds(TruncatedNormal, st.just(0.0), st.floats(2.0**-6, 100)),
    "uniform": st.builds(lambda a, d: Uniform(-a, d), *[st.floats(2.0**-6, 100)] * 2),
    # From a bound up to 400 stddev out to one that may be anywhere; on either side, or both.
    "inverse": st.builds(
        lambda low, width, sign: Truncated(0.0, 0.25, *sorted((sign * low, sign * (low + width)))),
        st.one_of(st.sampled_from([-1.0, 0.0, 1.0, 28.0]), st.floats(-2, 100)),
        st.one_of(st.just(math.inf), st.floats(4, 100)),
        st.sampled_from([-1, 1]),
    ),
}
STARTS = st.one_of(st.integers(0, 9), st.integers(2**34 - 9, 2**34 + 9), st.integers(0, 2**63))
STREAMS = st.builds(Stream.named, st.integers(0, 2**64 - 1), st.text("abc/", max_size=4))


def test_there_are_kernels(monkeypatch):
    """Or else the reference would be held against itself."""
    monkeypatch.setattr(_engine._kernels, "job", 1 << 60)
    for transform in DISTRIBUTIONS:
        for dtype in FLOATS:
            assert _engine._kernels.get(_engine.kernel(transform, dtype)) is not None


def assume_values(distribution, dtype):
    """Leave out bounds between two neighbours of a narrow dtype, which are refused."""
    try:
        distribution.check(FLOATS[dtype])
    except RequestError as error:
        refusal = str(error)
    else:
        return
    assert refusal == f"no {dtype} value lies inside {distribution}"
    reject()


def filled(by, distribution, dtype, start, count, stream):
    out = np.empty(count, FLOATS[dtype])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_engine._kernels, "job", 1 << 60 if by == "kernels" else 0)
        distribution.fill(out, start, stream)
    return out


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("transform", DISTRIBUTIONS)
def test_kernel_equals_reference(transform, dtype):
    @settings(max_examples=60)
    @given(DISTRIBUTIONS[transform], STARTS, st.integers(0, 200), STREAMS)
    def check(distribution, start, count, stream):
        assume_values(distribution, dtype)
        by_kernel = filled("kernels", distribution, dtype, start, count, stream)
        by_reference = filled("reference", distribution, dtype, start, count, stream)
        assert by_kernel.tobytes() == by_reference.tobytes()

    check()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("transform", DISTRIBUTIONS)
def test_long_runs_are_equal(transform, dtype):
    distribution = Uniform(-1.0, 3.0) if transform == "uniform" else TruncatedNormal(0.0, 0.02)
    if transform == "normal":
        distribution = Normal(0.0, 1e-3)
    if transform == "inverse":
        distribution = Truncated(0.0, 1.0, -1.0, 3.0)
    stream = Stream.named(1, transform)
    by_kernel = filled("kernels", distribution, dtype, 3, 300_001, stream)
    by_reference = filled("reference", distribution, dtype, 3, 300_001, stream)
    assert by_kernel.tobytes() == by_reference.tobytes()


@settings(max_examples=200)
@given(
    distribution=st.one_of(*DISTRIBUTIONS.values()),
    dtype=st.sampled_from([*FLOATS]),
    start=STARTS,
    lengths=st.lists(st.integers(0, 12), max_size=6),
)
def test_pieces_make_the_whole(distribution, dtype, start, lengths):
    assume_values(distribution, dtype)
    stream = Stream.seeded(3)
    whole = filled("reference", distribution, dtype, start, sum(lengths), stream)
    pieces = []
    for length in lengths:
        pieces.append(filled("reference", distribution, dtype, start, length, stream))
        start += length
    assert b"".join(piece.tobytes() for piece in pieces) == whole.tobytes()


@settings(max_examples=80)
@given(
    distribution=st.one_of(*DISTRIBUTIONS.values()),
    dtype=st.sampled_from([*FLOATS]),
    by=st.sampled_from(["kernels", "reference"]),
    start=st.one_of(st.integers(10**4, 10**4 + 9), st.integers(2**34, 2**34 + 9)),
    stride=st.integers(-60, 60),
    shape=st.tuples(st.integers(1, 15), st.integers(1, 50)),
    short=st.sampled_from([0, 4]),
    piece=st.sampled_from([16, 1 << 16]),
)
def test_rows_are_runs(distribution, dtype, by, start, stride, shape, short, piece):
    assume_values(distribution, dtype)
    stream = Stream.seeded(3)
    out = np.empty(shape, FLOATS[dtype])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_engine._kernels, "job", 1 << 60 if by == "kernels" else 0)
        patch.setattr(_engine, "SHORT", short)
        patch.setattr(_engine, "PIECE", piece)
        distribution.fill_rows(out, start, stride, stream)
    for i, row in enumerate(out):
        expected = filled("reference", distribution, dtype, start + i * stride, row.size, stream)
        assert row.tobytes() == expected.tobytes()
