"""Reading anyone's HDF5 file: what is in it, and values however they are stored."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from initlib._formats._entry import (
    MAX_FILE,
    METADATA,
    Contents,
    Entry,
    as_metadata,
    parse_json,
    shorten,
    storage_errors,
)
from initlib._formats._hdf5_heaps import check_heaps
from initlib._formats._hdf5_types import read_type, stored_type
from initlib._formats._source import Opened, Source

# What h5py makes of the library's errors, beside OSErrors.
ERRORS = (RuntimeError, ValueError, TypeError, KeyError)

# A packed chunk is unpacked whole. h5py makes chunks of up to 1 MiB by itself.
MAX_CHUNK = 32 << 20
# What chunks may take in memory: those that the library keeps unpacked, and the one that it unpacks
# with its packed bytes beside it.
CHUNK_MEMORY = 68 << 20
# The library's own cache for unpacked chunks; less would not hold what it uses otherwise.
MIN_CACHE = 1 << 20
# A file can ask for chunks of a byte, and a slot takes eight even while it is empty.
MOST_SLOTS = 1 << 16
# glibc gives blocks from this size on back to the system, but raises that to 32 MiB as it goes and
# keeps the rest for each thread; unless it is told this size, which is its own to begin with.
LARGE_BLOCK = 128 << 10
M_MMAP_THRESHOLD = -3  # malloc.h

# What the library keeps of groups and the heads of datasets, counted as in the file; in memory that
# is some twenty times as much. With its own limit, 32 MiB, 100,000 datasets took 600 MiB.
MAX_HEADS = 2 << 20

MAX_DEPTH = 256  # the library walks down from the root for each tensor

# Nothing is stored of values that were never written: a small file can have 2^63 bytes of them. So
# many times the bytes that were are read, and of a head; zlib packs no more into one.
MOST_UNWRITTEN, HEAD = 1000, 1 << 10

# Metadata is held in memory.
MAX_METADATA = 1_000_000_000


class Hdf5File(Opened):
    """An HDF5 file open for reading. Values without an offset are read one call at a time."""

    def __init__(self, source: Source):
        import h5py

        with storage_errors(source.path, "read as HDF5", ERRORS), ExitStack() as stack:
            # Through the source, so that what is read is what was opened, wherever that lies.
            source.check = check_heaps
            self._file = stack.enter_context(h5py.File(source, "r"))
            heads = self._file.id.get_mdc_config()
            heads.max_size = MAX_HEADS
            self._file.id.set_mdc_config(heads)
            super().__init__(source, _contents(self._file.id, source))
            stack.pop_all()
        self._lock = threading.Lock()
        self._opening: _Opening | None = None

    def read_values(self, entry: Entry, start: int, out: npt.NDArray[Any]) -> None:
        """Read values piece by piece, each a slab of the dataset."""
        with self._lock, storage_errors(self.source.path, "read as HDF5", ERRORS):
            done = 0
            while done < out.size:
                opening = self._opened(entry, start + done)
                count = min(out.size - done, opening.end - start - done)
                for corner, sizes in slabs(entry.shape, start + done, count):
                    part = out[done : done + math.prod(sizes)]
                    _read_slab(opening.dataset, corner, sizes, part)
                    done += part.size

    def _opened(self, entry: Entry, start: int) -> _Opening:
        """Return an opening of a dataset that serves the element `start`."""
        # Closing a dataset drops the chunks that were unpacked, so the last one stays open.
        if self._opening is None or not self._opening.serves(entry, start):
            self._opening = None
            self._opening = _open_cached(self._file.id, entry, start)
        return self._opening

    def close(self) -> None:
        """Close the file; again does nothing."""
        self._opening = None
        self._file.close()
        super().close()


def read_metadata(source: Source) -> dict[str, str]:
    """Return a file's metadata, empty if it has none, without a look at anything else in it."""
    import h5py
    from h5py import h5d, h5l, h5o

    encoded = METADATA.encode()
    source.check = check_heaps
    with storage_errors(source.path, "read as HDF5", ERRORS), h5py.File(source, "r") as file:
        links = file.id.links
        if not links.exists(encoded) or links.get_info(encoded).type != h5l.TYPE_HARD:
            return {}
        dataset = h5o.open(file.id, encoded)
        found = _examine(dataset, METADATA) if isinstance(dataset, h5d.DatasetID) else ""
        return {} if isinstance(found, str) else _metadata(source, found)


