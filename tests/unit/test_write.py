"""Making chunks on an executor and writing them where they belong."""

import errno
import fcntl
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from queue import SimpleQueue

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from initlib import _manifest, _workers
from initlib._digest import LEAF, leaf_digests, tensor_digest
from initlib._make import Maker
from initlib._memory import PAGE
from initlib._memory import pages as new_pages
from initlib._plan import make_plan
from initlib._write import File, Writer, _writer
from initlib._write._choice import Choice
from initlib._write._file import LEAST
from initlib.initializers import _householder

LAYERS = [
    {"name": "zero", "shape": [0, 5], "initializer": "ones"},
    {"name": "scalar", "shape": [], "initializer": "constant(3)"},
    {"name": "odd", "shape": [7, 11], "initializer": "he_normal", "dtype": "bfloat16"},
    {"name": "large", "shape": [1000, 700], "initializer": "random_uniform"},
    {"name": "q", "shape": [40, 30], "initializer": "orthogonal"},
    {"name": "p", "shape": [700, 600], "initializer": "orthogonal"},
    {"name": "ones", "shape": [300_001], "initializer": "ones"},
    {"name": "last", "shape": [300], "initializer": "lecun_normal", "dtype": "float64"},
]


@pytest.fixture
def plan():
    return make_plan(_manifest.read({"layers": LAYERS}))


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "data"
    path.touch()
    return path


def written(plan, path, offsets, threads, progress=lambda nbytes: None):
    """Write a plan; return the digests."""
    with closing(File(path, plan.nbytes)) as file, ThreadPoolExecutor(2 * threads) as executor:
        maker = Maker(plan, LEAF, buffers=threads)
        return Writer(maker, offsets, file, threads, progress).write_all(executor)


def check(plan, path, offsets, digests):
    """Hold what was written against each initializer itself."""
    for tensor, offset, digest in zip(plan.tensors, offsets, digests, strict=True):
        with path.open("rb") as file:
            data = os.pread(file.fileno(), tensor.entry.nbytes, offset)
        data = data.ljust(tensor.entry.nbytes, b"\0")
        if tensor.streams:
            expected = np.empty(tensor.target.size, tensor.entry.dtype)
            tensor.initializer.fill(expected, 0, tensor.target)
        else:
            expected = tensor.initializer.whole(tensor.target)
        assert data == expected.tobytes()
        assert digest == tensor_digest(leaf_digests(np.frombuffer(data, np.uint8)))


def offsets_of(plan, gap):
    """Offsets in the reverse order of the plan, `gap` bytes apart."""
    offsets, end = [], 0
    for tensor in reversed(plan.tensors):
        offsets.append(end)
        end += tensor.entry.nbytes + gap
    return offsets[::-1]


@pytest.mark.parametrize("gap", [0, 3, 8])
@pytest.mark.parametrize("threads", [1, 3])
def test_every_tensor_is_written_at_its_offset(plan, path, gap, threads):
    offsets = offsets_of(plan, gap)
    progress = []
    digests = written(plan, path, offsets, threads, progress.append)
    assert sum(progress) == plan.nbytes
    check(plan, path, offsets, digests)


class Held(SimpleQueue):
    """Free buffers of a maker, of which it counts how many are in use at the same time."""

    used = most = 0

    def get(self):
        buffer = super().get()
        self.used += 1
        self.most = max(self.most, self.used)
        return buffer

    def put(self, buffer):
        self.used -= 1
        super().put(buffer)


@pytest.mark.parametrize("buffers", [2, 3, 5])
def test_no_more_chunks_are_in_memory_than_there_are_buffers(plan, path, buffers):
    offsets = offsets_of(plan, 0)
    maker = Maker(plan, LEAF, 1, buffers, Held())
    maker._free.used = 0
    with closing(File(path, plan.nbytes)) as file, ThreadPoolExecutor(4) as executor:
        digests = Writer(maker, offsets, file, 2, lambda nbytes: None).write_all(executor)
    assert maker._free.most <= buffers
    assert maker._free.used == 0
    check(plan, path, offsets, digests)


def test_constants_wait_for_buffers_too(path):
    layers = [
        {"name": f"c{i}", "shape": [1 << 20], "initializer": f"constant({i % 2 + 1})"}
        for i in range(8)
    ]
    plan = make_plan(_manifest.read({"layers": layers}))
    maker = Maker(plan, LEAF, 1, 2, Held())
    maker._free.used = 0
    offsets = offsets_of(plan, 0)
    with closing(File(path, plan.nbytes)) as file, ThreadPoolExecutor(4) as executor:
        digests = Writer(maker, offsets, file, 2, lambda nbytes: None).write_all(executor)
    assert 1 <= maker._free.most <= 2
    check(plan, path, offsets, digests)


