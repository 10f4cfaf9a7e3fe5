"""Test that tensors, and the elements of one, know nothing of each other; print a table.

    python tools/quality/independence.py

Every test returns p-values. Of many likenesses the largest is judged by the distribution that the
largest of as many has, and their sum of squares by its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from counting import PValues, chi_square, two_sided
from scipy import special, stats
from streams import (
    GOLDEN,
    Stream,
    Words,
    crossed,
    drawn,
    flipped,
    ids_of,
    named,
    seeded,
    sown,
    words,
    words_at,
)

from initlib._stream import Normal, prepare

Array = npt.NDArray[Any]

FAMILIES: dict[str, Callable[[int], Stream]] = {
    "names `layers.i.w`": named,
    "seeds 0, 1, 2, ...": sown,
    "seeds of one bit's difference": flipped,
    "initializers' seeds": seeded,
    "a generator's draws": drawn,
    "names and seeds": crossed,
}
STANDARD = Normal(0.0, 1.0)
# Elements of a row that are multiplied at once.
PIECE = 1 << 12
# Gamma distribution that is as good as Tracy and Widom's of order 1 (Chiani, "Distribution of the
# largest eigenvalue for real Wishart and Gaussian random matrices and a simple approximation for
# the Tracy-Widom distribution", Journal of Multivariate Analysis 2014).
TRACY_WIDOM = stats.gamma(46.446, -9.84801, 0.186054)


def normals(streams: list[Stream], count: int, start: int = 0) -> Array:
    """Return standard normals of each stream: a row of float32 for each."""
    out = np.empty((len(streams), count), np.float32)
    prepare(out.size)
    for row, stream in zip(out, streams, strict=True):
        STANDARD.fill(row, start, stream)
    return out


def of_largest(largest: float, tests: int) -> float:
    """Return the p-value of the least of so many independent p-values."""
    return float(-np.expm1(tests * np.log1p(-largest)))


def both_ends(below: float, above: float) -> float:
    return min(1.0, 2 * float(min(below, above)))


def of_scores(scores: Array) -> PValues:
    """Return the p-values of the largest of independent normal scores and of the sum of squares."""
    squares = float(np.sum(np.square(scores)))
    chi2 = stats.chi2(scores.size)
    return {
        "largest": of_largest(float(two_sided(np.abs(scores).max())), scores.size),
        "all": both_ends(chi2.cdf(squares), chi2.sf(squares)),
    }


def gram(rows: Array) -> Array:
    """Return the sums of products of any two rows."""
    total = np.zeros((len(rows), len(rows)))
    for i in range(0, rows.shape[1], PIECE):
        piece = np.ascontiguousarray(rows[:, i : i + PIECE])
        total += piece @ piece.T
    return total


def of_pairs(products: Array, n: int) -> PValues:
    """Test the correlations of any two rows of n values whose mean is known to be 0.

    For normal values (n - 1) ^ 1/2 r / (1 - r^2) ^ 1/2 has Student's distribution, and r^2 a beta
    distribution.
    """
    length = np.sqrt(np.diag(products))
    r = (products / np.outer(length, length))[np.triu_indices(len(length), 1)]
    most = float(np.abs(r).max())
    p = 2 * float(stats.t.sf(most * math.sqrt((n - 1) / (1 - most**2)), n - 1))
    variance = 2 * (n - 1) / (n**2 * (n + 2))
    z = (np.sum(r**2) - r.size / n) / math.sqrt(r.size * variance)
    return {"largest": of_largest(p, r.size), "all": float(two_sided(z))}


def of_eigenvalues(products: Array, n: int) -> PValues:
    """Test the eigenvalues of a matrix that is Wishart's, of n normal values a row.

    The largest and the least against Tracy and Widom's law (Johnstone 2001; Ma 2012); the logarithm
    of the determinant is a sum of those of chi-square variables.
    """
    m = len(products)
    values = np.linalg.eigvalsh(products)
    a, b = math.sqrt(n - 0.5), math.sqrt(m - 0.5)
    largest = (values[-1] - (a + b) ** 2) / ((a + b) * (1 / a + 1 / b) ** (1 / 3))
    center, scale = (a - b) ** 2, (a - b) * (1 / b - 1 / a) ** (1 / 3)
    scale /= center
    least = -(math.log(values[0]) - math.log(center) - scale**2 / 8) / scale
    halves = (n - np.arange(m)) / 2
    mean = float(np.sum(special.digamma(halves))) + m * math.log(2)
    z = (np.sum(np.log(values)) - mean) / math.sqrt(np.sum(special.polygamma(1, halves)))
    return {
        "largest eigenvalue": both_ends(TRACY_WIDOM.cdf(largest), TRACY_WIDOM.sf(largest)),
        "least eigenvalue": both_ends(TRACY_WIDOM.cdf(least), TRACY_WIDOM.sf(least)),
        "determinant": float(two_sided(z)),
    }


def marchenko_pastur(products: Array, n: int) -> float:
    """Return the largest distance of the eigenvalues' distribution from Marchenko and Pastur's."""
    values = np.linalg.eigvalsh(products) / n
    ratio = len(values) / n
    low, high = (1 - math.sqrt(ratio)) ** 2, (1 + math.sqrt(ratio)) ** 2
    # With x = middle - half cos t the density has no more corners.
    t = np.linspace(0, np.pi, 200_001)
    x = (low + high) / 2 - (high - low) / 2 * np.cos(t)
    density = ((high - low) / 2 * np.sin(t)) ** 2 / (2 * np.pi * ratio * x)
    until = np.concatenate(([0], np.cumsum((density[1:] + density[:-1]) / 2))) * (t[1] - t[0])
    expected = np.interp(values, x, until)
    steps = np.arange(len(values) + 1) / len(values)
    return float(max(np.abs(steps[1:] - expected).max(), np.abs(steps[:-1] - expected).max()))


def of_lags(x: Array, y: Array, lags: int) -> PValues:
    """Test the mean products of x[i] and y[i + lag], lags 1 .. `lags`, of variance 1 each."""
    n = x.size
    size = 1 << (n + lags - 1).bit_length()
    product = np.fft.irfft(np.conj(np.fft.rfft(x, size)) * np.fft.rfft(y, size), size)
    lag = np.arange(1, lags + 1)
    return of_scores(product[lag] / np.sqrt(n - lag))


def of_tuples(*parts: Words, bits: int, low: bool = False) -> float:
    """Test how often each combination occurs of the upper (or `low`) bits of words of one index."""
    cells = np.zeros(parts[0].size, np.int64)
    for part in parts:
        taken = part & np.uint32((1 << bits) - 1) if low else part >> np.uint32(32 - bits)
        cells = cells << bits | taken.reshape(-1)
    counts = np.bincount(cells, minlength=1 << bits * len(parts))
    return chi_square(counts, np.full(counts.size, 1 / counts.size))


def of_spectrum(field: Array) -> PValues:
    """Test the powers of a field's frequencies, in all its dimensions.

    Of normal values they are independent exponential variables, save those at the edges and the
    mirrored half, which are left out.
    """
    power = np.abs(np.fft.rfftn(field)[..., 1:-1].reshape(-1)) ** 2 / field.size
    return {
        "largest": of_largest(math.exp(-power.max()), power.size),
        "all": float(stats.kstest(power, "expon", method="asymp").pvalue),
    }


def of_flips(base: Words, others: Iterator[Words]) -> PValues:
    """Test that half the rows change in any bit of a result, whichever bit of the input does.

    Args:
        base: results, a row for each input.
        others: results for inputs of which one bit is turned; for each bit one array.
    """
    counts = [
        np.unpackbits((base ^ other).view(np.uint8), axis=1).sum(axis=0, dtype=np.int64)
        for other in others
    ]
    return of_scores((np.array(counts) - len(base) / 2) / math.sqrt(len(base) / 4))


def turned_ids(ids: Words, index: Array) -> Iterator[Words]:
    """Yield the first words with each bit of key and counter turned, one after the other."""
    for bit in range(128):
        other = ids.copy()
        other[:, bit // 32] ^= np.uint32(1 << bit % 32)
        yield words_at(other, index, 4)
    for bit in range(64):
        yield words_at(ids, index ^ np.uint64(1 << bit), 4)


def ids_of_seeds(count: int, turned: int = 0) -> Words:
    """Return the ids of seeds far apart, so that none is another's neighbour, with bits turned."""
    seeds = (i * GOLDEN % 2**64 for i in range(count))
    return ids_of([Stream.named(seed ^ turned, "w") for seed in seeds])


