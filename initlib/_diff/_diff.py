"""Telling two checkpoints apart: which tensors differ, and by how much."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from initlib._checkpoint import Checkpoint, Stored, open_checkpoint
from initlib._compare import multi_index
from initlib._description import SCHEMA_VERSION, Unread
from initlib._diff._distance import Distance
from initlib._diff._pairs import Pair, Pairs
from initlib._dtypes import dtype_name
from initlib._errors import RequestError, did_you_mean
from initlib._globs import matcher, unmatched
from initlib._provenance import KEY
from initlib._remote import named
from initlib._workers import Progress, thread_count

Kind = Literal["added", "removed", "reshaped", "recast", "changed"]


@dataclass(frozen=True, slots=True)
class TensorDifference:
    """How a tensor of one checkpoint differs from the other's of the same name.

    Figures are there wherever both have as many elements, and compare them in C order. They are in
    float64; only `max_difference` is exact between integers of one dtype.

    Attributes:
        name: its name.
        kind: "added" if only B has it, "removed" if only A does; else "reshaped" if the shapes
            differ, "recast" if the dtypes do, and otherwise "changed".
        a_dtype: its dtype in A, None if it isn't there. Of something that initlib doesn't read,
            what it is; it has no figures.
        b_dtype: likewise in B.
        a_shape: its shape in A, None if it isn't there.
        b_shape: likewise in B.
        elements: how many both have; None if they have different numbers.
        differing: how many of them differ: in their bits or, if the dtypes differ, in their values.
        share: the same as a share of all elements.
        max_difference: the largest magnitude of a difference that is a finite number; None, as are
            the next two, if elements differ but none by a finite number.
        rms: root of the mean square of the differences that are finite numbers.
        relative_rms: the same divided by the root mean square of A's finite values; None if
            that is 0.
        not_finite: how many differ by no finite number, as infinities and NaN do.
        first: index of the first element that differs, in C order; None if there is none.
        first_index: the same along each axis of A.
        rounded: of "recast", whether each element of B is A's, rounded to B's dtype.
    """

    name: str
    kind: Kind
    a_dtype: str | None
    b_dtype: str | None
    a_shape: tuple[int, ...] | None
    b_shape: tuple[int, ...] | None
    elements: int | None = None
    differing: int | None = None
    share: float | None = None
    max_difference: float | None = None
    rms: float | None = None
    relative_rms: float | None = None
    not_finite: int | None = None
    first: int | None = None
    first_index: tuple[int, ...] | None = None
    rounded: bool | None = None


@dataclass(frozen=True, slots=True)
class MetadataDifference:
    """A text of the metadata that the checkpoints don't share.

    Attributes:
        key: under which it stands.
        a: the text in A, None if there is none.
        b: the text in B, likewise.
    """

    key: str
    a: str | None
    b: str | None


@dataclass(frozen=True, slots=True)
class Difference:
    """How two checkpoints differ.

    Attributes:
        a: the first checkpoint, as it was given.
        b: the second.
        same: whether all that they hold was compared and is the same, to the last bit; metadata
            doesn't count.
        equal: how many tensors are the same in both, those included of which initlib lacks the
            dtype but knows the bytes.
        tensors: those that aren't, sorted by name.
        metadata: what differs there, provenance aside.
        unread: what both hold but initlib doesn't read; it wasn't compared, and may differ.
        hint: what may explain why so much differs; None if nothing comes to mind.
        nbytes: bytes of values in A that were compared.
        seconds: how long it took.
        schema_version: of these fields.
    """

    a: str
    b: str
    same: bool
    equal: int
    tensors: tuple[TensorDifference, ...]
    metadata: tuple[MetadataDifference, ...]
    unread: tuple[Unread, ...]
    hint: str | None
    nbytes: int
    seconds: float
    schema_version: int = SCHEMA_VERSION


def diff(
    a: str | os.PathLike[str],
    b: str | os.PathLike[str],
    *,
    only: str | Sequence[str] = (),
    threads: int | None = None,
    progress: Progress | None = None,
) -> Difference:
    """Find out how two checkpoints differ, in whatever formats and shards.

    Tensors are compared by their names, bit for bit: two NaN of the same bits are equal, and -0.0
    isn't 0.0, though they are no distance apart.

    Args:
        a: a checkpoint of any kind that `describe` takes.
        b: another.
        only: a glob or globs of tensor names; others are left out.
        threads: how many threads to use; None is one for each core.
        progress: is called with the bytes done and the total, now and then.

    Raises:
        RequestError: there is no such file, or a glob matches no tensor.
        StorageError: a checkpoint can't be read.
    """
    begin = time.perf_counter()
    workers = thread_count(threads)
    globs = (only,) if isinstance(only, str) else tuple(only)
    with open_checkpoint(a) as first, open_checkpoint(b) as second:
        _check_globs(globs, [name for each in (first, second) for name in _Side.of(each).names])
        one, other = _Side.of(first, globs), _Side.of(second, globs)
        shared = [(stored, other.stored.get(name)) for name, stored in one.stored.items()]
        both = [(x, y) for x, y in shared if y is not None]
        raw = [(one.raw[name][0], other.raw[name][0]) for name in one.raw_like(other)]
        pairs = Pairs(first, second, [pair for pair in (*both, *raw) if _as_many(*pair)])
        far = iter(pairs.distances(workers, progress))
        compared = [_compared(*pair, next(far) if _as_many(*pair) else None) for pair in both]
        unlike = [not _as_many(*pair) or next(far) is not None for pair in raw]
        compared += [_raw_compared(one, other, *row) for row in zip(raw, unlike, strict=True)]
        metadata = tuple(_metadata(_texts(first), _texts(second)))
    rows = [row for row in compared if row is not None]
    rows += _on_one_side(one, other)
    unread = one.unread_like(other)
    return Difference(
        a=named(a),
        b=named(b),
        same=not rows and not unread,
        equal=len(compared) - sum(row is not None for row in compared),
        tensors=tuple(sorted(rows, key=lambda row: row.name)),
        metadata=metadata,
        unread=unread,
        hint=_hint(one, other),
        nbytes=pairs.nbytes,
        seconds=time.perf_counter() - begin,
    )


@dataclass(frozen=True, slots=True)
class _Side:
    """The chosen tensors of a checkpoint, and what else is in it, by name."""

    stored: dict[str, Stored]
    unread: dict[str, Unread]
    raw: dict[str, tuple[Stored, tuple[int, ...]]]

    @classmethod
    def of(cls, checkpoint: Checkpoint, globs: Sequence[str] = ()) -> _Side:
        """Choose what one of the globs matches, or everything if there are none."""
        matches = matcher(globs)
        return cls(
            {t.entry.name: t for t in checkpoint.tensors if matches(t.entry.name)},
            {each.name: each for each in checkpoint.unread if matches(each.name)},
            {name: raw for name, raw in checkpoint.raw.items() if matches(name)},
        )

    @property
    def names(self) -> list[str]:
        """Everything's names."""
        return [*self.stored, *self.unread]

    def raw_like(self, other: _Side) -> list[str]:
        """Return names of what both hold in a dtype that initlib lacks: their bytes are known."""
        names = [name for name in self.raw if name in other.raw]
        return [name for name in names if _is_unread(self.unread[name], other)]

    def unread_like(self, other: _Side) -> tuple[Unread, ...]:
        """Return what both hold and nothing more is known of."""
        alike = [each for each in self.unread.values() if _is_unread(each, other)]
        raw = set(self.raw_like(other))
        return tuple(each for each in alike if each.name not in raw)

    def told(self, name: str) -> tuple[str | None, tuple[int, ...] | None]:
        """Return the dtype and shape of what has a name, as far as they are known."""
        if name in self.stored:
            entry = self.stored[name].entry
            return dtype_name(entry.dtype), entry.shape
        return (self.unread[name].what if name in self.unread else None), None


