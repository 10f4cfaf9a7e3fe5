"""Writing a checkpoint: from a manifest to a file that is whole under its final name."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from initlib import _manifest
from initlib._dtypes import dtype_name
from initlib._formats import FORMATS, Format, format_for
from initlib._make import Maker
from initlib._output import Output
from initlib._plan import Plan, make_plan
from initlib._provenance import Provenance
from initlib._workers import (
    MEMORY,
    Progress,
    buffer_bytes,
    buffer_count,
    pool,
    thread_count,
)
from initlib._write import File, Writer

Source = str | os.PathLike[str] | Mapping[str, Any] | TextIO


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor of a checkpoint: what it is, and its digest once it was made."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    initializer: str
    nbytes: int
    digest: str | None


@dataclass(frozen=True, slots=True)
class Generated:
    """What `generate` wrote, or with `dry_run` would write.

    Attributes:
        path: the file, as it was asked for.
        format: "safetensors" or "hdf5".
        seed: the manifest's seed, or the one that replaced it.
        manifest_sha256: hash of the manifest in canonical form.
        parameters: number of elements.
        nbytes: bytes of tensor data; the file has a header besides.
        seconds: how long it took; 0 for a dry run.
        tensors: one row each, in the manifest's order.
    """

    path: Path
    format: str
    seed: int
    manifest_sha256: str
    parameters: int
    nbytes: int
    seconds: float
    tensors: tuple[TensorInfo, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """A plan together with how it is carried out.

    Attributes:
        plan: what to make.
        provenance: what the file says of it.
        places: the same as metadata, before the digests are known.
        format: of the file.
        threads: how many make chunks, and how many others write them.
        chunk_bytes: the most that one of them makes at a time.
        buffers: how many chunks may be in memory.
    """

    plan: Plan
    provenance: Provenance
    places: dict[str, str]
    format: Format
    threads: int
    chunk_bytes: int
    buffers: int


def generate(
    manifest: Source,
    output: str | os.PathLike[str] | None = None,
    *,
    format: str | None = None,
    seed: int | None = None,
    dtype: Any = None,
    only: str | Sequence[str] = (),
    threads: int | None = None,
    memory: int | str = MEMORY,
    force: bool = False,
    dry_run: bool = False,
    allow_code: bool = False,
    progress: Progress | None = None,
) -> Generated:
    """Write the checkpoint that a manifest describes.

    The file appears under its name only once it is whole; whatever goes wrong leaves what was there
    before.

    Args:
        manifest: a YAML or JSON file, ``-`` for standard input, an open text file, or a mapping.
        output: the file to write, or None for the manifest's name (model, if it has none) with the
            format's suffix.
        format: "safetensors" or "hdf5"; None goes by the suffix of `output`.
        seed: replaces the manifest's seed.
        dtype: replaces the manifest's default dtype, by its name or as NumPy's; layers that have
            their own keep it.
        only: a glob or globs of tensor names: others are left out. What is made is the same.
        threads: how many threads to use; None is one for each core. The bytes don't depend on it.
        memory: bytes for buffers, or a string such as "64MiB". The bytes don't depend on it either.
        force: replace an existing file.
        dry_run: resolve and check the manifest, and write nothing; custom code is imported, but
            makes no tensor.
        allow_code: let the manifest's custom initializers run.
        progress: is called with the bytes done and the total, now and then, by one thread at a
            time.

    Raises:
        RequestError: the manifest or another argument is wrong; a ManifestError says where.
        StorageError: it could not be written.
    """
    begin = time.perf_counter()
    workers = thread_count(threads)
    chunk_bytes = buffer_bytes(memory, workers)
    buffers = buffer_count(memory, workers, chunk_bytes)
    globs = (only,) if isinstance(only, str) else tuple(only)
    loaded = _manifest.read(manifest, seed=seed, dtype=dtype)
    target = Output.at(_path(output, loaded.source, format))
    file_format = format_for(target.path, format)
    plan = make_plan(loaded, only=globs, allow_code=allow_code)
    provenance = Provenance(plan)
    places = provenance.metadata()
    plan.check(file_format, places)
    job = Job(plan, provenance, places, file_format, workers, chunk_bytes, buffers)
    if dry_run:
        return _summary(job, target.path, None, 0.0)
    target.check(force=force, manifest=loaded.source)
    target.check_space(plan.nbytes)
    with target.temporary(force=force, manifest=loaded.source) as temporary:
        digests = _write(job, temporary, progress)
    return _summary(job, target.path, digests, time.perf_counter() - begin)


def _write(job: Job, path: Path, progress: Progress | None) -> list[str]:
    """Write a new file and bring it to the disk; return the tensors' digests."""
    maker = Maker(job.plan, job.chunk_bytes, job.threads, job.buffers)
    maker.prepare()
    offsets = job.format.create(path, job.plan.entries, job.places)
    total, done = job.plan.nbytes, 0

    def advance(nbytes: int) -> None:
        nonlocal done
        done += nbytes
        if progress is not None:
            progress(done, total)

    with closing(File(path, total)) as file:
        writer = Writer(maker, offsets, file, job.threads, advance)
        with pool(2 * job.threads) as executor:
            digests = writer.write_all(executor)
        job.format.replace_metadata(path, job.provenance.metadata(digests))
        file.sync()
    return digests


def _path(
    output: str | os.PathLike[str] | None, source: str, format: str | None
) -> str | os.PathLike[str]:
    """Return the file to write: the one named, or one named as the manifest."""
    if output is not None:
        return output
    stem = "model" if source.startswith("<") else Path(source).stem
    chosen = format_for("", format) if format else FORMATS["safetensors"]
    return stem + chosen.suffixes[0]


def _summary(job: Job, path: Path, digests: list[str] | None, seconds: float) -> Generated:
    """Return what was done as plain data."""
    rows = tuple(
        TensorInfo(
            tensor.entry.name,
            dtype_name(tensor.entry.dtype),
            tensor.entry.shape,
            str(tensor.spec),
            tensor.entry.nbytes,
            digests[i] if digests else None,
        )
        for i, tensor in enumerate(job.plan.tensors)
    )
    plan, sha256 = job.plan, job.provenance.manifest_sha256
    totals = (plan.parameters, plan.nbytes, seconds)
    return Generated(path, job.format.name, plan.manifest.seed, sha256, *totals, rows)
