"""Files made by executors of other processes: the same bytes, and one clear line otherwise."""

import multiprocessing
import os
import pickle
import signal
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest
from crashes import contents, hidden
from slow_code import slow_manifest, started, wait_for

import initlib
from initlib._generate import _spread

LAYERS = [
    {"name": f"t/{i}", "shape": [1000 + i], "initializer": "random_normal"} for i in range(9)
] + [{"name": "q", "shape": [30, 20], "initializer": "orthogonal"}]
MANIFEST = {"seed": 1, "layers": LAYERS, "metadata": {"by": "us"}, "vars": {"n": 3}}
SIZE = 8100


@pytest.fixture(scope="module")
def processes():
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        yield pool


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "m"


def generate(folder, engine, manifest=MANIFEST, **options):
    options = {"max_shard_size": SIZE, **options}
    return initlib.generate(manifest, folder, engine=engine, **options)


class Here:
    """Runs everything at once, in this thread."""

    def submit(self, work, *args):
        future = Future()
        try:
            future.set_result(work(*args))
        except BaseException as error:
            future.set_exception(error)
        return future


@pytest.mark.parametrize("kind", ["processes", "threads", "here"])
@pytest.mark.parametrize("only", [(), ["t/*"], ["q"]])
def test_the_same_bytes(folder, tmp_path, processes, kind, only):
    options = {"only": only, "seed": 5, "dtype": "bfloat16"}
    here = initlib.generate(MANIFEST, tmp_path / "here", max_shard_size=SIZE, **options)
    with ThreadPoolExecutor(3) as threads:
        engine = {"processes": processes, "threads": threads, "here": Here()}[kind]
        told = []
        done = generate(folder, engine, progress=lambda *a: told.append(a), threads=2, **options)
    assert contents(folder) == contents(tmp_path / "here")
    assert done.tensors == here.tensors
    assert done.files == here.files
    assert [len(told), told[-1]] == [len(done.files), (done.nbytes, done.nbytes)]
    assert initlib.verify(folder).same


@pytest.mark.parametrize("name", ["m.safetensors", "m.h5"])
def test_a_single_file(tmp_path, processes, name):
    initlib.generate(MANIFEST, tmp_path / f"here-{name}")
    generate(tmp_path / name, processes, max_shard_size=None)
    assert (tmp_path / name).read_bytes() == (tmp_path / f"here-{name}").read_bytes()


def test_what_is_sent_is_small(folder):
    """However large the manifest is."""
    sizes = []

    class Measuring(Here):
        def submit(self, work, *args):
            sizes.append(len(multiprocessing.reduction.ForkingPickler.dumps((work, args))))
            return super().submit(work, *args)

    layers = [{"name": f"t{i}", "shape": [100], "initializer": "ones"} for i in range(2000)]
    generate(folder, Measuring(), {"layers": layers}, max_shard_size="100kB")
    assert len(sizes) == 8
    assert max(sizes) < 1000


def test_it_is_planned_once_for_all_shards(folder, monkeypatch):
    plan, times = _spread.make_plan, []
    monkeypatch.setattr(_spread, "make_plan", lambda *a, **k: times.append(a) or plan(*a, **k))
    generate(folder, Here())
    assert len(times) == 1


def test_resume(folder, processes):
    class Failing(Here):
        def submit(self, work, claim, run, number):
            if number == 3:
                raise RuntimeError("no more")
            return super().submit(work, claim, run, number)

    class Broken(Here):
        def submit(self, work, claim, run, number):
            future = super().submit(work, claim, run, number)
            if number != 5:
                return future
            broken = Future()
            broken.set_exception(RuntimeError("number five is dead"))
            return broken

    with pytest.raises(initlib.StorageError, match="m: the engine failed: RuntimeError: no more"):
        generate(folder, Failing(), resume=True)
    assert not folder.exists()
    with pytest.raises(initlib.StorageError, match="RuntimeError: number five is dead") as caught:
        generate(folder, Broken(), resume=True)
    assert len([name for name in contents(folder) if hidden(name)]) == 4
    assert caught.value.__notes__ == ["4 of 5 shards are kept, and --resume goes on from there"]
    assert len(generate(folder, processes, resume=True).kept) == 4
    initlib.generate(MANIFEST, folder.with_name("here"), max_shard_size=SIZE)
    assert contents(folder) == contents(folder.with_name("here"))
    # Nobody is asked where nothing is left to be made.
    assert len(generate(folder, "dask://nowhere.invalid:1", resume=True).kept) == 5


def test_a_process_that_is_killed(tmp_path, folder):
    manifest = slow_manifest(tmp_path)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool, ThreadPoolExecutor(1) as thread:
        running = thread.submit(generate, folder, pool, manifest, allow_code=True)
        os.kill(started(tmp_path), signal.SIGKILL)
        with pytest.raises(initlib.StorageError, match="m: a process of the engine ended: "):
            running.result(60)
    assert not folder.exists()
    (tmp_path / "go").touch()
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        generate(folder, pool, manifest, allow_code=True)
    initlib.generate(manifest, tmp_path / "here", allow_code=True, max_shard_size=SIZE)
    assert contents(folder) == contents(tmp_path / "here")


