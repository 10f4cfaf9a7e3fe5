"""initlib._formats._hdf5: chunks that are packed, each unpacked once and in bounded memory."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import h5py
import numpy as np
import pytest

from initlib._formats import FORMATS, Source

FORMAT = FORMATS["hdf5"]


def walk(path, piece=1 << 18):
    """Read a file's only tensor of float32 in C order, piece by piece; return its bytes' count."""
    with Source.open(path) as source, closing(FORMAT.open(source)) as opened:
        (entry,) = opened.contents.entries
        out = np.empty(piece, entry.dtype)
        for start in range(0, entry.size, piece):
            part = out[: entry.size - start]
            opened.read_values(entry, start, part)
            assert (part == np.arange(start, start + part.size, dtype=np.int32) % 1000).all()
        return entry.nbytes


def make_packed(path, shape, chunks):
    values = np.arange(np.prod(shape), dtype=np.int32) % 1000
    with h5py.File(path, "w") as file:
        file.create_dataset("w", data=values.reshape(shape), chunks=chunks, compression="lzf")


@pytest.mark.parametrize(
    ("shape", "chunks"),
    [
        ((2048, 4096), (2048, 256)),  # a row of chunks has all that there is
        ((2048, 4096), (512, 4096)),
        ((1000, 8192), (1000, 8)),  # more chunks in a row than HDF5 has places for by default
        ((2048, 6000), (1024, 6000)),  # too large for two of them
        ((64, 32, 4096), (64, 8, 512)),
    ],
)
def test_chunks_are_unpacked_once(tmp_path, monkeypatch, shape, chunks):
    """Or else a walk over a file of a few MiB takes minutes."""
    path = tmp_path / "m.h5"
    make_packed(path, shape, chunks)
    read, readinto = [0], Source.readinto

    def counted(source, buffer):
        count = readinto(source, buffer)
        read[0] += count
        return count

    monkeypatch.setattr(Source, "readinto", counted)
    walk(path)
    assert read[0] < 1.5 * path.stat().st_size


@pytest.mark.parametrize(
    ("shape", "chunks"),
    [
        ((8192, 4096), (2048, 4096)),
        ((8192, 4096), (2048, 2048)),
        ((8192, 4096), (2048, 512)),
        ((4096, 4096), (4096, 32)),
    ],
)
def test_memory_for_chunks_is_bounded(tmp_path, shape, chunks):
    path = tmp_path / "m.h5"
    make_packed(path, shape, chunks)
    program = (
        "import resource, sys; from pathlib import Path; from test_hdf5_chunks import walk;"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "before = peak(); walk(Path(sys.argv[1])); print(peak() - before)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, path],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(run.stdout) < 76 << 10  # KiB: what chunks may take, a buffer, and h5py itself