def _contents(file: Any, source: Source) -> Contents:
    """Visit all that is in a file; entries come in the order of their names."""
    from h5py import h5d, h5o, h5t

    names = _names(file)
    found: dict[str, tuple[Entry, int | None]] = {}
    unread: list[tuple[str, str]] = list(_links(file, set(names)))
    for encoded in names:
        name = encoded.decode(errors="backslashreplace")
        item = h5o.open(file, encoded)
        if isinstance(item, h5t.TypeID):
            unread.append((name, "a type"))
        if not isinstance(item, h5d.DatasetID):
            continue
        tensor = _examine(item, name) if name.encode() == encoded else "a name that is not UTF-8"
        if isinstance(tensor, str):
            unread.append((name, tensor))
        else:
            found[name] = tensor
    metadata = _metadata(source, found.pop(METADATA)) if METADATA in found else {}
    return Contents(
        entries=tuple(entry for entry, _ in found.values()),
        offsets=tuple(offset for _, offset in found.values()),
        metadata=metadata,
        unread=tuple(sorted(unread)),
    )


def _names(file: Any) -> list[bytes]:
    """Return the names of groups, datasets and types. ValueError if they nest too deeply."""
    from h5py import h5o

    names: list[bytes] = []

    def note(name: bytes) -> bool | None:
        names.append(name)
        # Anything but None ends the visit.
        return True if name.count(b"/") >= MAX_DEPTH else None

    if h5o.visit(file, note):
        raise ValueError(f"groups nest more than {MAX_DEPTH} deep")
    return names


def _links(file: Any, names: set[bytes]) -> Iterator[tuple[str, str]]:
    """Yield the links that are not followed, and those to what has another of `names`."""
    from h5py import h5l, h5o

    others: list[tuple[bytes, int]] = []

    def note(name: bytes, info: Any) -> None:
        if name not in names:
            others.append((name, info.type))

    file.links.visit(note, info=True)
    hard = [name for name, kind in others if kind == h5l.TYPE_HARD]
    # Looked up only if need be: most files have one link to each thing.
    places = {h5o.get_info(file, name).addr: name for name in [b"/", *names]} if hard else {}
    for name, kind in others:
        shown = name.decode(errors="backslashreplace")
        if kind == h5l.TYPE_HARD:
            target = places[h5o.get_info(file, name).addr]
            yield shown, f"another name of {_show(target)}"
        elif kind == h5l.TYPE_SOFT:
            yield shown, f"a link to {_show(file.links.get_val(name))}"
        elif kind == h5l.TYPE_EXTERNAL:
            other, target = file.links.get_val(name)
            yield shown, f"an external link to {_show(target)} in {_show(other)}"
        else:
            yield shown, "a link of an unknown kind"


def _show(name: bytes) -> str:
    return shorten(name.decode(errors="backslashreplace"))


def _examine(dataset: Any, name: str) -> tuple[Entry, int | None] | str:
    """Return a dataset's entry, and its offset or None; or what it is, if it is no tensor."""
    if dataset.shape is None:
        return "a dataset without a shape"
    found = read_type(dataset)
    if isinstance(found, str):
        return found
    dtype, plain = found
    entry = Entry(name, dtype, dataset.shape)
    if entry.nbytes > MAX_FILE:
        return f"more values than any file can hold, {shorten(str(entry.shape))[1:-1]}"
    if not entry.nbytes:
        return entry, 0
    # Of values that were never written the library tells an offset that is none, if the file has a
    # user block (HDF5 2.0).
    offset: int | None = dataset.get_offset() if dataset.get_storage_size() else None
    if offset is None and (problem := _problem(dataset)):
        return problem
    return entry, offset if plain else None


def _problem(dataset: Any) -> str | None:
    """Say why values that do not lie in one piece cannot be read, if so."""
    from h5py import h5d, h5z

    creation = dataset.get_create_plist()
    if creation.get_layout() == h5d.VIRTUAL or creation.get_external_count():
        return "values in other files"
    filters = [creation.get_filter(index) for index in range(creation.get_nfilters())]
    for code, _, _, name in filters:
        if not h5z.filter_avail(code):
            called = f" ({name.decode(errors='replace')})" if name else ""
            return f"values packed by HDF5 filter {code}{called}, which is not installed"
    size = dataset.get_type().get_size()
    written, whole = dataset.get_storage_size(), math.prod(dataset.shape) * size
    if creation.get_layout() == h5d.CHUNKED:
        chunk = math.prod(creation.get_chunk()) * size
        if filters and chunk > MAX_CHUNK:
            return f"values packed in chunks of {chunk} bytes; initlib unpacks up to {MAX_CHUNK}"
        if filters and _lacks_chunks(dataset):
            return "values whose index of chunks is damaged"
        written = dataset.get_num_chunks() * chunk
    if whole > MOST_UNWRITTEN * (written + HEAD):
        return f"{whole} bytes of values, of which {written} were written"
    return None