def _check_globs(globs: Sequence[str], names: Sequence[str]) -> None:
    glob = unmatched(globs, names)
    if glob is not None:
        raise RequestError(f"no tensor's name matches {glob!r}{did_you_mean(glob, names)}")


def _is_unread(each: Unread, other: _Side) -> bool:
    """Tell whether another checkpoint has something of this name and kind, which isn't read."""
    return each.name in other.unread and other.unread[each.name].what == each.what


def _on_one_side(one: _Side, other: _Side) -> Iterator[TensorDifference]:
    """Yield what can't be compared, because it is in one checkpoint alone or readable there."""
    for name in {*one.names, *other.names}:
        if name in one.stored and name in other.stored:
            continue
        if name in one.unread and _is_unread(one.unread[name], other):
            continue
        (a_dtype, a_shape), (b_dtype, b_shape) = one.told(name), other.told(name)
        kind: Kind = "added" if a_dtype is None else "removed" if b_dtype is None else "recast"
        yield TensorDifference(name, kind, a_dtype, b_dtype, a_shape, b_shape)


def _compared(a: Stored, b: Stored, far: Distance | None) -> TensorDifference | None:
    """Return how two tensors of one name differ, given how far their elements are apart.

    None for `far` means: not at all, or that they have different numbers of elements.
    """
    x, y = a.entry, b.entry
    kind: Kind = "reshaped" if x.shape != y.shape else "recast" if x.dtype != y.dtype else "changed"
    if kind == "changed" and far is None:
        return None
    row = TensorDifference(x.name, kind, dtype_name(x.dtype), dtype_name(y.dtype), x.shape, y.shape)
    if not _as_many(a, b):
        return row
    size = math.prod(x.shape)
    far = far or Distance(0)
    row = replace(
        row,
        elements=size,
        differing=far.differing,
        share=far.differing / size if size else 0.0,
        not_finite=far.odd,
        first=far.first,
        first_index=None if far.first is None else multi_index(far.first, x.shape),
        rounded=far.rounded if kind == "recast" else None,
    )
    if far.differing and far.differing == far.odd:
        return row
    return replace(
        row,
        max_difference=far.largest,
        rms=_finite(far.norm / math.sqrt(size - far.odd)) if size else 0.0,
        relative_rms=_finite(far.norm / far.reference) if far.reference else None,
    )


