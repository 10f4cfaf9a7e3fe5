"""Making chunks on an executor and writing them where they belong."""

import os
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from initlib import _manifest, _workers, _write
from initlib._digest import LEAF, leaf_digests, tensor_digest
from initlib._make import Maker
from initlib._plan import make_plan

LAYERS = [
    {"name": "zero", "shape": [0, 5], "initializer": "ones"},
    {"name": "scalar", "shape": [], "initializer": "constant(3)"},
    {"name": "odd", "shape": [7, 11], "initializer": "he_normal", "dtype": "bfloat16"},
    {"name": "large", "shape": [1000, 700], "initializer": "random_uniform"},
    {"name": "q", "shape": [40, 30], "initializer": "orthogonal"},
    {"name": "last", "shape": [300], "initializer": "lecun_normal", "dtype": "float64"},
]


@pytest.fixture
def plan():
    return make_plan(_manifest.read({"layers": LAYERS}))


@pytest.fixture
def fd(tmp_path):
    fd = os.open(tmp_path / "data", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


def offsets_of(plan, gap):
    """Offsets in the reverse order of the plan, `gap` bytes apart."""
    offsets, end = [], 0
    for tensor in reversed(plan.tensors):
        offsets.append(end)
        end += tensor.entry.nbytes + gap
    return offsets[::-1]


@pytest.mark.parametrize("gap", [0, 3])
@pytest.mark.parametrize("threads", [1, 3])
def test_every_tensor_is_written_at_its_offset(plan, fd, gap, threads):
    offsets = offsets_of(plan, gap)
    progress = []
    with ThreadPoolExecutor(threads) as executor:
        writer = _write.Writer(Maker(plan, LEAF), offsets, fd)
        digests = writer.write_all(executor, threads, progress.append)
    assert sum(progress) == plan.nbytes
    for tensor, offset, digest in zip(plan.tensors, offsets, digests, strict=True):
        data = os.pread(fd, tensor.entry.nbytes, offset)
        if tensor.streams:
            expected = np.empty(tensor.target.size, tensor.entry.dtype)
            tensor.initializer.fill(expected, 0, tensor.target)
        else:
            expected = tensor.initializer.whole(tensor.target)
        assert data == expected.tobytes()
        assert digest == tensor_digest(leaf_digests(np.frombuffer(data, np.uint8)))


def test_chunks_are_submitted_a_few_at_a_time(plan, fd):
    class Executor:
        running = most = 0

        def submit(self, work, chunk):
            self.running += 1
            self.most = max(self.most, self.running)
            future = Future()
            future.set_result(work(chunk))
            return future

    executor = Executor()
    writer = _write.Writer(Maker(plan, LEAF), offsets_of(plan, 0), fd)
    found = _workers.bounded(
        executor, writer.write, _write.make_chunks(plan, writer.offsets, LEAF), 2
    )
    for _ in found:
        executor.running -= 1
    assert executor.most == 2


def test_the_first_failure_ends_it(plan, fd):
    def fail(chunk):
        raise OSError(28, "No space left on device")

    submitted = []
    chunks = (submitted.append(i) or i for i in range(1000))
    with ThreadPoolExecutor(2) as executor, pytest.raises(OSError, match="No space"):
        list(_workers.bounded(executor, fail, chunks, 4))
    assert len(submitted) <= 8


@given(
    sizes=st.lists(st.integers(0, 9), max_size=6),
    steps=st.lists(st.integers(1, 7), min_size=60, max_size=60),
)
def test_short_writes_are_continued(sizes, steps):
    file = bytearray(5 + sum(sizes))
    allowed = iter(steps)

    def pwritev(fd, buffers, offset):
        data = b"".join(map(bytes, buffers))[: next(allowed)]
        file[offset : offset + len(data)] = data
        return len(data)

    expected = bytes(range(1, sum(sizes) + 1))
    ends = np.cumsum(sizes)
    buffers = [memoryview(expected[end - n : end]) for n, end in zip(sizes, ends, strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pwritev", pwritev)
        _write._pwritev(0, buffers, 5)
    assert file == bytes(5) + expected


def test_runs_of_neighbours_are_written_together(fd, monkeypatch):
    layers = [{"name": f"t{i:04}", "shape": [3], "initializer": "ones"} for i in range(2500)]
    plan = make_plan(_manifest.read({"layers": layers}))
    calls = []
    real = os.pwritev
    monkeypatch.setattr(os, "pwritev", lambda *a: calls.append(len(a[1])) or real(*a))
    writer = _write.Writer(Maker(plan, LEAF), [12 * i for i in range(2500)], fd)
    with ThreadPoolExecutor(1) as executor:
        writer.write_all(executor, 1, lambda nbytes: None)
    assert calls == [1024, 1024, 452]
    assert os.fstat(fd).st_size == 30_000
