"""Making the files of an output, and letting them take their names."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from initlib._errors import StorageError
from initlib._generate._job import Shard, write
from initlib._output import Claim, Output, OutputFolder, Terms
from initlib._workers import Progress

# Shards that an error names.
FEW = 10

# A shard that is whole, where it is, and the digests of its tensors.
Made = tuple[Shard, Path, list[str]]


class Make(Protocol):
    """Makes shards, one after the other or at once."""

    def __call__(
        self, shards: Sequence[Shard], claim: Claim, advance: Callable[[int], None]
    ) -> Generator[Made]:
        """Yield each shard once it is whole.

        Args:
            shards: which.
            claim: the right to write them, which has places for them.
            advance: is to be told how many bytes are done.
        """


def make_here(
    shards: Sequence[Shard], claim: Claim, advance: Callable[[int], None]
) -> Generator[Made]:
    """Make shards in this process, one after the other."""
    for shard in shards:
        path = claim.unfinished(shard.number)
        yield shard, path, write(shard.job, path, advance)


def run(
    shards: Sequence[Shard],
    target: Output | OutputFolder,
    terms: Terms,
    progress: Progress | None,
    *,
    resume: bool,
    make: Make = make_here,
) -> None:
    """Make the shards that aren't whole yet, and let all take their names."""
    # What is there may turn out to be what is wanted.
    target.check(replace(terms, force=terms.force or resume))
    claim = target.claim()
    with _telling_what_is_kept(claim, len(shards)), claim.held():
        if resume:
            # Of a single file, a part is worth less than what a look into it could cost.
            _find_whole(shards, claim, hidden=len(shards) > 1)
            terms = _checked_again(shards, target, terms)
        claim.clear()
        _make_all(shards, target, claim, progress, make, keep=resume and len(shards) > 1)
        _publish(shards, target, claim, terms)


def run_part(
    shards: Sequence[Shard],
    part: tuple[int, int],
    target: OutputFolder,
    terms: Terms,
    progress: Progress | None,
    *,
    resume: bool,
) -> None:
    """Make the shards of a part that aren't whole yet. They wait for `finish` to name them."""
    target.check(replace(terms, force=terms.force or resume))
    claim = target.claim().part(*part)
    with _telling_what_is_kept(claim, len(shards)), claim.held():
        if resume:
            _find_whole(shards, claim, hidden=True)
            _checked_again(shards, target, terms)
        claim.clear()
        _make_all(shards, target, claim, progress, make_here, keep=True)
        if terms.commit is not None:
            terms.commit()


def finish(shards: Sequence[Shard], target: OutputFolder, terms: Terms) -> None:
    """Let shards that parts have made take their names.

    Raises:
        StorageError: one isn't there, or is of something else.
    """
    target.check(replace(terms, force=True))
    claim = target.claim()
    with _telling_what_is_kept(claim, len(shards)), claim.held():
        _find_made(shards, target, claim)
        claim.clear()
        _publish(shards, target, claim, _checked_again(shards, target, terms))


def _make_all(
    shards: Sequence[Shard],
    target: Output | OutputFolder,
    claim: Claim,
    progress: Progress | None,
    make: Make,
    *,
    keep: bool,
) -> None:
    """Make all that aren't whole; each is to stay, if asked for, whatever happens to the others."""
    target.check_space(sum(shard.job.written for shard in shards if shard.digests is None))
    total, done = sum(shard.job.plan.nbytes for shard in shards), 0

    def advance(nbytes: int) -> None:
        nonlocal done
        done += nbytes
        if progress is not None:
            progress(done, total)

    wanted = [shard for shard in shards if shard.digests is None]
    if len(wanted) < len(shards):
        advance(total - sum(shard.job.plan.nbytes for shard in wanted))
    with closing(make(wanted, claim, advance)) as made:
        for shard, path, digests in made:
            claim.finish(path, shard.number, keep=keep)
            shard.digests = digests


def _publish(
    shards: Sequence[Shard], target: Output | OutputFolder, claim: Claim, terms: Terms
) -> None:
    new = {shard.name: shard.new for shard in shards if not shard.placed}
    target.publish(claim, new, terms)


@contextmanager
def _telling_what_is_kept(claim: Claim, count: int) -> Iterator[None]:
    """Add to whatever goes wrong what is left for another try."""
    try:
        yield
    except BaseException as error:
        if claim.note is not None:
            error.add_note(claim.note)
        elif claim.left:
            kept = f"{len(claim.kept):,} of {count:,} shards are kept"
            error.add_note(f"{kept}, and --resume goes on from there")
        raise


def _find_whole(shards: Sequence[Shard], claim: Claim, *, hidden: bool) -> None:
    """Find the files that an earlier run has finished, under their names or also `hidden`."""
    # Most runs don't need it.
    from initlib._verify import whole_digests

    for shard in shards:
        job = shard.job
        what = job.format, job.plan, job.provenance
        threads, chunk_bytes = job.means.threads, job.means.chunk_bytes
        for path in (shard.final, shard.new) if hidden else (shard.final,):
            shard.digests = whole_digests(path, *what, threads=threads, chunk_bytes=chunk_bytes)
            if shard.digests is not None:
                _keep(shard, path, claim)
                break


def _find_made(shards: Sequence[Shard], target: OutputFolder, claim: Claim) -> None:
    """Find the files that parts have made, by their headers: they were whole when these were.

    Raises:
        StorageError: one isn't there, or is of something else.
    """
    from initlib._verify import OtherFileError, recorded

    missing = []
    for shard in shards:
        for path in (shard.new, shard.final):
            if not path.is_file():
                continue
            job = shard.job
            try:
                shard.digests = recorded(path, job.format, job.plan, job.provenance).digests
            except OtherFileError as error:
                raise StorageError(f"{target.path}: shard {shard.number}: {error}") from error
            _keep(shard, path, claim)
            break
        else:
            missing.append(f"{shard.number:,}")
    if missing:
        few = ", ".join(missing[:FEW]) + ", ..." * (len(missing) > FEW)
        what = f"{len(missing):,} of {len(shards):,} shards aren't there ({few})"
        raise StorageError(
            f"{target.path}: {what}; --part makes them, or --resume all that are left"
        )


def _keep(shard: Shard, path: Path, claim: Claim) -> None:
    """Take note of where a shard that is whole was found, which may be under its name."""
    shard.kept, shard.placed = True, path == shard.final
    if not shard.placed:
        claim.kept.add(path)


def _checked_again(shards: Sequence[Shard], target: Output | OutputFolder, terms: Terms) -> Terms:
    """Find out whether what is there may be replaced, now that it is known what is wanted of it."""
    ours = {shard.name for shard in shards if shard.placed} | target.as_wanted()
    terms = replace(terms, ours=frozenset(ours))
    target.check(terms)
    return terms
