"""kernels.py MIB REPEATS: time the makers of random arrays in one thread; print JSON.

All fill an array of the same size in place, except JAX, which makes a new one each time. One sample
is the time of a call, from as many calls as take a twentieth of a second.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
import torch
from numba import njit, uint32, uint64

from initlib import _stream
from initlib._dtypes import DTYPES
from initlib._stream._kernels import _philox

STDDEV = 0.05
TRUNCATED_STDDEV = 0.87962566103423978 * STDDEV  # of what the cut at two stddev leaves
LEAST = 0.05  # seconds that a sample takes

Maker = Callable[[], Any]


def makers(count: int) -> dict[tuple[str, str, str], Maker]:
    """Return what fills `count` values, by distribution, dtype and library."""
    found: dict[tuple[str, str, str], Maker] = {}
    stream = _stream.Stream.named(42, "benchmark")
    laws: dict[str, _stream.Distribution] = {
        "normal": _stream.Normal(0.0, STDDEV),
        "uniform": _stream.Uniform(-STDDEV, STDDEV),
        "truncated": _stream.TruncatedNormal(0.0, STDDEV),
    }
    # One array of the widest dtype serves all dtypes.
    room = np.zeros(count * 8, np.uint8)
    for name, law in laws.items():
        for dtype in ("float32", "bfloat16", "float16", "float64"):
            out = room[: count * DTYPES[dtype].itemsize].view(DTYPES[dtype])
            found[name, dtype, "initgen"] = partial(_ours, law, out, stream)
    words = np.zeros(count, np.uint32)
    found["words alone", "uint32", "initgen"] = lambda: _words(words)
    return {**found, **_torch(count), **_numpy(count), **_jax(count)}


def _ours(law: _stream.Distribution, out: np.ndarray[Any, Any], stream: _stream.Stream) -> Any:
    law.fill(out, 0, stream)
    return out


@njit(error_model="numpy")
def _words(out: np.ndarray[Any, Any]) -> Any:
    """What any distribution starts from."""
    for i in range(out.shape[0] // 4):
        a, b, c, d = _philox(uint64(i), uint32(1), uint32(2), uint32(3), uint32(4))
        out[4 * i], out[4 * i + 1], out[4 * i + 2], out[4 * i + 3] = a, b, c, d
    return out


def _torch(count: int) -> dict[tuple[str, str, str], Maker]:
    torch.set_num_threads(1)
    out = torch.zeros(count)
    ends = {"a": -2 * STDDEV, "b": 2 * STDDEV}
    return {
        ("normal", "float32", "torch `normal_`"): lambda: out.normal_(0, STDDEV),
        ("uniform", "float32", "torch `uniform_`"): lambda: out.uniform_(-STDDEV, STDDEV),
        ("truncated", "float32", "torch `trunc_normal_`"): lambda: torch.nn.init.trunc_normal_(
            out, std=STDDEV, **ends
        ),
    }


def _numpy(count: int) -> dict[tuple[str, str, str], Maker]:
    """NumPy has only the standard distributions in place; scaling them would come on top."""
    generator = np.random.default_rng(42)
    out = np.zeros(count, np.float32)
    return {
        ("normal", "float32", "NumPy `standard_normal`"): lambda: generator.standard_normal(
            dtype=np.float32, out=out
        ),
        ("uniform", "float32", "NumPy `random`"): lambda: generator.random(
            dtype=np.float32, out=out
        ),
    }


def _jax(count: int) -> dict[tuple[str, str, str], Maker]:
    key = jax.random.key(42)
    normal = jax.jit(lambda key: STDDEV * jax.random.normal(key, (count,)))
    truncated = jax.jit(lambda key: STDDEV * jax.random.truncated_normal(key, -2, 2, (count,)))
    return {
        ("normal", "float32", "JAX `normal`"): lambda: normal(key).block_until_ready(),
        ("truncated", "float32", "JAX `truncated_normal`"): lambda: truncated(
            key
        ).block_until_ready(),
    }


def check(name: str, by: str, values: Any) -> None:
    """Stop unless the values have the right standard deviation."""
    array = np.asarray(values, np.float64)
    of_unit = math.sqrt(1 / 12)  # the standard deviation of a uniform on [0, 1)
    if by.startswith("NumPy"):
        expected = {"normal": 1.0, "uniform": of_unit}[name]
    else:
        expected = {
            "normal": STDDEV,
            "uniform": 2 * STDDEV * of_unit,
            "truncated": TRUNCATED_STDDEV,
            "words alone": 2**32 * of_unit,
        }[name]
    # Five times the sampling error for a normal, which has the largest of the three.
    if abs(array.std() / expected - 1) > 5 / math.sqrt(2 * array.size):
        raise SystemExit(f"{by}: stddev of {name} is {array.std()}, not {expected}")


def sample(maker: Maker) -> float:
    """Return the seconds that a call takes, after one that isn't counted.

    That one brings the array back into memory, if the system used it otherwise meanwhile.
    """
    maker()
    begin, calls = time.perf_counter(), 0
    while (passed := time.perf_counter() - begin) < LEAST:
        maker()
        calls += 1
    return passed / calls


def main() -> None:
    mib, repeats = map(int, sys.argv[1:])
    count = mib * 2**20 // 4
    # Before any library makes its threads: with one core for the process, all are alike.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    _stream.prepare(1 << 30)
    timed = makers(count)
    for (name, _, by), maker in timed.items():
        # This first call also compiles what is to be compiled.
        check(name, by, maker())
    samples: dict[tuple[str, str, str], list[float]] = {key: [] for key in timed}
    for _ in range(repeats):
        for key, maker in timed.items():
            samples[key].append(count / sample(maker) / 1e6)
    json.dump([[*key, values] for key, values in samples.items()], sys.stdout)


main()