def test_who_works_for_nobody_stops(tmp_path, folder):
    """After an error the others give up, and leave nothing."""
    manifest = slow_manifest(tmp_path)

    def stop(done, total):
        wait_for(lambda: list(tmp_path.glob("started-*")))
        raise KeyboardInterrupt

    with ThreadPoolExecutor(2) as pool:
        with pytest.raises(KeyboardInterrupt):
            generate(folder, pool, manifest, allow_code=True, progress=stop)
        assert not folder.exists()
        folder.mkdir()
        (tmp_path / "go").touch()
    assert contents(folder) == {}


def test_a_run_that_has_ended_makes_nothing(folder):
    late = []

    class Late(Here):
        def submit(self, work, *args):
            late.append((work, args))
            return Future() if len(late) < 3 else super().submit(work, "no claim")

    with pytest.raises(initlib.StorageError, match="the engine failed"):
        generate(folder, Late())
    folder.mkdir()
    work, args = late[0]
    with pytest.raises(
        initlib.StorageError, match=r"doesn't see the run there.*unless it has ended"
    ):
        work(*args)
    assert contents(folder) == {}


def test_what_is_made_twice_has_two_places(folder):
    """A process that is given up, and another in its stead, may both be at work."""
    made = []

    class Twice(Here):
        def submit(self, work, *args):
            made.append(Path(work(*args)[0]))
            future = super().submit(work, *args)
            assert future.result()[0] != str(made[-1])
            return future

    generate(folder, Twice())
    assert len(made) == 5
    assert not any(path.exists() for path in made)
    initlib.generate(MANIFEST, folder.with_name("here"), max_shard_size=SIZE)
    assert contents(folder) == contents(folder.with_name("here"))


def test_who_finds_the_order_gone_stops(folder, monkeypatch):
    class Gone(Here):
        def submit(self, work, claim, run, number):
            def write(job, path, advance):
                claim.order.unlink(missing_ok=True)
                advance(1)

            monkeypatch.setattr(_spread, "write", write)
            return super().submit(work, claim, run, number)

    with pytest.raises(initlib.StorageError, match=r"m: nobody waits for shard \d any more"):
        generate(folder, Gone())
    assert not folder.exists()


def test_another_run_of_the_same_place(folder):
    """What an old run's process makes has no place in a new one."""
    old = []

    class Old(Here):
        def submit(self, work, *args):
            old.append((work, args))
            raise RuntimeError("gone")

    class New(Here):
        def submit(self, work, *args):
            while old:
                late, whose = old.pop()
                with pytest.raises(initlib.StorageError, match=r"m: the run .* has ended"):
                    late(*whose)
            return super().submit(work, *args)

    with pytest.raises(initlib.StorageError, match="gone"):
        generate(folder, Old(), seed=77)
    generate(folder, New())
    initlib.generate(MANIFEST, folder.with_name("here"), max_shard_size=SIZE)
    assert contents(folder) == contents(folder.with_name("here"))


def test_another_version(folder, monkeypatch):
    class Older(Here):
        def submit(self, work, *args):
            monkeypatch.setattr(_spread, "VERSION", "0.0.1 (stream 1)")
            return super().submit(work, *args)

    with pytest.raises(
        initlib.RequestError, match=r"a worker has initgen 0\.0\.1 \(stream 1\), not"
    ):
        generate(folder, Older())


def test_what_a_manifest_s_code_raises_is_told_by_its_place(tmp_path, folder, processes):
    (tmp_path / "bad.py").write_text("def bad(shape, dtype=None):\n    raise KeyError('what')\n")
    path = tmp_path / "bad.yaml"
    path.write_text("layers: [{name: w, shape: [3], initializer: 'bad.py:bad'}]")
    with pytest.raises(
        initlib.ManifestError, match=r"bad\.yaml: layers\[0\]: 'w': .*KeyError.*what"
    ):
        generate(folder, processes, path, allow_code=True)
    assert not folder.exists()


def test_errors_of_a_manifest_survive_the_way_home():
    error = initlib.ManifestError("wrong", source="m.yaml", path="layers[3]", line=7)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (str(again), vars(again)) == (str(error), vars(error))


@pytest.mark.parametrize(
    ("engine", "problem"),
    [
        ("dsk", "received 'dsk'; did you mean 'dask'?"),
        ("dask:", "received 'dask:'; did you mean 'dask'?"),
        ("dask://", "received 'dask://'"),
        ("spark://x:1", "received 'spark://x:1'"),
        ("", "received ''"),
        (3, "received 3"),
    ],
)
def test_no_engine(folder, engine, problem):
    with pytest.raises(initlib.RequestError) as caught:
        generate(folder, engine)
    assert problem in str(caught.value)
    assert str(caught.value).startswith("expected dask, dask://HOST:PORT, or")
    assert not folder.exists()


def test_an_engine_is_not_interrupted(folder):
    """It could hold locks, which its own threads would wait for without end."""
    whole = []

    class Interrupted(Here):
        def submit(self, work, *args):
            signal.raise_signal(signal.SIGINT)
            future = super().submit(work, *args)
            whole.append(future)
            return future

    with pytest.raises(KeyboardInterrupt):
        generate(folder, Interrupted())
    assert len(whole) == 1
    assert not folder.exists()
