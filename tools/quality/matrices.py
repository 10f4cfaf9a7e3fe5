"""Test initializers whose elements depend on each other: orthogonal, sparse, parts; print a table.

    python tools/quality/matrices.py

An orthogonal matrix must be distributed evenly over all of them (Haar's measure). Its elements
aren't independent, so each test takes one number, or one position, of each of many small matrices.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from counting import PValues, chi_square, of_count, two_sided
from independence import of_lags, of_largest
from scipy import special, stats

from initlib import initializers
from initlib.initializers import Target

Array = npt.NDArray[Any]

BINS = 50


def made(initializer: Any, shape: tuple[int, ...], count: int, seed: int = 0) -> Array:
    """Return so many tensors of sequential names, of float64."""
    out = np.empty((count, *shape))
    for i in range(count):
        stream = initializers.stream_for(initializer, seed, f"layers.{i}.w")
        out[i] = initializers.materialize(initializer, Target(shape, out.dtype, stream))
    return out


def of_positions(matrices: Array) -> PValues:
    """Test the distribution of each position's element, and the correlations of any two.

    A column of a matrix of n rows (of a row of as many, if it is wide) is even on a sphere: (1 + x)
    / 2 has a beta distribution.
    """
    count, *shape = matrices.shape
    n = max(shape)
    elements = matrices.reshape(count, -1)
    law = stats.beta((n - 1) / 2, (n - 1) / 2, -1, 2)
    least = min(stats.kstest(column, law.cdf, method="asymp").pvalue for column in elements.T)
    z = elements * math.sqrt(n)
    r = (z.T @ z / count)[np.triu_indices(z.shape[1], 1)]
    # The product of two elements: of one row or column a little less than of others.
    squares = z**2
    spread = (squares.T @ squares / count)[np.triu_indices(z.shape[1], 1)]
    scores = r / np.sqrt(spread / count)
    most = float(two_sided(np.abs(scores).max()))
    return {
        "elements, least of all positions": of_largest(float(least), z.shape[1]),
        "products of two elements, largest": of_largest(most, r.size),
    }


def of_traces(matrices: Array) -> PValues:
    """Test the traces of powers: of Q^k the mean is 1 for even k, else 0, the variance k.

    That holds exactly for 2 k up to the size (Diaconis & Evans 2001).
    """
    found, power = {}, np.broadcast_to(np.eye(matrices.shape[1]), matrices.shape)
    for k in range(1, matrices.shape[1] // 2 + 1):
        power = power @ matrices
        traces = np.trace(power, axis1=1, axis2=2) - (k % 2 == 0)
        z = traces.mean() / math.sqrt(k / len(matrices))
        found[f"mean trace of Q^{k}"] = float(two_sided(z))
        # The fourth moment is that of a normal variable, or nearly.
        z = (np.mean(traces**2) - k) / (k * math.sqrt(2 / len(matrices)))
        found[f"variance of the trace of Q^{k}"] = float(two_sided(z))
    return found


def of_angles(matrices: Array) -> PValues:
    """Test the signs of determinants, and of each matrix one of its eigenvalues' angles.

    With a determinant of 1 there are n / 2 angles between 0 and pi; with -1 one pair is 1 and -1,
    and one angle less. Their density is known (Weyl's integration formula).
    """
    half = matrices.shape[1] // 2
    positive = np.linalg.det(matrices) > 0
    found = {"determinants above 0": of_count(int(positive.sum()), len(matrices), 0.5)}
    choose = np.random.default_rng(0)
    t = np.linspace(0, np.pi, 20_001)
    wave = sum(np.sin(2 * k * t) / k for k in range(1, half))
    for sign, many in (1, half), (-1, half - 1):
        part = matrices[positive == (sign > 0)]
        angles = np.sort(np.abs(np.angle(np.linalg.eigvals(part))), axis=1)
        # Each angle twice; and the pair 1, -1 at the ends.
        angles = angles[:, ::2] if sign > 0 else angles[:, 1:-1:2]
        chosen = angles[np.arange(len(part)), choose.integers(many, size=len(part))]
        until = ((2 * half - 1) * t / 2 + sign * (t + wave) / 2) / np.pi / many
        counts = np.histogram(np.interp(chosen, t, until), BINS, (0, 1))[0]
        name = f"angle of an eigenvalue, determinant {sign}"
        found[name] = chi_square(counts, np.full(BINS, 1 / BINS))
    return found


def of_zeros(matrices: Array, sparsity: float) -> PValues:
    """Test that each row has its share of the zeros, and neighbouring rows nothing in common."""
    zero = np.swapaxes(matrices, 1, 2).reshape(-1, matrices.shape[1]) == 0
    columns, rows = zero.shape
    share = math.ceil(sparsity * rows) / rows
    # Drawn without replacement: a little less spread than independent ones.
    variance = columns * share * (1 - share) * rows / (rows - 1)
    statistic = np.sum((zero.sum(axis=0) - columns * share) ** 2) / variance
    both = share * (share * rows - 1) / (rows - 1)
    pairs = (zero[:, 0::2] & zero[:, 1::2]).sum(axis=0)
    least = min(of_count(int(each), columns, both) for each in pairs)
    return {
        "zeros of each row": float(special.chdtrc(rows - 1, statistic)),
        "zeros of two rows at once, least": of_largest(least, pairs.size),
    }


def of_parts(side: int, lags: int) -> PValues:
    """Test that the parts of a `Concatenate` are independent."""
    parts = initializers.Concatenate([side, side], ["normal_", "normal_"])
    (values,) = made(parts, (2 * side, side), 1)
    first, second = values.reshape(2, -1)
    together = (first @ second) / math.sqrt(first.size)
    found = of_lags(first, second, lags)
    return {"at one place": float(two_sided(together)), **found}


def tests(count: int) -> Iterator[tuple[str, PValues]]:
    """Yield what is tested and the p-values, from so many matrices."""
    orthogonal = initializers.Orthogonal()
    square = made(orthogonal, (8, 8), count)
    yield "orthogonal, 8 x 8", of_positions(square) | of_traces(square) | of_angles(square)
    # Made in pieces, by way of the Gram matrix.
    yield "orthogonal, 32 x 8", of_positions(made(orthogonal, (32, 8), count, 1))
    yield "orthogonal, 4 x 16", of_positions(made(orthogonal, (4, 16), count, 2))
    jax = initializers.get({"class_name": "jax.orthogonal", "config": {}})
    yield "jax.orthogonal, 8 x 8", of_traces(made(jax, (8, 8), count, 3))
    delta = initializers.get("delta_orthogonal")
    yield "delta_orthogonal, 1 x 8 x 8", of_traces(made(delta, (1, 8, 8), count, 4)[:, 0])
    sparse = initializers.Sparse(0.25)
    yield "sparse(sparsity=0.25), 64 x 64", of_zeros(made(sparse, (64, 64), count // 10, 5), 0.25)
    yield "concatenate, parts", of_parts(1 << 10, 1 << 10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000, help="matrices of each")
    begin = time.perf_counter()
    print("| matrices | test | p |\n| --- | --- | --- |")
    for what, found in tests(parser.parse_args().count):
        for name, p in found.items():
            text = f"{p:.2g}" if p < 0.0995 else f"{p:.2f}"
            print(f"| {what} | {name} | {f'**{text}**' if p < 1e-3 else text} |", flush=True)
    print(f"\n{time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
