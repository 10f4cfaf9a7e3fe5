"""What a checkpoint is to be held against: its own provenance, or somebody's manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from initlib import _manifest
from initlib._checkpoint import Checkpoint, Stored, open_checkpoint, read_metadata
from initlib._compare import Array, Read
from initlib._custom import source_sha256
from initlib._dtypes import dtype_name
from initlib._errors import RequestError, StorageError
from initlib._formats import Entry, Source, file_size
from initlib._manifest import Manifest
from initlib._plan import Plan, TensorPlan, make_plan
from initlib._provenance import Record, checksum, manifest_sha256, read_record, resolved
from initlib._remote import Place
from initlib._verify._layout import Layout, layout_of
from initlib._verify._verdicts import TensorVerdict, made_otherwise, misshapen, missing, unexpected
from initlib._version import __version__

# Globs of --only that are named.
FEW = 10


@dataclass(frozen=True, slots=True)
class Case:
    """A checkpoint and what it ought to be.

    Attributes:
        plan: the tensors that are there in the right shape and dtype.
        read: reads elements of these.
        places: for each a number by which they lie in the order of the file.
        digests: of tensors as they are recorded in the file, by name.
        verdicts: of tensors that can't be compared.
        problem: what is wrong with the file beside its values; None if nothing is.
        notes: what else is to be known.
        recorded: whether a manifest that it isn't held against is the one it was made from.
        origin: hash of the manifest of the whole, as the file says, of which it may be a shard.
    """

    plan: Plan
    read: Read
    places: Sequence[int]
    digests: Mapping[str, str]
    verdicts: tuple[TensorVerdict, ...] = ()
    problem: str | None = None
    notes: tuple[str, ...] = ()
    recorded: bool | None = None
    origin: str = ""


@contextmanager
def against_provenance(
    path: Place,
    *,
    allow_code: bool,
    allow_files: bool = False,
    manifest: Manifest | None = None,
) -> Iterator[Case]:
    """Hold a file against what it says of itself.

    Args:
        path: the file.
        allow_code: let custom initializers run, whose code is looked for beside the file.
        allow_files: let tensors be taken from files outside of the file's folder.
        manifest: which the file's own has to be equal to; None if any will do.

    Raises:
        RequestError: it has no provenance, or its code can't be run.
        StorageError: it can't be read, or its provenance is damaged.
    """
    found = read_metadata(path)
    if found is None:
        raise _without_provenance(path)
    file_format, metadata = found
    record = _record(path, metadata)
    plan = _recorded_plan(path, record, within=not allow_files)
    layout = layout_of(path, file_format, plan.entries, metadata)
    others = [] if manifest is None else [*_other_manifest(record, manifest)]
    recorded = None if manifest is None else not others
    problems = [*_contradictions(record, metadata, plan), *others]
    notes: tuple[str, ...] = ()
    if allow_code and any(tensor.initializer is None for tensor in plan.tensors):
        plan = make_plan(
            plan.manifest,
            only=plan.only,
            allow_code=True,
            skip_absent=True,
            within=not allow_files,
        )
        notes = tuple(dict.fromkeys(_changed_code(plan, record)))
    # A flipped bit leaves a file its size. What has another size was written anew, and values may
    # lie elsewhere; but a damaged HDF5 file can keep its library from ever returning.
    if layout.same or (file_format.name == "hdf5" and layout.size == layout.found):
        if not layout.same:
            problems.append(f"byte {layout.differs} isn't as it was written")
        with Source.open(path) as source:
            read = reader(source, plan.entries, layout.offsets)
            problem = "; ".join(problems) or None
            told = problem, notes, recorded, record.origin
            yield Case(plan, read, layout.offsets, record.digests, (), *told)
        return
    with open_checkpoint(path) as checkpoint:
        case = _matched(plan, checkpoint, [record])
        problems.append(_rewritten(layout, same=not case.verdicts))
        problem = "; ".join(problems)
        yield replace(case, problem=problem, notes=notes, recorded=recorded, origin=record.origin)


@contextmanager
def against_manifest(path: Place, manifest: Manifest, *, allow_code: bool) -> Iterator[Case]:
    """Hold any checkpoint against a manifest.

    Raises:
        RequestError: the manifest is wrong, or has code that may not run, whose tensors the
            checkpoint has no digest of.
        StorageError: the checkpoint can't be read.
    """
    plan = make_plan(manifest, allow_code=allow_code, skip_code=not allow_code)
    with open_checkpoint(path) as checkpoint:
        trusted = [_trusted(texts, plan) for texts in checkpoint.metadata]
        notes = tuple(dict.fromkeys(note for _, found in trusted for note in found))
        yield replace(_matched(plan, checkpoint, [record for record, _ in trusted]), notes=notes)


def _without_provenance(path: Place) -> RequestError:
    return RequestError(
        f"{path} doesn't say how it was made (it has no provenance of initgen's); "
        "--manifest (in Python manifest=...) says what it should be"
    )


def _record(path: Place, metadata: Mapping[str, str]) -> Record:
    try:
        record = read_record(metadata)
    except ValueError as error:
        raise StorageError(f"{path}: {error}") from error
    if record is None:
        raise _without_provenance(path)
    return record


def _recorded_plan(path: Place, record: Record, *, within: bool) -> Plan:
    """Return the plan that a file was made by, without its custom code.

    Raises:
        StorageError: there can't have been such a plan.
    """
    try:
        manifest = _manifest.read(record.manifest)
        manifest = replace(manifest, folder=path.parent.resolve())
        # A small file must not be able to ask for millions of tensors.
        most = len(record.tensors) + 1
        plan = make_plan(
            manifest,
            only=record.only,
            skip_code=True,
            skip_absent=True,
            within=within,
            most=most,
        )
    except RequestError as error:
        reason = str(error).removeprefix("<manifest>: ")
        raise StorageError(f"{path}: its provenance can't be right: {reason}") from error
    if {tensor.entry.name for tensor in plan.tensors} != record.tensors.keys():
        raise StorageError(f"{path}: its provenance can't be right: it lists other tensors")
    size = file_size(path)
    if plan.nbytes > size:
        raise StorageError(
            f"{path}: expected {plan.nbytes} bytes of values, but the file has only {size} in all"
        )
    return plan


def _contradictions(record: Record, metadata: Mapping[str, str], plan: Plan) -> Iterator[str]:
    """Yield what is wrong with a provenance that can be read."""
    if checksum(metadata) != record.checksum:
        yield "its metadata isn't as it was written: the checksum doesn't fit"
    if manifest_sha256(record.manifest) != record.manifest_sha256:
        yield "its manifest_sha256 isn't that of its manifest"
    if record.seed != plan.manifest.seed:
        yield f"it names the seed {record.seed}, but its manifest {plan.manifest.seed}"
    # Another version may write the same initializer with other arguments.
    if record.version == __version__:
        distinct = {id(tensor.spec): tensor for tensor in plan.tensors if not tensor.spec.custom}
        for tensor in distinct.values():
            if record.initializer(tensor.entry.name) != resolved(tensor):
                yield f"it names another initializer of {tensor.entry.name!r} than its manifest"


def _other_manifest(record: Record, manifest: Manifest) -> Iterator[str]:
    """Yield how the manifest that a file was made from differs from another one."""
    if record.origin != manifest.sha256:
        seed = "with the same seed"
        if record.seed != manifest.seed:
            seed = f"with seed {record.seed}, not {manifest.seed}"
        yield f"it was made from another manifest, {seed}"
    if record.only:
        more = f" and {len(record.only) - FEW:,} more" if len(record.only) > FEW else ""
        yield f"it was made with --only {' '.join(record.only[:FEW])}{more}"


def _changed_code(plan: Plan, record: Record) -> Iterator[str]:
    """Yield what isn't the code that made the file any more."""
    for tensor in plan.tensors:
        if tensor.spec.custom:
            recorded = record.initializer(tensor.entry.name).get("source_sha256")
            if recorded != source_sha256(tensor.initializer):
                yield f"{tensor.source} isn't the code that made the file: its SHA-256 differs"


