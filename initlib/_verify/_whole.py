"""Whether a file is the one that a plan makes, found out without making it again."""

from __future__ import annotations

from typing import NamedTuple

from initlib._digest import UNKNOWN
from initlib._errors import StorageError
from initlib._formats import Format, Source
from initlib._plan import Plan
from initlib._provenance import Provenance, Record, read_record
from initlib._remote import Place
from initlib._verify._cases import Case, reader
from initlib._verify._layout import layout_of
from initlib._verify._verify import Job
from initlib._version import __version__
from initlib.initializers import FromFile


class Recorded(NamedTuple):
    """What a file says of the values of a plan's tensors, in the plan's order.

    Attributes:
        digests: of each.
        offsets: the byte of the file at which each begins.
    """

    digests: list[str]
    offsets: list[int]


class OtherFileError(Exception):
    """A file isn't the one that a plan makes; the message is a phrase."""


def recorded(path: Place, file_format: Format, plan: Plan, provenance: Provenance) -> Recorded:
    """Return the digests of a plan's tensors, as the file of that plan records them.

    It is that if every byte beside the values is as the plan has it: so manifest, seed, versions,
    tensors, dtypes, shapes and the hashes of custom code. The values aren't looked at.

    Args:
        path: the file.
        file_format: which it is to have.
        plan: what is to be in it.
        provenance: the plan's.

    Raises:
        OtherFileError: it isn't.
        StorageError: it is by its metadata, but can't be read.
    """
    try:
        metadata = file_format.read_metadata(path)
        record = read_record(metadata)
    except (StorageError, ValueError) as error:
        raise OtherFileError(str(error)) from error
    if record is None:
        raise OtherFileError("it doesn't say how it was made")
    known = record.digests
    digests = [known.get(tensor.entry.name, UNKNOWN) for tensor in plan.tensors]
    if UNKNOWN in digests or metadata != provenance.metadata(digests):
        raise OtherFileError(_difference(record, plan, provenance))
    layout = layout_of(path, file_format, plan.entries, metadata)
    if not layout.same:
        raise OtherFileError("its header isn't as it was written")
    return Recorded(digests, layout.offsets)


def _difference(record: Record, plan: Plan, provenance: Provenance) -> str:
    """Say how a file is another than that of a plan."""
    if record.version != __version__:
        return f"it was made by initgen {record.version}, and this is {__version__}"
    if record.origin != provenance.origin:
        one, other = record.origin[:12], provenance.origin[:12]
        how = f"it was made from another manifest (SHA-256 {one}..., not {other}...)"
        seed = plan.manifest.seed
        return how if record.seed == seed else f"{how}, with seed {record.seed}, not {seed}"
    if record.tensors.keys() != {tensor.entry.name for tensor in plan.tensors}:
        return "it has other tensors: it was made with another --max-shard-size or --only"
    return "it was made otherwise: by other code of the manifest's own, or it was changed"


def whole_digests(
    path: Place,
    file_format: Format,
    plan: Plan,
    provenance: Provenance,
    *,
    threads: int,
    chunk_bytes: int,
) -> list[str] | None:
    """Return the digests of a plan's tensors in a file; None if it isn't the file of that plan.

    It is if `recorded` finds it to be, and the values have the digests that it records.
    Nothing is made again, so tensors from other files, which may have changed, don't pass.

    Args:
        path: the file, which need not be there.
        file_format: which it is to have.
        plan: what is to be in it.
        provenance: the plan's.
        threads: how many threads to use.
        chunk_bytes: how much each of them reads at a time.

    Raises:
        StorageError: it is the plan's by its metadata, but can't be read.
    """
    if not path.is_file() or any(isinstance(t.initializer, FromFile) for t in plan.tensors):
        return None
    try:
        digests, offsets = recorded(path, file_format, plan, provenance)
    except OtherFileError:
        return None
    known = {t.entry.name: digest for t, digest in zip(plan.tensors, digests, strict=True)}
    with Source.open(path) as source:
        case = Case(plan, reader(source, plan.entries, offsets), offsets, known)
        verdicts = Job(case, threads, chunk_bytes, None).verdicts(quick=True)
        return digests if all(verdict.same for verdict in verdicts) else None