def _raw_compared(one: _Side, other: _Side, pair: Pair, unlike: bool) -> TensorDifference | None:
    """Return how two tensors of a dtype that initlib lacks differ, given whether their bytes do."""
    name = pair[0].entry.name
    what, shapes = one.unread[name].what, (one.raw[name][1], other.raw[name][1])
    kind: Kind = "changed" if shapes[0] == shapes[1] else "reshaped"
    return (
        TensorDifference(name, kind, what, what, *shapes) if unlike or kind != "changed" else None
    )


def _as_many(a: Stored, b: Stored) -> bool:
    return math.prod(a.entry.shape) == math.prod(b.entry.shape)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _texts(checkpoint: Checkpoint) -> dict[str, str]:
    """Return a checkpoint's metadata but for provenance: what counts is what came of it."""
    return {key: text for texts in checkpoint.metadata for key, text in texts.items() if key != KEY}


def _metadata(a: Mapping[str, str], b: Mapping[str, str]) -> Iterator[MetadataDifference]:
    for key in sorted(a.keys() | b.keys()):
        if a.get(key) != b.get(key):
            yield MetadataDifference(key, a.get(key), b.get(key))


def _hint(one: _Side, other: _Side) -> str | None:
    """Point out names that are the same but for their separators."""
    if one.stored.keys() & other.stored:
        return None
    plain = {name.replace("/", "."): name for name in one.stored}
    for name in other.stored:
        if same := plain.get(name.replace("/", ".")):
            return f"names differ in their separators: {same!r} in A, {name!r} in B"
    return None