def with_notes(case: Case) -> Case:
    """Return a case with a note on each file that tensors were taken from and that can't be used.

    These tensors are compared by digest.
    """
    reasons = [tensor.absent for tensor in case.plan.tensors if tensor.absent is not None]
    told = [f"{reason}: digests are compared" for reason in dict.fromkeys(reasons)]
    return replace(case, notes=(*case.notes, *told))


def _rewritten(layout: Layout, *, same: bool) -> str:
    """Say how a file that was laid out by somebody else differs."""
    where = f"from byte {layout.differs} on"
    if layout.differs is None:
        where = f"{layout.found} bytes long, not {layout.size}"
    if same:
        return (
            "it says the same as the file that was written, but not in the same bytes "
            f"({where}): another program or version wrote it again"
        )
    return f"its header isn't as it was written ({where})"


def reader(source: Source, entries: Sequence[Entry], offsets: Sequence[int]) -> Read:
    """Return what reads elements of a file's tensors, given where these begin."""

    def read(index: int, start: int, out: Array) -> None:
        source.read_at(offsets[index] + start * out.itemsize, out.view(np.uint8))

    return read


def _trusted(metadata: Mapping[str, str], plan: Plan) -> tuple[Record | None, tuple[str, ...]]:
    """Return the provenance of a checkpoint, if it is whole, and how it differs from a plan."""
    try:
        record = read_record(metadata)
    except ValueError as error:
        return None, (str(error),)
    if record is None:
        return None, ()
    if checksum(metadata) != record.checksum:
        return None, ("its metadata isn't as it was written: the checksum doesn't fit",)
    return record, tuple(_other_manifest(record, plan.manifest))