def _lacks_chunks(dataset: Any) -> bool:
    """Tell whether an index has chunks that are nowhere: the library may crash at one of them."""

    def is_nowhere(chunk: Any) -> bool | None:
        # Anything but None ends the walk.
        return True if not chunk.size or not chunk.byte_offset else None

    return bool(dataset.chunk_iter(is_nowhere))


def _metadata(source: Source, place: tuple[Entry, int | None]) -> dict[str, str]:
    """Return the metadata in the dataset at `place`. ValueError if it is none of ours."""
    entry, offset = place
    if offset is None:
        raise ValueError(f"{METADATA!r} is not a contiguous dataset")
    if entry.nbytes > MAX_METADATA:
        raise ValueError(f"{METADATA!r} has {entry.nbytes} bytes, more than {MAX_METADATA}")
    return as_metadata(parse_json(source.bytes_at(offset, entry.nbytes)))


@dataclass(frozen=True, slots=True)
class _Opening:
    """A dataset open for reading its elements first .. end, those of the entry `name`."""

    dataset: Any
    name: str
    first: int
    end: int

    def serves(self, entry: Entry, start: int) -> bool:
        """Tell whether an element may be read here."""
        return self.name == entry.name and self.first <= start < self.end


def _open_cached(file: Any, entry: Entry, start: int) -> _Opening:
    """Open a dataset with room for all chunks that a walk in C order comes back to, or for many."""
    from h5py import h5d, h5p

    access = h5p.create(h5p.DATASET_ACCESS)
    dataset = h5d.open(file, entry.name.encode())
    creation, itemsize = dataset.get_create_plist(), dataset.get_type().get_size()
    if creation.get_layout() != h5d.CHUNKED:
        return _Opening(dataset, entry.name, 0, entry.size)
    # While it is open, every other opening has the cache of this one.
    del dataset
    shape = creation.get_chunk()
    chunk = math.prod(shape) * itemsize
    row = math.prod(-(-size // part) for size, part in zip(entry.shape[1:], shape[1:], strict=True))
    room = max(CHUNK_MEMORY - 2 * chunk, min(chunk, MAX_CHUNK), MIN_CACHE)
    slots, _, preemption = access.get_chunk_cache()
    # Chunks side by side have consecutive slots.
    slots = max(slots, min(2 * min(row, room // chunk) + 1, MOST_SLOTS))
    access.set_chunk_cache(slots, min(max(chunk * row, MIN_CACHE), room), preemption)
    _give_back_blocks()
    first, end = 0, entry.size
    if 3 * chunk > CHUNK_MEMORY:
        # There is no room for another row of chunks beside this one: it has to go first.
        span = shape[0] * math.prod(entry.shape[1:])
        first = start - start % span
        end = min(first + span, end)
    return _Opening(h5d.open(file, entry.name.encode(), access), entry.name, first, end)


@cache
def _give_back_blocks() -> None:
    """Let large blocks of memory go back to the system when they are freed, where glibc can."""
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK)


def slabs(
    shape: Sequence[int], start: int, count: int
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Cut a run of elements in C order into slabs whose elements are runs themselves.

    Args:
        shape: of the whole.
        start: the first element.
        count: how many.

    Yields:
        The corner and the sizes of each slab, by axis: at most 2 * len(shape) - 1 of them.
    """
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    while count:
        corner = [start // stride % size for stride, size in zip(strides, shape, strict=True)]
        axis = next(
            (a for a, stride in enumerate(strides) if not start % stride and count >= stride),
            len(shape),
        )
        sizes = [1] * axis + list(shape[axis:])
        if sizes[axis:]:
            sizes[axis] = min(count // strides[axis], shape[axis] - corner[axis])
        yield tuple(corner), tuple(sizes)
        start += math.prod(sizes)
        count -= math.prod(sizes)


def _read_slab(
    dataset: Any, corner: tuple[int, ...], sizes: tuple[int, ...], out: npt.NDArray[Any]
) -> None:
    """Read a slab into `out`, which has its size."""
    from h5py import h5s

    space = memory = dataset.get_space()
    if sizes:
        space.select_hyperslab(corner, sizes)
        # In a space of one axis, chunks would be copied twenty times as slowly.
        memory = h5s.create_simple(sizes)
    # NumPy's name for the bytes of a bfloat16 is none of HDF5's.
    dataset.read(memory, space, out, stored_type(np.dtype(out.dtype)))