def between(member: Callable[[int], Stream], rows: int, columns: int) -> PValues:
    """Test the correlations between any two streams of a family."""
    streams = [member(i) for i in range(rows)]
    return of_matrix(normals(streams, columns)) | {
        f"last bits, {name}": p
        for name, p in of_pairs(gram(signs(words(streams, columns))), columns).items()
    }


def of_matrix(values: Array) -> PValues:
    """Test the correlations between any two rows of normals, of their sizes and signs."""
    n = values.shape[1]
    products = gram(values)
    found = of_pairs(products, n) | of_eigenvalues(products, n)
    for what, rows in ("sizes", sizes(values)), ("signs", np.sign(values)):
        found |= {f"{what}, {name}": p for name, p in of_pairs(gram(rows), n).items()}
    return found


def sizes(values: Array) -> Array:
    """Return the absolute values of normals, made normal: their squares are far too skewed."""
    out = np.empty_like(values)
    for row, wanted in zip(values, out, strict=True):
        wanted[:] = special.ndtri(special.erf(np.abs(row.astype(np.float64)) / math.sqrt(2)))
    return out


def signs(bits: Words) -> Array:
    """Return the last bits of words as -1 and 1."""
    return (bits & np.uint32(1)).astype(np.float32) * 2 - 1


def tuples(members: dict[str, tuple[Words, ...]]) -> PValues:
    """Test pairs and triples of words, by name."""
    found = {}
    for name, parts in members.items():
        bits = {2: 8, 3: 6}[len(parts)]
        for low in (False, True):
            which = "lower" if low else "upper"
            found[f"{name}, {which} {bits} bits"] = of_tuples(*parts, bits=bits, low=low)
    return found