def fail(*args):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("what", ["made", "written", "reported"])
def test_whatever_fails_ends_all_threads(plan, path, monkeypatch, threads, what):
    progress = fail if what == "reported" else lambda nbytes: None
    if what == "made":
        monkeypatch.setattr(_writer, "leaf_digests", fail)
    if what == "written":
        monkeypatch.setattr(os, "pwrite", fail)
    with pytest.raises(OSError, match="No space"):
        written(plan, path, offsets_of(plan, 0), threads, progress)


@pytest.mark.parametrize("started", range(6))
def test_a_system_that_starts_few_threads(plan, path, started):
    class Executor(ThreadPoolExecutor):
        jobs = 0

        def submit(self, *args):
            if self.jobs == started:
                raise RuntimeError("can't start new thread")
            self.jobs += 1
            return super().submit(*args)

    with closing(File(path, plan.nbytes)) as file, Executor(6) as executor:
        maker = Maker(plan, LEAF, buffers=3)
        writer = Writer(maker, offsets_of(plan, 0), file, 3, lambda nbytes: None)
        with pytest.raises(RuntimeError, match="start new thread"):
            writer.write_all(executor)


def test_the_first_failure_ends_what_is_bounded():
    submitted = []
    chunks = (submitted.append(i) or i for i in range(1000))
    with ThreadPoolExecutor(2) as executor, pytest.raises(OSError, match="No space"):
        list(_workers.bounded(executor, fail, chunks, 4))
    assert len(submitted) <= 8


def direct_file(path):
    """A file of 3 MiB of holes."""
    path.touch()
    os.truncate(path, 3 << 20)
    return File(path, 3 << 20)


def pages(count):
    """So many random bytes that start with a page, after 100 others."""
    memory = new_pages(PAGE + count)
    memory[:] = np.random.default_rng(count).integers(0, 256, memory.size, np.uint8)
    return memory[PAGE:]


