"""Writing a checkpoint: from a manifest to a file that is whole under its final name."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from initlib import _manifest, _shards
from initlib._dtypes import dtype_name
from initlib._errors import RequestError
from initlib._formats import FORMATS, SUFFIXES, Format, format_for
from initlib._generate._job import Job, Means, Shard
from initlib._generate._spread import Order
from initlib._generate._upload import Sending, upload
from initlib._generate._way import Way
from initlib._output import (
    ObjectFile,
    ObjectFolder,
    Output,
    OutputFolder,
    Target,
    Terms,
    file_at,
    folder_at,
    is_folder,
)
from initlib._plan import Plan, make_plan
from initlib._remote import Place
from initlib._workers import MEMORY, Progress

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
        path: the file or folder, as it was asked for.
        files: the names of the files in a folder; empty where `path` is the file.
        kept: the names of those that were there already, whole, and that `resume` kept.
        format: "safetensors" or "hdf5".
        seed: the manifest's seed, or the one that replaced it.
        manifest_sha256: hash of the manifest in canonical form.
        parameters: number of elements.
        nbytes: bytes of tensor data; the file has a header besides.
        seconds: how long it took; 0 for a dry run.
        tensors: one row each, in the manifest's order.
    """

    path: Place
    files: tuple[str, ...]
    kept: tuple[str, ...]
    format: str
    seed: int
    manifest_sha256: str
    parameters: int
    nbytes: int
    seconds: float
    tensors: tuple[TensorInfo, ...]


def generate(
    manifest: Source,
    output: str | os.PathLike[str] | None = None,
    *,
    format: str | None = None,
    seed: int | None = None,
    dtype: Any = None,
    only: str | Sequence[str] = (),
    max_shard_size: int | str | None = None,
    copy_from: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    memory: int | str = MEMORY,
    force: bool = False,
    resume: bool = False,
    dry_run: bool = False,
    allow_code: bool = False,
    engine: Any = None,
    part: str | tuple[int, int] | None = None,
    finish: bool = False,
    progress: Progress | None = None,
    commit: Callable[[], None] | None = None,
) -> Generated:
    """Write the checkpoint that a manifest describes.

    The file appears under its name only once it is whole; whatever goes wrong leaves what was there
    before. docs/reliability.md has this in detail.

    Args:
        manifest: a YAML or JSON file, ``-`` for standard input, an open text file, or a mapping.
        output: the file to write, or a folder (one that is there, or ends with "/") for a
            safetensors file or shards and their index, under the names that transformers expects;
            or an address such as s3://bucket/key.
            None is the manifest's name (model, if it has none), for a file with the format's
            suffix.
        format: "safetensors" or "hdf5"; None goes by the suffix of `output`.
        seed: replaces the manifest's seed.
        dtype: replaces the manifest's default dtype, by its name or as NumPy's; layers that have
            their own keep it.
        only: a glob or globs of tensor names: others are left out. What is made is the same.
        max_shard_size: the most bytes of tensors in a file, or a string such as "5GB"; asks for a
            folder. None is 5 GB there. A larger tensor has a file by itself. What a tensor's bytes
            are doesn't depend on it.
        copy_from: a model's folder, whose config and tokenizer files are copied into the output,
            which is a folder then.
        threads: how many threads to use; None is one for each core. The bytes don't depend on it.
        memory: bytes for buffers, or a string such as "64MiB". The bytes don't depend on it either.
        force: replace an existing file.
        resume: keep what is there already of this very checkpoint, if its digests verify: shards
            that an earlier run has finished, or the whole of it; and should this run fail, keep the
            shards that it has finished for another try. Of a single file no part is kept.
        dry_run: resolve and check the manifest, and write nothing; custom code is imported, but
            makes no tensor.
        allow_code: let the manifest's custom initializers run.
        engine: what makes the files of a folder in other processes: "dask" for the Dask cluster of
            Dask's configuration, or one on this machine; "dask://HOST:PORT" for that of a
            scheduler; or a Dask client, or any executor like those of `concurrent.futures`, such as
            mpi4py's. Each process needs initlib, and the output's folder and manifest's files under
            the same path. `threads` (None is 1) and `memory` are what each file may take.
        part: make one of several parts of a folder's files, such as "3/16", the third of sixteen.
            Several machines may make one each, at once or one after the other. The files wait,
            under hidden names, for `finish`.
        finish: let the files that parts have made take their names, once all of them are there.
        progress: is called with the bytes done and the total, now and then, by one thread at a
            time.
        commit: is called when everything is whole, before the first file takes its name. What it
            raises prevents that.

    Raises:
        RequestError: the manifest or another argument is wrong; a ManifestError says where.
        StorageError: it could not be written, or another run is writing it. Where shards are kept,
            a note of the exception says so.
    """
    begin = time.perf_counter()
    way = Way.of(engine, part, finish=finish)
    threads = 1 if threads is None and engine is not None else threads
    means = Means.of(threads, memory)
    globs = (only,) if isinstance(only, str) else tuple(only)
    shard_bytes = _shards.shard_bytes(max_shard_size)
    loaded = _manifest.read(manifest, seed=seed, dtype=dtype)
    sharded = max_shard_size is not None or copy_from is not None or way.in_parts
    target, file_format = _target(output, loaded.source, format, copy_from, sharded=sharded)
    way.check(target)
    plan = make_plan(loaded, only=globs, allow_code=allow_code)
    plans = [plan] if isinstance(target, Output | ObjectFile) else _shards.split(plan, shard_bytes)
    jobs = [Job(each, file_format, means) for each in plans]
    for job in jobs:
        job.plan.check(file_format, job.places)
    names, target = _named(plan, plans, target)
    terms = None if dry_run else Terms(force, loaded.source, commit=commit)
    if isinstance(target, ObjectFile | ObjectFolder):
        sent = upload(jobs, names, target, terms, progress, resume=resume)
        return _summary(
            plan, file_format, sent, target, 0.0 if dry_run else time.perf_counter() - begin
        )
    shards = way.share(_shards_of(jobs, names, target))
    if terms is not None:
        size = None if isinstance(target, Output) else shard_bytes
        order = None
        if engine is not None:
            order = Order.of(plan, size, file_format, means, allow_code=allow_code)
        way.go(shards, target, terms, progress, order, resume=resume)
    return _summary(
        plan, file_format, shards, target, 0.0 if dry_run else time.perf_counter() - begin
    )