def neighbours(tensors: int, count: int) -> PValues:
    """Test pairs and triples of words that are neighbours in some way."""
    one = words([named(0)], tensors * count)[0].reshape(-1, 4)
    by_name, by_seed = (words([m(i) for i in range(tensors)], count) for m in (named, sown))
    blocks = np.arange(len(one), dtype=np.uint64)
    far = words_at(ids_of([named(0)]).repeat(len(one), axis=0), blocks << np.uint64(32), 4)
    return tuples(
        {
            "words 0, 1 of a block": (one[:, 0], one[:, 1]),
            "words 0, 2 of a block": (one[:, 0], one[:, 2]),
            "words 0, 1, 2 of a block": (one[:, 0], one[:, 1], one[:, 2]),
            "blocks b, b + 1": (one[:-1], one[1:]),
            "blocks b, b + 1, b + 2": (one[:-2], one[1:-1], one[2:]),
            "blocks b, 2^32 b": (one[1:], far[1:]),
            "names i, i + 1": (by_name[:-1], by_name[1:]),
            "names i, i + 1, i + 2": (by_name[:-2], by_name[1:-1], by_name[2:]),
            "seeds s, s + 1": (by_seed[:-1], by_seed[1:]),
            "seeds s, s + 1, s + 2": (by_seed[:-2], by_seed[1:-1], by_seed[2:]),
        }
    )


def lags(count: int, most: int) -> PValues:
    """Test products of elements at a distance, in a tensor and in two of one seed or name."""
    found = {}
    streams = [named(0), named(1), Stream.named(1, "layers.0.w")]
    x, y, z = normals(streams, count).astype(np.float64)
    for name, other in ("one tensor", x), ("of the next name", y), ("of the next seed", z):
        for what, power in ("values", 1), ("squares", 2):
            a, b = (v if power == 1 else (v**2 - 1) / math.sqrt(2) for v in (x, other))
            for which, p in of_lags(a, b, most).items():
                found[f"{name}, {what}, {which}"] = p
    return found


def spectra(side: int) -> PValues:
    """Test the frequencies of a square of side^3 values and of a cube of side^2 ones."""
    (values,) = normals([named(0)], side**3)
    across = math.isqrt(side**3)
    square = of_spectrum(values[: across**2].reshape(across, across))
    cube = of_spectrum(values.reshape(side, side, side))
    return {f"square, {name}": p for name, p in square.items()} | {
        f"cube, {name}": p for name, p in cube.items()
    }


def flips(blocks: int, seeds: int) -> PValues:
    """Test what one bit turns round: of a key or counter in a block, of a seed in a stream's id."""
    ids = ids_of([named(i) for i in range(blocks)])
    index = np.arange(blocks, dtype=np.uint64)
    philox = of_flips(words_at(ids, index, 4), turned_ids(ids, index))
    hashed = of_flips(ids_of_seeds(seeds), (ids_of_seeds(seeds, 1 << bit) for bit in range(64)))
    return {f"block of words, {name}": p for name, p in philox.items()} | {
        f"stream's id, {name}": p for name, p in hashed.items()
    }


def main() -> None:
    begin = time.perf_counter()
    found: list[tuple[str, str, float]] = []
    print("| what | test | p |\n| --- | --- | --- |")

    def show(what: str, values: PValues) -> None:
        for name, p in values.items():
            found.append((what, name, p))
            text = f"{p:.2g}" if p < 0.0995 else f"{p:.2f}"
            print(f"| {what} | {name} | {f'**{text}**' if p < 1e-3 else text} |", flush=True)

    rows, columns = 2000, 1 << 15
    for name, member in FAMILIES.items():
        show(f"2,000 tensors: {name}", between(member, rows, columns))
    (matrix,) = normals([named(0)], rows * columns)
    show("2,000 rows of a tensor", of_matrix(matrix.reshape(rows, columns)))
    show("2,000 columns of a tensor", of_matrix(matrix.reshape(columns, rows).T))
    show("distances 1 to 4,096", lags(1 << 24, 1 << 12))
    show("neighbours", neighbours(1 << 12, 1 << 14))
    show("frequencies", spectra(256))
    show("one bit turned", flips(1 << 16, 1 << 14))
    low = sum(p < 1e-3 for *_, p in found)
    print(f"\n{len(found)} tests, {low} with p < 0.001, in {time.perf_counter() - begin:.0f} s")
    for maker in "initlib", "NumPy":
        values = (
            normals([named(i) for i in range(rows)], 4 * rows)
            if maker == "initlib"
            else np.random.default_rng(0).standard_normal((rows, 4 * rows), np.float32)
        )
        print(f"{maker}: {marchenko_pastur(gram(values), 4 * rows):.5f} from Marchenko-Pastur")


if __name__ == "__main__":
    main()
