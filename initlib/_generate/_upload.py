"""Sending all files of an output to where they can only be written from beginning to end.

A file's header has the digests of its values. So each file is made twice: first for the digests
alone, then to be sent. The same bytes come each time, and far faster than networks take them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path

from initlib._errors import StorageError
from initlib._generate._job import Job
from initlib._interrupts import checker, uninterrupted
from initlib._make import Maker
from initlib._output import ObjectFile, ObjectFolder, Terms, Uploads
from initlib._remote import Address
from initlib._workers import Progress, pool
from initlib._write import Nowhere, Sender, Writer


@dataclass
class Sending:
    """A file of the output, perhaps the only one, and how far it is.

    Attributes:
        job: what makes it.
        name: its own.
        final: its address.
        digests: of its tensors; None until it is whole.
        kept: whether it was whole before.
        placed: whether it has its name.
    """

    job: Job
    name: str
    final: Address
    digests: list[str] | None = None
    kept: bool = False
    placed: bool = False


def upload(
    jobs: Sequence[Job],
    names: Sequence[str],
    target: ObjectFile | ObjectFolder,
    terms: Terms | None,
    progress: Progress | None,
    *,
    resume: bool,
) -> list[Sending]:
    """Send what jobs make, under these names, unless there are no terms; return how far it is."""
    files = [Sending(job, name, target.place(name)) for job, name in zip(jobs, names, strict=True)]
    if terms is not None:
        _run(files, target, terms, progress, resume=resume)
    return files


def _run(
    files: Sequence[Sending],
    target: ObjectFile | ObjectFolder,
    terms: Terms,
    progress: Progress | None,
    *,
    resume: bool,
) -> None:
    """Send the files that aren't there yet, and let all take their names."""
    # What is there may turn out to be what is wanted.
    target.check(replace(terms, force=terms.force or resume))
    uploads = target.claim()
    try:
        with uploads.held():
            if resume:
                _find_whole(files)
                ours = {file.name for file in files if file.placed} | target.as_wanted()
                terms = replace(terms, ours=frozenset(ours))
                target.check(terms)
            # Where nothing old is in the way, what is whole may be seen.
            early = resume and isinstance(target, ObjectFolder) and target.weights() <= terms.ours
            _send_all(files, uploads, progress, early=early)
            new = {file.name: file.final for file in files if not file.placed}
            ours = {file.name for file in files if file.placed}
            target.publish(uploads, new, replace(terms, ours=terms.ours | ours))
    except BaseException as error:
        if uploads.note is not None:
            error.add_note(uploads.note)
        raise


def _find_whole(files: Sequence[Sending]) -> None:
    """Find the files that are there already."""
    # Most runs don't need it.
    from initlib._verify import whole_digests

    for file in files:
        job = file.job
        what = file.final, job.format, job.plan, job.provenance
        threads, chunk_bytes = job.means.threads, job.means.chunk_bytes
        file.digests = whole_digests(*what, threads=threads, chunk_bytes=chunk_bytes)
        file.kept = file.placed = file.digests is not None


def _send_all(
    files: Sequence[Sending], uploads: Uploads, progress: Progress | None, *, early: bool
) -> None:
    """Send one file after the other, but for those that are there.

    Args:
        files: all of the output.
        uploads: keeps account of what is sent.
        progress: is told how far it is; a byte is done when it was made, and again when it is sent.
        early: let each take its name once it is whole.
    """
    total, done = 2 * sum(file.job.plan.nbytes for file in files), 0

    def advance(nbytes: int) -> None:
        nonlocal done
        done += nbytes
        if progress is not None:
            progress(done // 2, total // 2)

    for file in files:
        if file.digests is not None:
            advance(2 * file.job.plan.nbytes)
            continue
        file.digests = _send(file, uploads, advance)
        if early:
            # An interrupt could come once it has its name, and before it is noted.
            with uninterrupted():
                uploads.publish(file.final)
                file.placed = True
                there = sum(each.placed for each in files)
                uploads.note = (
                    f"{there:,} of {len(files):,} shards are there, and --resume goes on from there"
                )


def _send(file: Sending, uploads: Uploads, advance: Callable[[int], None]) -> list[str]:
    """Make a file and send it, but for letting it take its name; return the tensors' digests."""
    job, means, check = file.job, file.job.means, checker()
    maker = job.maker()

    def told(nbytes: int) -> None:
        check()
        advance(nbytes)

    with pool(2 * means.threads) as executor:
        digests = _digests(job, maker, told, executor)
        offsets, fd = _skeleton(file, digests)
        try:
            sending = uploads.begin(file.final, os.fstat(fd).st_size, check)
            sender = Sender(maker, offsets, fd, sending, check, told)
            _compare(job, digests, sender.send_all(executor))
        finally:
            os.close(fd)
    return digests


def _skeleton(file: Sending, digests: Sequence[str]) -> tuple[Sequence[int], int]:
    """Lay a file out, with holes for the values; return their places and what it is open as.

    It has no name any more, so that nothing is left of it however the process ends.

    Raises:
        StorageError: there is no room for it.
    """
    job, temporary = file.job, tempfile.gettempdir()
    with tempfile.TemporaryDirectory(prefix="initgen-", dir=temporary) as folder:
        path = Path(folder) / "skeleton"
        try:
            offsets = job.format.create(path, job.plan.entries, job.provenance.metadata(digests))
            return offsets, os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except StorageError as error:
            why = str(error).removeprefix(f"{path}: ")
            problem = f"its header is laid out in {temporary} (TMPDIR names another folder), but"
            raise StorageError(f"{file.final}: {problem} {why}") from error


def _digests(job: Job, maker: Maker, told: Callable[[int], None], executor: Executor) -> list[str]:
    """Make everything once, for the digests."""
    offsets, _ = job.format.layout(job.plan.entries, job.places)
    return Writer(maker, offsets, Nowhere(), job.means.threads, told).write_all(executor)


def _compare(job: Job, before: Sequence[str], after: Sequence[str]) -> None:
    """Raise RequestError if the values that were sent aren't those of the digests."""
    for tensor, one, other in zip(job.plan.tensors, before, after, strict=True):
        if one != other:
            problem = "its code makes other values each time; write it to a disk, and copy that"
            raise tensor.where.error(f"{tensor.entry.name!r}: {problem}")
