"""Check stream version 1 over every 32-bit word: kernel equals reference, errors stay within 4 ulp.

    python tools/exhaustive.py              # all 2^32 words, on all cores; prints how long it took
    python tools/exhaustive.py --stride 257 # every 257th word

Each function of one word (the normal's radius, cosine and sine, the truncated normal) is computed
in float32 by the compiled kernel and by the NumPy reference, which must agree bit for bit, and by
the same formula in float64. Errors are in units in the last place (ulp) of the exact value.

A normal is the product of two such functions, so all 2^64 pairs of words can't be tried. Its bound
is made of the largest relative errors found among values that share the first 10 bits of the
mantissa: for any two such groups the errors add, and half an ulp for rounding the product comes on
top.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import sys
import time

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy import special

from initlib._stream import _kernels as kernels
from initlib._stream import _reference as reference
from initlib._stream._reference import SINGLE

Words = npt.NDArray[np.uint32]
Values = npt.NDArray[np.float64]
Worst = dict[str, npt.NDArray[np.float64]]

PIECE = 1 << 20
LIMIT = 4.0
BINS = 1024


def exact_radius(w: Words) -> Values:
    u = (w + 0.5) * 2.0**-32
    v = (np.uint32(0xFFFFFFFF) - w + 0.5) * 2.0**-32
    return np.sqrt(-2 * np.where(u < 0.5, np.log(u), np.log1p(-v)))


def exact_turn(w: Words) -> tuple[Values, Values]:
    """Return cos and sin of 2 pi (k + 1/2) / 2^26, reduced to an eighth of a turn by integers."""
    k = (w >> np.uint32(6)).astype(np.int64)
    quadrant = ((k + (1 << 23)) >> 24) & 3
    angle = ((k + (1 << 23)) % (1 << 24) - (1 << 23) + 0.5) * (2 * np.pi / 2.0**26)
    c, s = np.cos(angle), np.sin(angle)
    return np.choose(quadrant, (c, -s, -c, s)), np.choose(quadrant, (s, c, -s, -c))


def exact_truncated(w: Words) -> Values:
    t = (w.view(np.int32) + 0.5) * 2.0**-31
    return np.sqrt(2) * special.erfinv(special.erf(np.sqrt(2)) * t)


@njit(nogil=True, error_model="numpy")
def compiled(w, radius, cos, sin, truncated):
    """Evaluate the kernels' own functions."""
    for i in range(w.size):
        radius[i] = kernels._radius32(w[i])
        cos[i], sin[i] = kernels._cos_sin32(w[i])
        truncated[i] = kernels._truncated32(w[i])


def examine(first: int, last: int, stride: int) -> Worst:
    """Compare the words first, first + stride .. last; return the largest errors found.

    Returns:
        For each function the largest error in ulp, and for radius and turn ("... relative") the
        largest relative error in each bin of the mantissa.
    """
    w = np.arange(first, last, stride, dtype=np.uint64).astype(np.uint32)
    draws = w.astype(np.int64)
    cos, sin = reference.cos_sin(draws, SINGLE)
    values = {
        "radius": reference.radius(draws, SINGLE),
        "cos": cos,
        "sin": sin,
        "truncated": reference.truncated_quantile(draws, SINGLE),
    }
    by_kernel = {name: np.empty_like(value) for name, value in values.items()}
    compiled(w, *by_kernel.values())
    exact = dict(zip(values, (exact_radius(w), *exact_turn(w), exact_truncated(w)), strict=True))
    worst: Worst = {}
    for name, value in values.items():
        if value.tobytes() != by_kernel[name].tobytes():
            raise SystemExit(f"{name}: kernel and reference differ in words {first} .. {last}")
        error = np.abs(value - exact[name])
        worst[name] = np.max(
            error / np.spacing(np.abs(exact[name]).astype(np.float32)), keepdims=True
        )
        if name != "truncated":
            mantissa = np.frexp(np.abs(exact[name]))[0]
            largest = np.zeros(BINS)
            np.maximum.at(
                largest, ((mantissa - 0.5) * 2 * BINS).astype(int), error / np.abs(exact[name])
            )
            worst[name + " relative"] = largest
    return worst


def normal_bound(radius: Values, turn: Values) -> float:
    """Bound the error of a product, in ulp, by the relative errors in each bin of the factors."""
    ends = 0.5 + (np.arange(BINS) + 1) / (2 * BINS)
    product = np.multiply.outer(ends, ends)
    relative = np.add.outer(radius, turn) + np.multiply.outer(radius, turn)
    ulp = np.where(product > 0.5, 2.0**-24, 2.0**-25)
    # At the border of two binades the smaller ulp, hence the larger error, is the other one.
    straddles = (product > 0.5) & (np.multiply.outer(ends - 0.5 / BINS, ends - 0.5 / BINS) < 0.5)
    ulp = np.where(straddles, 2.0**-25, ulp)
    error = relative * np.where(straddles, 0.5, product) / ulp
    error = np.maximum(error, np.where(straddles, relative * product / 2.0**-24, 0))
    return float(error.max()) + 0.5


def survey(stride: int) -> tuple[dict[str, float], int]:
    """Return the largest error of each function, in ulp, and how many words were looked at."""
    step = PIECE * stride
    worst: Worst = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        pieces = [(i, min(i + step, 1 << 32), stride) for i in range(0, 1 << 32, step)]
        for found in pool.map(examine, *zip(*pieces, strict=True)):
            worst = {name: np.maximum(found[name], worst.get(name, 0)) for name in found}
    turn = np.maximum(worst["cos relative"], worst["sin relative"])
    errors = {name: float(worst[name][0]) for name in ("radius", "cos", "sin", "truncated")}
    errors["normal (bound)"] = normal_bound(worst["radius relative"], turn)
    return errors, len(range(0, 1 << 32, stride))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stride", type=int, default=1, help="look at each stride-th word")
    start = time.perf_counter()
    errors, words = survey(parser.parse_args().stride)
    for name, error in errors.items():
        print(f"{name}: at most {error:.3f} ulp")
    print(f"{words:,} words in {time.perf_counter() - start:.0f} s; kernel and reference agree")
    return 0 if max(errors.values()) <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
