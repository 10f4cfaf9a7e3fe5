"""Writing all files of an output, and letting them take their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from initlib._generate._job import Shard, write
from initlib._output import Claim, Output, OutputFolder, Terms
from initlib._workers import Progress


def make(
    files: Sequence[Shard],
    target: Output | OutputFolder,
    claim: Claim,
    terms: Terms,
    progress: Progress | None,
    *,
    resume: bool,
) -> None:
    """Make the files that aren't whole yet, and let all take their names."""
    # What is there may turn out to be what is wanted.
    target.check(replace(terms, force=terms.force or resume))
    try:
        with claim.held():
            if resume:
                _find_whole(files, claim)
                ours = {file.name for file in files if file.placed} | target.as_wanted()
                terms = replace(terms, ours=frozenset(ours))
                target.check(terms)
            claim.clear()
            target.check_space(sum(file.job.written for file in files if file.digests is None))
            _write_all(files, claim, progress, keep=resume and len(files) > 1)
            new = {file.name: file.new for file in files if not file.placed}
            target.publish(claim, new, terms)
    except BaseException as error:
        if claim.note is not None:
            error.add_note(claim.note)
        elif claim.left:
            kept = f"{len(claim.kept):,} of {len(files):,} shards are kept"
            error.add_note(f"{kept}, and --resume goes on from there")
        raise


def _find_whole(files: Sequence[Shard], claim: Claim) -> None:
    """Find the files that an earlier run has finished, under their names or not yet."""
    # Most runs don't need it.
    from initlib._verify import whole_digests

    for file in files:
        job = file.job
        # Of a single file, a part is worth less than what a look into it could cost.
        for path in (file.final, file.new) if len(files) > 1 else (file.final,):
            what = path, job.format, job.plan, job.provenance
            file.digests = whole_digests(*what, threads=job.threads, chunk_bytes=job.chunk_bytes)
            if file.digests is not None:
                file.kept = True
                file.placed = path == file.final
                if not file.placed:
                    claim.kept.add(path)
                break


def _write_all(
    files: Sequence[Shard], claim: Claim, progress: Progress | None, *, keep: bool
) -> None:
    """Write one file after the other, but for those that are whole.

    Args:
        files: all of the output.
        claim: the right to write them.
        progress: is told how far it is.
        keep: let each stay, once it is whole, whatever happens to the others.
    """
    total, done = sum(file.job.plan.nbytes for file in files), 0

    def advance(nbytes: int) -> None:
        nonlocal done
        done += nbytes
        if progress is not None:
            progress(done, total)

    for file in files:
        if file.digests is not None:
            advance(file.job.plan.nbytes)
            continue
        file.digests = write(file.job, file.new, advance)
        if keep:
            claim.keep(file.new)
