"""Whether a file is the one that a plan makes, found out without making it again."""

from __future__ import annotations

from initlib._digest import UNKNOWN
from initlib._errors import StorageError
from initlib._formats import Format, Source
from initlib._plan import Plan
from initlib._provenance import Provenance, read_record
from initlib._remote import Place
from initlib._verify._cases import Case, reader
from initlib._verify._layout import layout_of
from initlib._verify._verify import Job
from initlib.initializers import FromFile


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

    It is if every byte beside the values is as the plan has it (so manifest, seed, versions,
    tensors, dtypes, shapes and the hashes of custom code), and the values have the digests that it
    records. Nothing is made again, so tensors from other files, which may have changed, don't pass.

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
        metadata = file_format.read_metadata(path)
        record = read_record(metadata)
    except (StorageError, ValueError):
        return None
    if record is None:
        return None
    known = record.digests
    digests = [known.get(tensor.entry.name, UNKNOWN) for tensor in plan.tensors]
    if UNKNOWN in digests or metadata != provenance.metadata(digests):
        return None
    layout = layout_of(path, file_format, plan.entries, metadata)
    if not layout.same:
        return None
    with Source.open(path) as source:
        case = Case(plan, reader(source, plan.entries, layout.offsets), layout.offsets, known)
        verdicts = Job(case, threads, chunk_bytes, None).verdicts(quick=True)
        return digests if all(verdict.same for verdict in verdicts) else None