def _matched(plan: Plan, checkpoint: Checkpoint, records: Sequence[Record | None]) -> Case:
    """Find a plan's tensors by their names in a checkpoint, whose files say this of themselves."""
    stored = {each.entry.name: each for each in checkpoint.tensors}
    unread = {each.name: each.what for each in checkpoint.unread}
    verdicts: list[TensorVerdict] = []
    there: list[tuple[TensorPlan, Stored]] = []
    for tensor in plan.tensors:
        found = stored.pop(tensor.entry.name, None)
        if found is None:
            verdicts.append(missing(tensor, unread.pop(tensor.entry.name, None)))
        elif verdict := misshapen(tensor, found.entry) or _other_code(tensor, records[found.file]):
            verdicts.append(verdict)
        else:
            there.append((tensor, found))
    verdicts.extend(unexpected(name, _told(each.entry)) for name, each in stored.items())
    verdicts.extend(unexpected(name, what) for name, what in unread.items())
    # Those without a place are read last, through the format's library.
    there.sort(key=lambda pair: (pair[1].offset is None, pair[1].file, pair[1].offset or 0))

    def read(index: int, start: int, out: Array) -> None:
        checkpoint.read_into(there[index][1], start, out)

    known = (record.digests for record in records if record is not None)
    digests = {name: digest for each in known for name, digest in each.items()}
    part = replace(plan, tensors=tuple(tensor for tensor, _ in there))
    return Case(part, read, range(len(there)), digests, tuple(verdicts))


def _told(entry: Entry) -> str:
    return f"{dtype_name(entry.dtype)} {list(entry.shape)}"


def _other_code(tensor: TensorPlan, record: Record | None) -> TensorVerdict | None:
    """Say that code which isn't run isn't known to have made a tensor.

    Raises:
        RequestError: nothing is known of what made it.
    """
    if tensor.initializer is not None:
        return None
    if record is None or tensor.entry.name not in record.tensors:
        raise tensor.where.error(
            f"for {tensor.entry.name!r}: {tensor.spec.identifier} is code, which runs only where "
            "--allow-code (in Python allow_code=True) lets it, and the file has no digest to go by"
        )
    row = record.initializer(tensor.entry.name)
    spec = {"class_name": tensor.spec.identifier, "config": dict(tensor.spec.config)}
    if spec.items() <= row.items():
        return None
    return made_otherwise(tensor, str(row.get("class_name")))
