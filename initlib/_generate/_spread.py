"""Shards that other processes make, wherever an executor runs them.

    here:     order -> the folder of the output, which all see
              number of a shard -> executor -> make_shard, anywhere
              where it is, its digests   <------'

So what is sent is small, however large the manifest is. Whoever finds the order gone stops: nobody
writes when nobody waits any more.
"""

from __future__ import annotations

import functools
import json
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Future
from contextlib import contextmanager, suppress
from dataclasses import asdict, astuple, dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

from initlib import _manifest, _shards
from initlib._errors import InitlibError, RequestError, StorageError
from initlib._files import new_file
from initlib._formats import FORMATS, Format
from initlib._generate._engine import executor_of
from initlib._generate._job import Job, Means, Shard, write
from initlib._generate._run import Made
from initlib._interrupts import checker, uninterrupted
from initlib._output import Claim
from initlib._plan import Plan, make_plan
from initlib._stream import STREAM_VERSION
from initlib._version import __version__

VERSION = f"{__version__} (stream {STREAM_VERSION})"


def unique() -> str:
    """Return a name that nothing else has."""
    return os.urandom(8).hex()


@dataclass(frozen=True, slots=True)
class Order:
    """What other processes are to make.

    Attributes:
        manifest: in canonical form.
        source: the manifest's name, for messages.
        folder: the manifest's, where its code and files are looked for.
        only: globs of tensor names.
        shard_bytes: the most that a shard holds; None for a single file.
        format: of the files.
        allow_code: whether the manifest's code may run.
        means: what each shard may take.
        run: a name of the run that wants it, which no other has.
        version: of the initgen that wants it.
    """

    manifest: dict[str, Any]
    source: str
    folder: str
    only: tuple[str, ...]
    shard_bytes: int | None
    format: str
    allow_code: bool
    means: tuple[int, int, int]
    run: str = field(default_factory=unique)
    version: str = VERSION

    @classmethod
    def of(
        cls,
        plan: Plan,
        shard_bytes: int | None,
        file_format: Format,
        means: Means,
        *,
        allow_code: bool,
    ) -> Order:
        """Return what is to be made of a plan."""
        manifest = plan.manifest
        return cls(
            *(manifest.canonical(), manifest.source, str(manifest.folder)),
            plan.only,
            shard_bytes,
            file_format.name,
            allow_code,
            astuple(means),
        )


@dataclass(frozen=True, slots=True)
class Spread:
    """Makes shards by an engine.

    Attributes:
        engine: runs functions in processes that see the output's folder and have initlib.
        order: what is wanted.
    """

    engine: Any
    order: Order

    def __call__(
        self, shards: Sequence[Shard], claim: Claim, advance: Callable[[int], None]
    ) -> Generator[Made]:
        """Yield each shard once it is whole.

        Raises:
            RequestError: there is no such engine, or a process of it can't do it.
            StorageError: a process or the engine failed.
        """
        if not shards:
            return
        with new_file(claim.order) as file:
            file.write(json.dumps(asdict(self.order)).encode())
        there = Claim(claim.path, claim.folder, claim.name)
        futures: dict[Future[tuple[str, list[str]]], Shard] = {}
        check = checker()
        with executor_of(self.engine) as executor:
            try:
                # An engine that is interrupted anywhere may never end, as its locks are held.
                with _failing(claim.path), uninterrupted():
                    for shard in shards:
                        check()
                        future = executor.submit(make_shard, there, self.order.run, shard.number)
                        futures[future] = shard
                for future in _successes_first(futures):
                    with _failing(claim.path), uninterrupted():
                        path, digests = future.result()
                    yield futures[future], Path(path), digests
                    advance(futures[future].job.plan.nbytes)
            finally:
                for future in futures:
                    future.cancel()


def _successes_first(futures: Iterable[Future[Any]]) -> Iterator[Future[Any]]:
    """Yield futures as they are done; before the first that failed, all that are done by then.

    Waiting for a queue of this kind takes no lock that an interrupt could leave taken, as waiting
    for futures does.
    """
    left = set(futures)
    done: SimpleQueue[Future[Any]] = SimpleQueue()
    with uninterrupted():
        for future in left:
            future.add_done_callback(done.put)
    while left:
        future = done.get()
        with uninterrupted():
            succeeded = []
            if _failed(future):
                succeeded = [each for each in left if each.done() and not _failed(each)]
        yield from succeeded
        yield future
        left.remove(future)


def _failed(future: Future[Any]) -> bool:
    return future.cancelled() or future.exception() is not None


@contextmanager
def _failing(path: Path) -> Iterator[None]:
    """Turn what goes wrong with an executor into a StorageError."""
    try:
        yield
    except InitlibError:
        raise
    except CancelledError as error:
        problem = "the engine gave the work up, or the connection to it was lost"
        raise StorageError(f"{path}: {problem}") from error
    except BrokenExecutor as error:
        raise StorageError(f"{path}: a process of the engine ended: {error}") from error
    except Exception as error:
        raise StorageError(f"{path}: the engine failed: {type(error).__name__}: {error}") from error


class _Read(NamedTuple):
    """An order as a process has read it, the file that it is in, and the plans of the shards."""

    order: Order
    status: os.stat_result
    plans: list[Plan]


def make_shard(claim: Claim, run: str, number: int) -> tuple[str, list[str]]:
    """Make a shard of the order that lies in a claim's folder.

    Args:
        claim: whose order it is; another process holds it.
        run: a name of the run that wants it, which no other has.
        number: of the shard, from 1.

    Returns:
        Where it is, and the digests of its tensors.

    Raises:
        RequestError: this process can't make it.
        StorageError: it can't be written, or isn't wanted any more.
    """
    with claim.errors():
        order, status, plans = _read_once(claim, run)
        job = Job(plans[number - 1], FORMATS[order.format], Means(*order.means))
        path = claim.unfinished(number, unique())

        def check(_done: int = 0) -> None:
            with suppress(FileNotFoundError):
                if os.path.samestat(claim.order.stat(), status):
                    return
            raise StorageError(f"{claim.path}: nobody waits for shard {number} any more")

        try:
            digests = write(job, path, check)
            check()
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return str(path), digests


# Threads of one process ask for the same at once.
_reading = threading.Lock()


def _read_once(claim: Claim, run: str) -> _Read:
    """Return an order, read and planned once in this process, until there is another one."""
    with _reading:
        return _read(str(claim.order), str(claim.path), run)


@functools.lru_cache(maxsize=1)
def _read(path: str, target: str, run: str) -> _Read:
    try:
        with Path(path).open("rb") as file:
            status, order = os.fstat(file.fileno()), Order(**json.load(file))
    except FileNotFoundError as error:
        host = os.uname().nodename
        problem = (
            f"{host} doesn't see the run there: workers need the same storage by the same path"
        )
        raise StorageError(f"{target}: {problem}, unless it has ended") from error
    if order.version != VERSION:
        raise RequestError(f"{target}: a worker has initgen {VERSION}, not {order.version}")
    if order.run != run:
        raise StorageError(f"{target}: the run that wants this has ended")
    manifest = _manifest.read(order.manifest)
    manifest = replace(manifest, source=order.source, folder=Path(order.folder))
    plan = make_plan(manifest, only=order.only, allow_code=order.allow_code)
    size = order.shard_bytes
    return _Read(order, status, [plan] if size is None else _shards.split(plan, size))
