"""Test every random initializer by a billion values of each; print tables in Markdown.

    python tools/quality/distributions.py                    # all, as docs/quality.md has it
    python tools/quality/distributions.py sparse --count 1e7 # those whose name has this in it
    python tools/quality/distributions.py --peers            # torch, NumPy and JAX instead

What is tested is a tensor's values as `initgen generate` makes them, against the law that the
initializer's documentation states, written down here once more by means of `scipy.stats`.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from counting import TAILS, Count
from scipy import stats

from initlib import initializers
from initlib._dtypes import DTYPES
from initlib._stream import prepare
from initlib.initializers import Target

Array = npt.NDArray[Any]

# Rows and columns of the tensor: 1,024,000,000 values, of fans that no formula confuses.
SHAPE = (25_600, 40_000)
PIECE = 1 << 22
SUSPICIOUS = 1e-3
WIDTHS = ("float64", "float32", "bfloat16", "float16")


def normal(stddev: float, mean: float = 0.0) -> Any:
    return stats.norm(mean, stddev)


def uniform(low: float, high: float) -> Any:
    return stats.uniform(low, high - low)


def even(variance: float) -> Any:
    """Uniform around 0 with this variance."""
    limit = math.sqrt(3 * variance)
    return uniform(-limit, limit)


def between(stddev: float, low: float, high: float, mean: float = 0.0) -> Any:
    """Normal between two numbers."""
    return stats.truncnorm((low - mean) / stddev, (high - mean) / stddev, mean, stddev)


def cut(variance: float) -> Any:
    """Truncated at two stddev, with this variance after the cut."""
    stddev = math.sqrt(variance) / 0.87962566103423978
    return between(stddev, -2 * stddev, 2 * stddev)


@dataclass(frozen=True)
class Case:
    """An initializer as a manifest names it, and what it promises of a tensor of SHAPE.

    Attributes:
        identifier: of the catalogue.
        arguments: its arguments.
        law: of `scipy.stats`.
        dtypes: what it is tried in.
        low_bits: whether the last bits of mantissas are even. They aren't of rounded products:
            times 0.05, some floats are never made, and others twice as often as their neighbours.
    """

    identifier: str
    arguments: dict[str, Any]
    law: Any
    dtypes: tuple[str, ...] = ("float32",)
    low_bits: bool = False

    @property
    def label(self) -> str:
        """The initializer as a manifest writes it."""
        return call(self.identifier, self.arguments)


def call(name: str, arguments: dict[str, Any]) -> str:
    """Return an initializer as a call."""
    given = ", ".join(
        f"{key}={call(value['class_name'], value['config']) if key == 'of' else value}"
        for key, value in arguments.items()
    )
    return f"{name}({given})" if given else name


INPUTS, OUTPUTS = SHAPE
MEAN = (INPUTS + OUTPUTS) / 2
LOG_UNIFORM = {"formula": "exp(x)", "of": {"class_name": "uniform_", "config": {"a": -7, "b": -2}}}
ABSOLUTE = {"formula": "abs(x)", "of": {"class_name": "normal_", "config": {"std": 0.02}}}
CASES = [
    Case("random_normal", {}, normal(0.05), WIDTHS),
    Case("random_normal", {"mean": 0.5, "stddev": 0.25}, normal(0.25, 0.5)),
    Case("truncated_normal", {}, between(0.05, -0.1, 0.1), WIDTHS),
    Case("random_uniform", {}, uniform(-0.05, 0.05), WIDTHS),
    Case("random_uniform", {"minval": 1, "maxval": 3}, uniform(1, 3), ("float32", "bfloat16")),
    Case("variance_scaling", {}, cut(1 / INPUTS)),
    Case(
        "variance_scaling",
        {"scale": 2, "mode": "fan_out", "distribution": "untruncated_normal"},
        normal(math.sqrt(2 / OUTPUTS)),
    ),
    Case(
        "variance_scaling",
        {"scale": 3, "mode": "fan_avg", "distribution": "uniform"},
        even(3 / MEAN),
    ),
    Case("glorot_normal", {}, cut(1 / MEAN)),
    Case("glorot_uniform", {}, even(1 / MEAN), ("float32", "bfloat16")),
    Case("he_normal", {}, cut(2 / INPUTS), ("float32", "bfloat16")),
    Case("he_uniform", {}, even(2 / INPUTS)),
    Case("lecun_normal", {}, cut(1 / INPUTS)),
    Case("lecun_uniform", {}, even(1 / INPUTS)),
    Case("kaiming_normal", {}, normal(math.sqrt(2 / INPUTS))),
    Case("kaiming_uniform", {"a": math.sqrt(5)}, even(1 / 3 / INPUTS)),
    Case("xavier_normal", {}, normal(math.sqrt(1 / MEAN))),
    Case("xavier_uniform", {}, even(1 / MEAN)),
    Case("trunc_normal", {}, between(1, -2, 2)),
    Case("trunc_normal", {"std": 0.02}, normal(0.02)),
    Case("trunc_normal", {"a": -3, "b": 3}, between(1, -3, 3), WIDTHS, low_bits=True),
    Case("trunc_normal", {"a": -1, "b": 0.5}, between(1, -1, 0.5), low_bits=True),
    Case("trunc_normal", {"a": 0, "b": math.inf}, between(1, 0, math.inf), low_bits=True),
    Case("trunc_normal", {"mean": 1, "a": 5, "b": 7}, between(1, 5, 7, 1), ("float32", "float64")),
    Case("trunc_normal", {"a": 30, "b": math.inf}, between(1, 30, math.inf)),
    Case("normal_", {}, normal(1), ("float32", "float64"), low_bits=True),
    Case("uniform_", {}, uniform(0, 1)),
    Case("jax.normal", {}, normal(0.01)),
    Case("jax.uniform", {}, uniform(0, 0.01)),
    Case("jax.truncated_normal", {}, between(0.01, -0.02, 0.02)),
    Case(
        "jax.variance_scaling",
        {"scale": 2, "mode": "fan_geo_avg", "distribution": "normal"},
        normal(math.sqrt(2 / math.sqrt(INPUTS * OUTPUTS))),
    ),
    Case("jax.glorot_normal", {}, cut(1 / MEAN)),
    Case("jax.glorot_uniform", {}, even(1 / MEAN)),
    Case("jax.he_normal", {}, cut(2 / INPUTS)),
    Case("jax.he_uniform", {}, even(2 / INPUTS)),
    Case("jax.lecun_normal", {}, cut(1 / INPUTS)),
    Case("jax.lecun_uniform", {}, even(1 / INPUTS)),
    Case("scaled_normal", {"sigma": 0.02, "num_layers": 12}, normal(0.02 / math.sqrt(24))),
    Case("small_init", {"dim": 1024}, normal(math.sqrt(2 / 5 / 1024))),
    Case("wang_init", {"n_layers": 12, "dim": 1024}, normal(2 / 12 / math.sqrt(1024))),
    Case("mup_input", {"std": 0.02}, normal(0.02)),
    Case("mup_hidden", {"std": 0.02, "width_mult": 4}, normal(0.01)),
    Case("mup_output", {"std": 0.02, "width_mult": 4}, normal(0.005)),
    Case("lora_a", {}, even(1 / 3 / INPUTS)),
    Case("lora_a_gaussian", {"r": 8}, normal(1 / 8)),
    Case("elementwise", LOG_UNIFORM, stats.loguniform(math.exp(-7), math.exp(-2))),
    Case("elementwise", ABSOLUTE, stats.halfnorm(0, 0.02)),
    Case("sparse", {"sparsity": 0.25}, normal(0.01)),
]


def pieces(case: Case, dtype: str, count: int, seed: int) -> Iterator[Array]:
    """Yield the values of a tensor, part by part; each case has a name of its own."""
    config = {"class_name": case.identifier, "config": case.arguments}
    initializer = initializers.get(config)
    name = f"{case.label}, {dtype}"
    stream = initializers.stream_for(initializer, seed, name)
    target = Target(SHAPE, DTYPES[dtype], stream)
    if not initializers.streams(initializer, target):
        yield from matrices(initializer, dtype, count, seed)
        return
    prepare(count)
    out = np.empty(PIECE, DTYPES[dtype])
    for start in range(0, count, PIECE):
        part = out[: min(PIECE, count - start)]
        initializer.fill(part, start, target)
        yield part


def matrices(initializer: Any, dtype: str, count: int, seed: int) -> Iterator[Array]:
    """Yield the values other than 0 of many tensors, of an initializer that makes them whole."""
    shape = (1024, 1024)
    for i in range(-(-count // math.prod(shape))):
        stream = initializers.stream_for(initializer, seed, f"quality.{i}")
        values = initializers.materialize(initializer, Target(shape, DTYPES[dtype], stream))
        zeros = np.count_nonzero(values == 0, axis=0)
        if np.any(zeros != math.ceil(initializer.sparsity * shape[0])):
            raise SystemExit("a column has not as many zeros as it should")
        yield values[values != 0]


@dataclass(frozen=True)
class Result:
    """What is shown of a case."""

    values: str
    dtype: str
    p_values: dict[str, float]
    beyond: list[str]
    extremes: list[str]


def result(label: str, found: Count, *, low_bits: bool = False) -> Result:
    """Return what is shown of counts."""
    found.finish()
    expected = (f"{each:,.1f}" if each < 1e5 else f"{each:,.0f}" for each in found.beyond())
    beyond = [f"{count:,} / {each}" for count, each in zip(found.tails, expected, strict=True)]
    ends = [f"{(each - found.mean) / found.stddev:.4f}" for each in (found.least, found.most)]
    p_values = found.p_values(low_bits=low_bits)
    return Result(f"`{label}`", found.dtype.name, p_values, beyond, ends)


def tested(case: Case, dtype: str, count: int, seed: int) -> Result:
    """Return what so many values of a case say."""
    found = Count(case.law, DTYPES[dtype])
    for part in pieces(case, dtype, count, seed):
        found.add(part)
    return result(case.label, found, low_bits=case.low_bits)


def peers(count: int) -> Iterator[Result]:
    """Yield what so many values of torch, NumPy and JAX say."""
    import jax
    import torch

    torch.manual_seed(0)
    generator = np.random.default_rng(0)
    keys = iter(jax.random.split(jax.random.key(0), count // PIECE + 2))
    out, wide = torch.empty(PIECE), torch.empty(PIECE, dtype=torch.float64)
    standard, truncated = normal(1), between(1, -2, 2)
    makers: dict[str, tuple[Any, Callable[[], Array]]] = {
        "torch.normal_": (standard, lambda: out.normal_().numpy()),
        "torch.normal_ of float64": (standard, lambda: wide.normal_().numpy()),
        "torch.nn.init.trunc_normal_": (
            truncated,
            lambda: torch.nn.init.trunc_normal_(out).numpy(),
        ),
        "numpy standard_normal": (
            standard,
            lambda: generator.standard_normal(PIECE, dtype=np.float32),
        ),
        "jax.random.normal": (standard, lambda: np.array(jax.random.normal(next(keys), PIECE))),
    }
    for name, (law, maker) in makers.items():
        found = Count(law, maker().dtype)
        while found.n < count:
            found.add(maker())
        yield result(name, found, low_bits=law is standard)


def shown(p: float) -> str:
    text = f"{p:.2g}" if p < 0.0995 else f"{p:.2f}"
    return f"**{text}**" if p < SUSPICIOUS else text


def table(header: list[str], rows: list[list[str]]) -> None:
    for row in (header, ["---"] * len(header), *rows):
        print("| " + " | ".join(row) + " |")
    print()


def report(results: list[Result]) -> None:
    """Print the tables of p-values and of tails, and what is suspicious."""
    tests = list(dict.fromkeys(test for each in results for test in each.p_values))
    tests.remove("support")
    table(
        ["values", "dtype", *tests],
        [
            [each.values, each.dtype]
            + [shown(each.p_values[test]) if test in each.p_values else "" for test in tests]
            for each in results
        ],
    )
    table(
        ["values", "dtype", *(f"beyond {end} stddev" for end in TAILS), "least", "largest"],
        [[each.values, each.dtype, *each.beyond, *each.extremes] for each in results],
    )
    print(f"{sum(len(each.p_values) for each in results)} tests; suspicious:")
    for each in results:
        for test, p in each.p_values.items():
            if p < SUSPICIOUS:
                print(f"- {each.values}, {each.dtype}: {test}, p = {p:.2g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="?", default="", help="part of the names to try")
    parser.add_argument("--count", type=float, default=math.prod(SHAPE))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peers", action="store_true", help="try torch, NumPy and JAX")
    arguments = parser.parse_args()
    count, begin = min(int(arguments.count), math.prod(SHAPE)), time.perf_counter()
    results = list(peers(count)) if arguments.peers else []
    for case in [] if arguments.peers else CASES:
        for dtype in case.dtypes if arguments.part in case.label else ():
            results.append(tested(case, dtype, count, arguments.seed))
            print(f"{time.perf_counter() - begin:.0f} s: {case.label}, {dtype}", file=sys.stderr)
    report(results)
    print(f"\n{count:,} values of each in {time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
