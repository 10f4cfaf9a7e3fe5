"""One file of the output: what it holds, how it is made, and how far it is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from initlib._formats import Format
from initlib._interrupts import checker
from initlib._make import Maker
from initlib._plan import Plan
from initlib._provenance import Provenance
from initlib._workers import buffer_bytes, buffer_count, pool, thread_count
from initlib._write import File, Writer


@dataclass(frozen=True, slots=True)
class Means:
    """What the making of a file may take.

    Attributes:
        threads: how many make chunks, and how many others write them.
        chunk_bytes: the most that one of them makes at a time.
        buffers: how many chunks may be in memory.
    """

    threads: int
    chunk_bytes: int
    buffers: int

    @classmethod
    def of(cls, threads: int | None, memory: int | str) -> Means:
        """Return what a user asks for: how many threads, and bytes for all buffers.

        Raises:
            RequestError: it is too little or too much.
        """
        count = thread_count(threads)
        chunk_bytes = buffer_bytes(memory, count)
        return cls(count, chunk_bytes, buffer_count(memory, count, chunk_bytes))


@dataclass(frozen=True)
class Job:
    """The plan of a file together with how it is carried out.

    Attributes:
        plan: what to make.
        format: of the file.
        means: by which it is made.
    """

    plan: Plan
    format: Format
    means: Means

    @cached_property
    def provenance(self) -> Provenance:
        """What the file says of the plan."""
        return Provenance(self.plan)

    @property
    def written(self) -> int:
        """The least bytes that the file takes of a disk; zeros may be holes."""
        tensors = (t.entry.nbytes for t in self.plan.tensors if t.element is None or any(t.element))
        return sum(tensors) + sum(map(len, self.places.values()))

    @cached_property
    def places(self) -> dict[str, str]:
        """The same as metadata, before the digests are known."""
        return self.provenance.metadata()

    def maker(self) -> Maker:
        """Return what makes its chunks, ready to begin."""
        means = self.means
        maker = Maker(self.plan, means.chunk_bytes, means.threads, means.buffers)
        maker.prepare()
        return maker


@dataclass
class Shard:
    """A file of the output, perhaps the only one, and how far it is.

    Attributes:
        number: which it is, from 1.
        job: what makes it.
        name: its own.
        new: where it is before it takes its name.
        final: where it is then.
        digests: of its tensors; None until it is whole.
        kept: whether it was whole before.
        placed: whether it was, under its name.
    """

    number: int
    job: Job
    name: str
    new: Path
    final: Path
    digests: list[str] | None = None
    kept: bool = False
    placed: bool = False


def write(job: Job, path: Path, advance: Callable[[int], None]) -> list[str]:
    """Write a new file and bring it to the disk; return the tensors' digests."""
    threads, maker = job.means.threads, job.maker()
    offsets = job.format.create(path, job.plan.entries, job.places)
    check = checker()

    def told(nbytes: int) -> None:
        check()
        advance(nbytes)

    with closing(File(path, job.plan.nbytes)) as file:
        writer = Writer(maker, offsets, file, threads, told)
        with pool(2 * threads, path) as executor:
            digests = writer.write_all(executor)
        file.check()
        job.format.replace_metadata(file.itself, job.provenance.metadata(digests))
        file.sync()
        file.check()
    return digests