@pytest.fixture
def calls(monkeypatch):
    """The calls of os.pwrite: whether the file is open for direct writes, offset, and size."""
    made, real = [], os.pwrite

    def pwrite(fd, data, offset):
        direct = bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT)
        made.append((direct, offset, len(data)))
        return real(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    return made


@settings(max_examples=100)
@given(
    offset=st.integers(0, 3 * PAGE),
    size=st.integers(0, 2 << 20),
    shift=st.one_of(st.just(0), st.integers(0, PAGE - 1)),
)
def test_any_piece_is_written_whole(tmp_path_factory, offset, size, shift):
    path = tmp_path_factory.mktemp("write") / "data"
    data = pages(offset % PAGE + shift + size)[offset % PAGE + shift :]
    with closing(direct_file(path)) as file:
        file.write(data, offset)
    expected = bytearray(3 << 20)
    expected[offset : offset + size] = data.tobytes()
    assert path.read_bytes() == expected


def test_whole_pages_go_past_the_page_cache(tmp_path, calls):
    data = pages(1 << 20)
    with closing(direct_file(tmp_path / "data")) as file:
        file.write(data, PAGE)
        file.write(data[100:], PAGE + 100)
        file.write(data[: LEAST - 1], 0)
        file.write(data[100:], 0)
    assert calls == [
        (True, PAGE, 1 << 20),
        (True, 2 * PAGE, (1 << 20) - PAGE),
        (False, PAGE + 100, PAGE - 100),
        (False, 0, LEAST - 1),
        (False, 0, (1 << 20) - 100),
    ]


@pytest.mark.parametrize("when", ["opened", "written"])
def test_a_file_system_without_direct_writes(tmp_path, monkeypatch, when):
    data = pages(1 << 20)
    real_open, real_write, direct = os.open, os.pwrite, []

    def refusing_open(path, flags, *rest):
        if flags & os.O_DIRECT and when == "opened":
            raise OSError(errno.EINVAL, "Invalid argument")
        return real_open(path, flags, *rest)

    def refusing_write(fd, data, offset):
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT:
            direct.append(offset)
            raise OSError(errno.EINVAL, "Invalid argument")
        return real_write(fd, data, offset)

    monkeypatch.setattr(os, "open", refusing_open)
    monkeypatch.setattr(os, "pwrite", refusing_write)
    with closing(direct_file(tmp_path / "data")) as file:
        file.write(data, 0)
        file.write(data, 1 << 20)
    assert direct == ([0] if when == "written" else [])
    assert (tmp_path / "data").read_bytes()[: 2 << 20] == 2 * data.tobytes()


@given(size=st.integers(0, 400_000), steps=st.lists(st.integers(1, 300_000), max_size=9))
def test_short_writes_are_continued(tmp_path_factory, size, steps):
    path = tmp_path_factory.mktemp("write") / "data"
    data, real, allowed = pages(size), os.pwrite, iter(steps)

    def pwrite(fd, data, offset):
        count = next(allowed, len(data))
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT:
            count = max(count // PAGE * PAGE, PAGE)
        return real(fd, data[:count], offset)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pwrite", pwrite)
        with closing(direct_file(path)) as file:
            file.write(data, PAGE)
    assert path.read_bytes()[PAGE : PAGE + size] == data.tobytes()


def test_runs_of_neighbours_are_written_together(path, calls):
    layers = [{"name": f"t{i:04}", "shape": [3], "initializer": "ones"} for i in range(2500)]
    plan = make_plan(_manifest.read({"layers": layers}))
    written(plan, path, [12 * i for i in range(2500)], 1)
    assert calls == [(False, 0, 30_000)]


def test_zeros_are_holes_and_other_constants_take_one_buffer(path, calls):
    shape = [10 << 20]
    layers = [
        {"name": "z", "shape": shape, "initializer": "zeros"},
        {"name": "o", "shape": shape, "initializer": "constant(0.5)", "dtype": "float64"},
        {"name": "n", "shape": shape, "initializer": "constant(-0.0)"},
        {"name": "s", "shape": [5], "initializer": "zeros"},
    ]
    plan = make_plan(_manifest.read({"layers": layers}))
    offsets = [32, 48 << 20, 200 << 20, 0]
    digests = written(plan, path, offsets, 2)
    assert {offset >> 20 for _, offset, _ in calls} == {0, *range(48, 128), *range(200, 240)}
    assert path.stat().st_blocks * 512 < 125 << 20
    check(plan, path, offsets, digests)


class Clock:
    """A clock that goes on by what is written."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)


@pytest.mark.parametrize(
    ("direct", "cached", "chosen", "tried"),
    [
        (3e9, 1e9, True, False),
        (0.4e9, 9e9, True, False),
        (0.2e9, 0.3e9, True, True),
        (0.2e9, 0.1e9, True, True),
        (0.1e9, 0.5e9, False, True),
    ],
)
def test_the_faster_way_is_chosen(monkeypatch, direct, cached, chosen, tried):
    clock = Clock(monkeypatch)
    synced = []
    choice = Choice(16 << 30, lambda: synced.append(clock.now))
    clock.now += 9
    for _ in range(200):
        way = choice.direct
        clock.now += (1 << 20) / (direct if way else cached)
        choice.told(1 << 20, direct=way)
    assert choice.direct is chosen
    assert len(synced) == tried


@pytest.mark.parametrize(
    ("size", "direct"), [(16 << 30, False), (1 << 30, True)], ids=["the other way", "a small file"]
)
def test_what_tells_nothing_of_the_way(monkeypatch, size, direct):
    clock = Clock(monkeypatch)
    choice = Choice(size, lambda: pytest.fail("synced"))
    for _ in range(200):
        clock.now += 1
        choice.told(1 << 20, direct=direct)
    assert choice.direct


@pytest.mark.parametrize("seconds", [None, 0.2])
def test_a_failure_soon_ends_what_is_made_whole(path, monkeypatch, seconds):
    """Neither a matrix that waits for another, nor the rest of one, is made in vain."""
    layers = [{"name": f"q{i}", "shape": [1100, 1100], "initializer": "orthogonal"} for i in "abc"]
    layers.append({"name": "w", "shape": [300], "initializer": "he_normal"})
    plan = make_plan(_manifest.read({"layers": layers}))
    applied, real = [], _householder._reflect_tile

    def reflect(*args):
        if seconds is not None:
            time.sleep(seconds)
        applied.append(1)
        real(*args)

    monkeypatch.setattr(_householder, "_reflect_tile", reflect)
    if seconds is None:
        monkeypatch.setattr(os, "pwrite", fail)
    progress = (lambda nbytes: None) if seconds is None else fail
    with pytest.raises(OSError, match="No space"):
        written(plan, path, offsets_of(plan, 0), 4, progress)
    # One has some sixty tiles.
    assert len(applied) <= (80 if seconds is None else 30)
