"""Whether a file's bytes beside its values are those that initgen writes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from initlib._errors import RequestError, StorageError
from initlib._formats import Entry, Format, Source, storage_errors
from initlib._remote import Place

# What is compared at a time, in bytes.
BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Layout:
    """A file held against the one that its metadata tells of.

    Attributes:
        offsets: for each entry the byte at which its values ought to start.
        size: how many bytes the file ought to have.
        found: how many it has.
        differs: the first byte outside the values that isn't as it ought to be, None if all are
            (of the bytes that both have).
    """

    offsets: list[int]
    size: int
    found: int
    differs: int | None

    @property
    def same(self) -> bool:
        """Whether every byte outside the values is as it ought to be."""
        return self.size == self.found and self.differs is None


def layout_of(
    path: Place, file_format: Format, entries: Sequence[Entry], metadata: Mapping[str, str]
) -> Layout:
    """Lay a file out again, without values, and compare what lies between them.

    Raises:
        StorageError: no file can be so, or one of the two can't be read or written.
    """
    action = "lay it out again in a temporary folder"
    with storage_errors(path, action), tempfile.TemporaryDirectory(prefix="initgen-") as folder:
        model = Path(folder) / "model"
        try:
            offsets = file_format.create(model, entries, metadata)
        except RequestError as error:
            raise StorageError(f"{path}: its provenance can't be right: {error}") from error
        with Source.open(path) as a, Source.open(model) as b:
            gaps = _gaps(entries, offsets, min(a.size, b.size))
            return Layout(offsets, b.size, a.size, next(_differences(a, b, gaps), None))


def _gaps(entries: Sequence[Entry], offsets: Sequence[int], size: int) -> Iterator[tuple[int, int]]:
    """Yield where the runs of bytes between values begin and end."""
    position = 0
    values = ((o, o + entry.nbytes) for entry, o in zip(entries, offsets, strict=True))
    for begin, end in sorted(span for span in values if span[0] < span[1]):
        if position < min(begin, size):
            yield position, min(begin, size)
        position = end
    if position < size:
        yield position, size


def _differences(a: Source, b: Source, gaps: Iterator[tuple[int, int]]) -> Iterator[int]:
    """Yield the first byte of each block of the gaps in which two files differ."""
    for begin, end in gaps:
        for start in range(begin, end, BLOCK):
            count = min(BLOCK, end - start)
            one, other = a.bytes_at(start, count), b.bytes_at(start, count)
            if one != other:
                pairs = enumerate(zip(one, other, strict=True))
                first = (i for i, (x, y) in pairs if x != y)
                yield start + next(first)
