"""slices.py REPEATS: time parts of tensors in a process that is warm; print JSON.

One sample is the processor's time for a call, of one thread, from as many calls as take a twentieth
of a second.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import initlib
from initlib import _parallel, _stream

LEAST = 0.05  # seconds that a sample takes
SIDE = 16384  # of the matrix that columns are taken of
WHOLE = 8192  # of the matrix that is made whole
LLAMA = Path(__file__).parents[1] / "examples" / "llama-7b.yaml"
LAYERS = [
    {"name": "long", "shape": [10**6, 10**6], "initializer": "normal(stddev=0.02)"},
    {"name": "tall", "shape": [10**8, 10**4], "initializer": "normal(stddev=0.02)"},
    {"name": "square", "shape": [SIDE, SIDE], "initializer": "normal(stddev=0.02)"},
    {"name": "whole", "shape": [WHOLE, WHOLE], "initializer": "normal(stddev=0.02)"},
]
Call = Callable[[], Any]


def calls() -> dict[str, tuple[Call, int]]:
    """Return what is timed, by name, and how many values each call makes."""
    weights = initlib.open({"layers": LAYERS}, threads=1)
    long, tall, square, whole = (weights.get_slice(layer["name"]) for layer in LAYERS)
    llama = initlib.open(LLAMA)
    name = llama.keys()[0]
    out = np.zeros((WHOLE, WHOLE), np.float32)
    law, stream = _stream.Normal(0.0, 0.02), _stream.Stream.named(0, "whole")
    timed: dict[str, tuple[Call, int]] = {
        "open llama-7b.yaml": (lambda: initlib.open(LLAMA), 1),
        "one element of a tensor of llama-7b.yaml": (lambda: llama.get_slice(name)[:1, :1], 1),
        "a row of 10^8 x 10^4": (lambda: tall[77_777_777], 10**4),
        "a row of 10^6 x 10^6": (lambda: long[777_777], 10**6),
        "kernel": (lambda: law.fill(out.reshape(-1), 0, stream), out.size),
        "kernel, into new memory": (
            lambda: law.fill(np.empty(out.size, np.float32), 0, stream),
            out.size,
        ),
        "whole": (lambda: whole.read_into(..., out), out.size),
        "whole, into new memory": (lambda: whole[...], out.size),
    }
    for width in (1, 8, 128, 1000, 4096):
        index = np.s_[:, 4001 : 4001 + width]
        timed[f"columns, {width}"] = (lambda index=index: square[index], SIDE * width)  # type: ignore[misc]
    return timed


def sample(call: Call) -> float:
    """Return the seconds that a call takes."""
    call()
    begin, count = time.process_time(), 0
    while (passed := time.process_time() - begin) < LEAST:
        call()
        count += 1
    return passed / count


def main() -> None:
    repeats = int(sys.argv[1])
    _stream.prepare(1 << 30)
    timed = calls()
    samples: dict[str, list[float]] = {name: [] for name in timed}
    with _parallel.threads(1):
        for _ in range(repeats):
            for name, (call, _) in timed.items():
                samples[name].append(sample(call))
    found = [[name, values, timed[name][1]] for name, values in samples.items()]
    json.dump(found, sys.stdout)


main()
