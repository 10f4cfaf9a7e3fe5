"""Streams of bits that batteries of tests read: the words of many tensors, put together.

    python tools/quality/streams.py names-interleaved | RNG_test stdin32 -multithreaded

Batteries find faults inside one long sequence. What they read here is woven of the streams of many
tensors, whose names or seeds are as alike as in a model: a likeness of two streams would show as a
pattern. A stream never ends; the reader closes the pipe.

Of words (`names`, `seeds`, ...) all 32 bits of every draw are written. Weights (`uniform-weights`,
...) are made by the library, and turned back by their distribution function into as many bits as
their dtype leaves even: 24 of a float32 uniform, whose values are a grid; 16 of a float32 normal or
truncated normal; 32 of a float64 one.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, uint32, uint64
from scipy.special import ndtr

from initlib import initializers
from initlib._stream import Stream, prepare
from initlib._stream._kernels import _philox
from initlib.initializers import Initializer, Target

Words = npt.NDArray[np.uint32]
Values = npt.NDArray[Any]
Member = Callable[[int], Stream]

# Tensors that are made at once, and elements of each.
TENSORS, ELEMENTS = 1024, 4096
FEW = 64
# Bytes that are written at once.
PIECE = 1 << 16
# Seeds that have nothing to do with each other, save what is done to them.
GOLDEN = 0x9E3779B97F4A7C15


@njit(error_model="numpy")
def _blocks(out: Any, ids: Any, index: Any) -> None:
    """Fill each row with the words of blocks of a stream, from block index[row] on."""
    for t in range(out.shape[0]):
        k0, k1, c2, c3 = ids[t]
        for i in range(out.shape[1] // 4):
            a, b, c, d = _philox(
                index[t] + uint64(i), uint32(c2), uint32(c3), uint32(k0), uint32(k1)
            )
            out[t, 4 * i], out[t, 4 * i + 1] = a, b
            out[t, 4 * i + 2], out[t, 4 * i + 3] = c, d


def ids_of(streams: list[Stream]) -> Words:
    """Return a row for each stream: its key and the upper half of its counter."""
    return np.array([[*each.key, *each.high] for each in streams], np.uint32)


def words_at(ids: Words, index: npt.NDArray[np.uint64], count: int) -> Words:
    """Return `count` words of each stream, a multiple of 4, from block index[row] on."""
    out = np.empty((len(ids), count), np.uint32)
    _blocks(out, ids, index)
    return out


def words(streams: list[Stream], count: int, first: int = 0) -> Words:
    """Return `count` words of each stream, from block `first` on."""
    return words_at(ids_of(streams), np.full(len(streams), first, np.uint64), count)


def named(i: int, seed: int = 0) -> Stream:
    """Sequential names."""
    return Stream.named(seed, f"layers.{i}.w")


def sown(i: int, seed: int = 0) -> Stream:
    """Sequential seeds."""
    return Stream.named(seed + i, "dense/kernel")


def flipped(i: int, seed: int = 0) -> Stream:
    """A seed, and the 64 that differ from it in one bit."""
    base, bit = divmod(i, 65)
    number = (base + 1 + seed) * GOLDEN % 2**64
    return Stream.named(number ^ (1 << bit - 1) if bit else number, "dense/kernel")


def seeded(i: int, seed: int = 0) -> Stream:
    """Sequential seeds of initializers."""
    return Stream.seeded(seed + i)


def drawn(i: int, seed: int = 0) -> Stream:
    """Draws of one `SeedGenerator`."""
    return Stream.seeded(seed, i)


def crossed(i: int, seed: int = 0) -> Stream:
    """Sequential seeds and names: 32 tensors of each model."""
    return Stream.named(seed + i // 32, f"layers.{i % 32}.w")


def groups(member: Member, tensors: int) -> Iterator[list[Stream]]:
    """Yield the streams of tensors in groups."""
    for first in itertools.count(0, tensors):
        yield [member(i) for i in range(first, first + tensors)]


def one_after_the_other(
    member: Member, tensors: int = TENSORS, count: int = ELEMENTS
) -> Iterator[Values]:
    """Yield all words of a tensor, then all of the next."""
    for streams in groups(member, tensors):
        yield words(streams, count)


def element_by_element(
    member: Member, tensors: int = TENSORS, count: int = ELEMENTS
) -> Iterator[Values]:
    """Yield the first word of every tensor, then the second of every tensor."""
    for streams in groups(member, tensors):
        yield words(streams, count).T


def rows(stream: Stream, columns: int = 1 << 22) -> Iterator[Values]:
    """Yield one tensor's words."""
    for i in itertools.count():
        yield words([stream], columns, i * columns // 4)


def columns(stream: Stream) -> Iterator[Values]:
    """Yield one tensor's words column by column, as matrices of 1024 x 4096."""
    for matrix in rows(stream, TENSORS * ELEMENTS):
        yield matrix.reshape(TENSORS, ELEMENTS).T


def uniform_bits(values: Values) -> Values:
    """Return the 24 bits of float32 values on the grid of [-1/2, 1/2), as bytes."""
    grid = np.round((values.astype(np.float64) + 0.5) * 2**24).astype("<u4")
    return grid.view(np.uint8).reshape(-1, 4)[:, :3]


def normal_bits(values: Values, bits: int) -> Values:
    """Return so many upper bits of the standard normal distribution function."""
    return _upper(ndtr(values.astype(np.float64)), bits)


def truncated_bits(values: Values, bits: int) -> Values:
    """Return so many upper bits of the distribution function of a normal cut at two stddev."""
    below, above = ndtr(-2.0), ndtr(2.0)
    return _upper((ndtr(values.astype(np.float64)) - below) / (above - below), bits)


def _upper(shares: Values, bits: int) -> Values:
    return np.minimum(shares * 2**bits, 2**bits - 1).astype(f"<u{bits // 8}")


def weights(
    initializer: Initializer, dtype: str, seed: int = 0, to_bits: Any = uniform_bits
) -> Iterator[Values]:
    """Yield the bits of one tensor of 4096 weights after the other, with sequential names."""
    prepare(1 << 40)
    for i in itertools.count(0, FEW):
        values = np.empty((FEW, ELEMENTS), dtype)
        for row, out in enumerate(values):
            stream = initializers.stream_for(initializer, seed, f"layers.{i + row}.w")
            target = Target((ELEMENTS,), values.dtype, stream)
            initializer.fill(out, 0, target)  # type: ignore[attr-defined]
        yield to_bits(values.reshape(-1))


def cut(dtype: str, bits: int, seed: int) -> Iterator[Values]:
    """Yield the upper bits of truncated normals."""
    initializer = initializers.TruncatedNormal(0.0, 1.0)
    return weights(initializer, dtype, seed, partial(truncated_bits, bits=bits))


def bell(dtype: str, bits: int, seed: int) -> Iterator[Values]:
    """Yield the upper bits of normals."""
    initializer = initializers.RandomNormal(0.0, 1.0)
    return weights(initializer, dtype, seed, partial(normal_bits, bits=bits))


def even(seed: int) -> Iterator[Values]:
    """Yield the bits of uniforms."""
    return weights(initializers.RandomUniform(-0.5, 0.5), "float32", seed, uniform_bits)


FIRST = {"tensors": 1 << 12, "count": 4}
# From a name, and a seed for others of the same kind, to an endless stream.
STREAMS: dict[str, Callable[[int], Iterator[Values]]] = {
    "one": lambda seed: rows(named(0, seed)),
    "columns": lambda seed: columns(named(0, seed)),
    "names": lambda seed: one_after_the_other(partial(named, seed=seed)),
    "names-interleaved": lambda seed: element_by_element(partial(named, seed=seed)),
    "names-first-words": lambda seed: one_after_the_other(partial(named, seed=seed), **FIRST),
    "seeds": lambda seed: one_after_the_other(partial(sown, seed=seed)),
    "seeds-interleaved": lambda seed: element_by_element(partial(sown, seed=seed)),
    "seeds-first-words": lambda seed: one_after_the_other(partial(sown, seed=seed), **FIRST),
    "seeds-one-bit": lambda seed: element_by_element(partial(flipped, seed=seed), 65 * 16),
    "seeds-and-names": lambda seed: element_by_element(partial(crossed, seed=seed)),
    "initializer-seeds": lambda seed: element_by_element(partial(seeded, seed=seed)),
    "generator-draws": lambda seed: element_by_element(partial(drawn, seed=seed)),
    "uniform-weights": even,
    "normal-weights": partial(bell, "float32", 16),
    "normal64-weights": partial(bell, "float64", 32),
    "truncated-weights": partial(cut, "float32", 16),
    "truncated64-weights": partial(cut, "float64", 32),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=STREAMS)
    parser.add_argument("--seed", type=int, default=0, help="another stream of the kind")
    arguments = parser.parse_args()
    written = 0
    try:
        for values in STREAMS[arguments.name](arguments.seed):
            # A few kilobytes at a time, so that what is counted is what was read.
            data = memoryview(np.ascontiguousarray(values).reshape(-1).view(np.uint8))
            for i in range(0, len(data), PIECE):
                written += sys.stdout.buffer.write(data[i : i + PIECE])
    except BrokenPipeError:
        print(f"bytes: {written}", file=sys.stderr)
        # Nothing is left to be flushed on the way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
