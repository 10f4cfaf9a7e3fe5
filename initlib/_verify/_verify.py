"""Verifying a checkpoint: its tensors are made again and compared with it, bit for bit."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TextIO

from initlib import _manifest
from initlib._checkpoint import INDEX_SUFFIX, open_checkpoint
from initlib._compare import Comparer, Found, merged
from initlib._description import SCHEMA_VERSION
from initlib._make import Maker
from initlib._manifest import Manifest
from initlib._plan import Chunk, make_chunks
from initlib._remote import Place, named, path_of
from initlib._verify._cases import Case, against_manifest, against_provenance, with_notes
from initlib._verify._verdicts import TensorVerdict, by_digest, by_values
from initlib._workers import MEMORY, QUEUED, Progress, bounded, buffer_bytes, pool, thread_count
from initlib.initializers._from_file import closing_files

Source = str | os.PathLike[str] | Mapping[str, Any] | TextIO


@dataclass(frozen=True, slots=True)
class Verified:
    """What `verify` found.

    Attributes:
        path: the checkpoint, as it was given.
        same: whether it is what it should be, to the last bit.
        by: what says what its values should be: its own "provenance", or a "manifest". Digests
            are in the provenance alone.
        quick: whether digests alone were compared.
        recorded: with `quick`, whether the manifest that was given is the one it was made from;
            None if none was given.
        header: what is wrong with the file beside the values; None if nothing is. Against a
            manifest only its tensors count.
        notes: what else is to be known, such as that custom code has changed.
        values: how many tensors were made again and have the same bits.
        tolerance: how many are as near as their initializers promise, with the recorded digest.
        digest: how many have the recorded digest, and weren't made again.
        different: how many aren't what they should be.
        parameters: how many elements were compared.
        nbytes: how many bytes they take.
        seconds: how long it took.
        tensors: one row each: first those that couldn't be compared, then the others in the order
            of the manifest or of the file.
        schema_version: of these fields.
    """

    path: str
    same: bool
    by: Literal["provenance", "manifest"]
    quick: bool
    recorded: bool | None
    header: str | None
    notes: tuple[str, ...]
    values: int
    tolerance: int
    digest: int
    different: int
    parameters: int
    nbytes: int
    seconds: float
    tensors: tuple[TensorVerdict, ...]
    schema_version: int = SCHEMA_VERSION


def verify(
    path: str | os.PathLike[str],
    *,
    manifest: Source | None = None,
    quick: bool = False,
    allow_code: bool = False,
    allow_files: bool = False,
    threads: int | None = None,
    memory: int | str = MEMORY,
    progress: Progress | None = None,
) -> Verified:
    """Find out whether a checkpoint is what its provenance or a manifest says, bit for bit.

    Against its provenance the whole file counts: every byte beside the values is compared as well.
    Of a folder or an index of shards, each file is held against its own.
    Against a manifest the tensors count, in whatever file they are.

    Args:
        path: the checkpoint; with `manifest` anyone's.
        manifest: what it should be, as `generate` takes it; None goes by the file's provenance.
        quick: make nothing again, but compare the values' digests with the recorded ones, and a
            manifest with the one that is recorded.
        allow_code: let custom initializers run, whose code is looked for beside the manifest or, if
            there is none, beside the file. Otherwise their tensors are compared by digest.
        allow_files: without `manifest`, let tensors be compared with files outside of the
            checkpoint's folder that it says they were taken from; otherwise they go by digest.
        threads: how many threads to use; None is one for each core.
        memory: bytes for buffers, or a string such as "64MiB".
        progress: is called with the bytes done and the total, now and then.

    Raises:
        RequestError: there is neither provenance nor a manifest, or an argument is wrong.
        StorageError: the checkpoint can't be read, or it or its provenance is damaged.
    """
    begin = time.perf_counter()
    workers = thread_count(threads)
    chunk_bytes = buffer_bytes(memory, workers, buffers=2)
    loaded = None if manifest is None else _manifest.read(manifest)
    by_manifest = loaded is not None and not quick
    place = path_of(path)
    files = [(place, progress)] if by_manifest else _files(place, progress)
    parts: list[_Part] = []
    for file, report in files:
        case_of = partial(_case, quick=quick, allow_code=allow_code, allow_files=allow_files)
        with closing_files(), case_of(file, loaded) as case:
            job = Job(case, workers, chunk_bytes, report)
            verdicts = (*case.verdicts, *job.verdicts(quick=quick))
            parts.append(_Part.of(file.name, case if quick else with_notes(case), verdicts))
    problem, notes = _told(parts, loaded if quick else None)
    rows = tuple(verdict for part in parts for verdict in part.verdicts)
    counts = Counter(verdict.how for verdict in rows if verdict.same)
    different = sum(not verdict.same for verdict in rows)
    return Verified(
        path=named(path),
        same=problem is None and not different,
        by="manifest" if by_manifest else "provenance",
        quick=quick,
        recorded=all(part.recorded for part in parts) if quick and loaded is not None else None,
        header=problem,
        notes=notes,
        values=counts["values"],
        tolerance=counts["tolerance"],
        digest=counts["digest"],
        different=different,
        parameters=sum(part.parameters for part in parts),
        nbytes=sum(part.nbytes for part in parts),
        seconds=time.perf_counter() - begin,
        tensors=rows,
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """What was found in one file, without its plan, which may be large."""

    name: str
    verdicts: tuple[TensorVerdict, ...]
    origin: str
    problem: str | None
    notes: tuple[str, ...]
    recorded: bool | None
    parameters: int
    nbytes: int

    @classmethod
    def of(cls, name: str, case: Case, verdicts: tuple[TensorVerdict, ...]) -> _Part:
        """Return what a case and the verdicts on it say."""
        plan, told = case.plan, (case.problem, case.notes, case.recorded)
        return cls(name, verdicts, case.origin, *told, plan.parameters, plan.nbytes)


def _files(path: Place, progress: Progress | None) -> list[tuple[Place, Progress | None]]:
    """Return the files of a checkpoint, and what to tell of the progress in each of them.

    Raises:
        RequestError: there are none.
        StorageError: shards aren't what their index says.
    """
    if path.is_file() and not path.name.endswith(INDEX_SUFFIX):
        return [(path, progress)]
    with open_checkpoint(path) as checkpoint:
        sizes = [0] * len(checkpoint.files)
        for stored in checkpoint.tensors:
            sizes[stored.file] += stored.entry.nbytes
        files = checkpoint.files
    before = [sum(sizes[:i]) for i in range(len(sizes))]
    return [
        (file, progress and partial(_report, progress, done, sum(sizes)))
        for file, done in zip(files, before, strict=True)
    ]


def _report(progress: Progress, before: int, total: int, done: int, _: int) -> None:
    """Tell of the progress in one of several files."""
    progress(before + done, total)


def _told(parts: Sequence[_Part], manifest: Manifest | None) -> tuple[str | None, tuple[str, ...]]:
    """Return what is wrong beside the values, and the notes; of several files with their names."""
    several = len(parts) > 1

    def told(part: _Part, text: str) -> str:
        return f"{part.name}: {text}" if several else text

    problems = [told(part, part.problem) for part in parts if part.problem is not None]
    notes = [told(part, note) for part in parts for note in part.notes]
    # Of a file alone, its own problem says why.
    complete = manifest if several or not problems else None
    if len({part.origin for part in parts}) > 1:
        problems.append("its files were made from several manifests")
    elif complete is not None and (absent := _absent(parts, complete)):
        where = "none of its files" if several else "other shards"
        problems.append(f"{absent:,} of the manifest's tensors are in {where}")
    return "; ".join(problems) or None, tuple(notes)


def _absent(parts: Sequence[_Part], manifest: Manifest) -> int:
    """Return how many tensors of a manifest no file has."""
    there = {verdict.name for part in parts for verdict in part.verdicts}
    return sum(spec.name not in there for spec in manifest.tensors())


def _case(
    path: Place,
    manifest: Manifest | None,
    *,
    quick: bool,
    allow_code: bool,
    allow_files: bool,
) -> AbstractContextManager[Case]:
    if manifest is None or quick:
        allowed = allow_code and not quick
        return against_provenance(
            path, allow_code=allowed, allow_files=allow_files, manifest=manifest
        )
    return against_manifest(path, manifest, allow_code=allow_code)


@dataclass(frozen=True, slots=True)
class Job:
    """A comparison together with how it is carried out."""

    case: Case
    threads: int
    chunk_bytes: int
    progress: Progress | None

    def verdicts(self, *, quick: bool) -> Iterator[TensorVerdict]:
        """Yield what there is to say of each tensor that is there."""
        plan, digests = self.case.plan, self.case.digests
        alone = [
            quick or tensor.initializer is None or tensor.absent is not None
            for tensor in plan.tensors
        ]
        found = self._found(alone)
        for index, tensor in enumerate(plan.tensors):
            whole = merged(found[index])
            if alone[index]:
                yield by_digest(tensor, whole, digests[tensor.entry.name])
            else:
                yield by_values(tensor, whole, digests.get(tensor.entry.name))

    def _found(self, alone: list[bool]) -> list[list[Found]]:
        """Return what was found in each tensor; of some the digest `alone` is wanted."""
        found: list[list[Found]] = [[] for _ in alone]
        done, total = 0, self.case.plan.nbytes
        with pool(self.threads) as executor:
            for by_digest in (False, True):
                chosen = [index for index, each in enumerate(alone) if each is by_digest]
                for chunk, parts in self._compare(executor, chosen, by_digest=by_digest):
                    for index, part in parts:
                        found[chosen[index]].append(part)
                    done += chunk.nbytes
                    if self.progress is not None:
                        self.progress(done, total)
        return found

    def _compare(
        self, executor: Executor, chosen: list[int], *, by_digest: bool
    ) -> Iterator[tuple[Chunk, list[tuple[int, Found]]]]:
        """Compare the chosen tensors; yield chunks with what was found by places in `chosen`."""
        tensors = [self.case.plan.tensors[index] for index in chosen]
        if by_digest:
            # Nothing is made, so any piece can be read by itself.
            tensors = [replace(tensor, streams=True) for tensor in tensors]
        plan = replace(self.case.plan, tensors=tuple(tensors))
        maker = Maker(plan, self.chunk_bytes, self.threads, self.threads)
        if not by_digest:
            maker.prepare()
        read = self.case.read
        comparer = Comparer(maker, lambda index, start, out: read(chosen[index], start, out))
        places = [self.case.places[index] for index in chosen]
        chunks = make_chunks(maker.plan, places, self.chunk_bytes)
        work = comparer.digests if by_digest else comparer.values
        return bounded(executor, work, chunks, QUEUED * self.threads)