def _target(
    output: str | os.PathLike[str] | None,
    source: str,
    format: str | None,
    copy_from: str | os.PathLike[str] | None,
    *,
    sharded: bool,
) -> tuple[Target, Format]:
    """Return the file or folder to write, by default one named as the manifest, and the format.

    Raises:
        RequestError: no file has that name, or shards aren't of that format.
    """
    stem = "model" if source.startswith("<") else Path(source).stem
    if output is None:
        chosen = format_for("", format) if format else FORMATS["safetensors"]
        output = stem if sharded else stem + chosen.suffixes[0]
    name = os.fspath(output)
    if not name or copy_from == "":
        raise RequestError("expected the name of a file or folder, received an empty one")
    folder = is_folder(name)
    hdf5 = format is not None and format_for("", format).name != "safetensors"
    if not sharded and (hdf5 or not (name.endswith("/") or folder)):
        return file_at(output), format_for(name, format)
    if hdf5:
        raise RequestError(f"{name}: a folder is of safetensors files, not of {format}")
    if Path(name).suffix.lower() in SUFFIXES and not folder:
        what = "shards" if copy_from is None else "copies of config files"
        raise RequestError(f"{name}: expected a folder's name for {what}, received a file's")
    return folder_at(output, copy_from), FORMATS["safetensors"]


def _named(plan: Plan, plans: Sequence[Plan], target: Target) -> tuple[Sequence[str], Target]:
    """Return the names of a plan's files, and the target with the index of several."""
    if isinstance(target, Output | ObjectFile):
        return [target.final.name], target
    if len(plans) > 1:
        target = replace(target, index=(_shards.INDEX, _shards.index_text(plan, plans)))
    return _shards.file_names(len(plans)), target


def _shards_of(
    jobs: Sequence[Job], names: Sequence[str], target: Output | OutputFolder
) -> list[Shard]:
    """Return the files that jobs make."""
    claim = target.claim()
    numbered = enumerate(zip(jobs, names, strict=True), start=1)
    return [Shard(n, job, name, claim.new(n), target.place(name)) for n, (job, name) in numbered]


def _summary(
    plan: Plan,
    file_format: Format,
    files: Sequence[Shard | Sending],
    target: Target,
    seconds: float,
) -> Generated:
    """Return what was done as plain data."""
    rows = tuple(
        TensorInfo(
            tensor.entry.name,
            dtype_name(tensor.entry.dtype),
            tensor.entry.shape,
            str(tensor.spec),
            tensor.entry.nbytes,
            file.digests[i] if file.digests else None,
        )
        for file in files
        for i, tensor in enumerate(file.job.plan.tensors)
    )
    return Generated(
        path=target.path,
        files=() if isinstance(target, Output | ObjectFile) else tuple(file.name for file in files),
        kept=tuple(file.name for file in files if file.kept),
        format=file_format.name,
        seed=plan.manifest.seed,
        manifest_sha256=plan.manifest.sha256,
        parameters=sum(file.job.plan.parameters for file in files),
        nbytes=sum(file.job.plan.nbytes for file in files),
        seconds=seconds,
        tensors=rows,
    )
