"""Whichever bit of a file is flipped, `verify` finds it, and comes to an end."""

import subprocess
import sys

import numpy as np
import pytest

import initlib
from initlib._dtypes import DTYPES, is_float

# Every dtype, shapes with no elements and with no axes, and both kinds of inexact initializers.
LAYERS = [
    {"name": f"group/{name}", "shape": [3, 5], "dtype": name, "initializer": initializer}
    for name in DTYPES
    for initializer in ["random_uniform" if is_float(DTYPES[name]) else "ones"]
]
LAYERS += [
    {"name": "empty", "shape": [0, 3], "initializer": "zeros"},
    {"name": "scalar", "shape": [], "initializer": "constant(3)"},
    {"name": "q", "shape": [6, 4], "initializer": "orthogonal"},
    {"name": "window", "shape": [8, 1, 5], "initializer": "stft", "dtype": "float16"},
    {"name": "large", "shape": [130, 130], "initializer": "he_normal"},
]

# Flips one bit after the other of the file at argv[1], at the places in argv[2:]. What a damaged
# file makes a library do can only be ended from outside.
PROGRAM = """
import signal, sys, initlib
path = sys.argv[1]
with open(path, 'rb') as file:
    whole = file.read()
assert initlib.verify(path).same
for place in map(int, sys.argv[2:]):
    damaged = bytearray(whole)
    damaged[place // 8] ^= 1 << place % 8
    with open(path, 'wb') as file:
        file.write(damaged)
    signal.alarm(20)
    for quick in (True, False):
        try:
            same = initlib.verify(path, quick=quick, threads=1).same
        except initlib.InitlibError as error:
            same = False
            assert chr(10) not in str(error)
        signal.alarm(0)
        assert not same, f"bit {place} of {8 * len(whole)}, quick={quick}"
    print("found")
"""


@pytest.fixture(scope="module", params=["m.safetensors", "m.h5"])
def made(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("made") / request.param
    manifest = {"seed": 3, "layers": LAYERS, "metadata": {"author": "somebody"}}
    initlib.generate(manifest, path)
    return path


def test_every_flipped_bit_is_found(made, tmp_path):
    whole = made.read_bytes()
    rng = np.random.default_rng(11)
    metadata = whole.index(b'"initgen":')
    # Anywhere; in what stands before the metadata; and in the metadata.
    ranges = [(0, len(whole), 60), (0, metadata, 30), (metadata - 40, metadata + 5000, 40)]
    places = [
        place
        for begin, end, count in ranges
        for place in rng.integers(8 * begin, 8 * min(end, len(whole)), size=count, endpoint=False)
    ]
    copy = tmp_path / made.name
    copy.write_bytes(whole)
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(copy), *map(str, places)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr + run.stdout[-100:]
    assert run.stdout.count("found") == len(places) == 130
