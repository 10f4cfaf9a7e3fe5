"""What will be made: every tensor of a checkpoint, resolved, and the chunks it is made in.

    manifest -> Plan (tensors: initializer, stream, layout) -> Chunk (pieces of tensors)

A plan is plain data, and the bytes of a chunk are a function of it alone.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from initlib import _custom, initializers
from initlib._digest import LEAF
from initlib._dtypes import DTYPES
from initlib._errors import InitlibError, RequestError, did_you_mean
from initlib._formats import Entry, EntryError, Format
from initlib._globs import matcher, unmatched
from initlib._manifest import InitializerSpec, Manifest, TensorSpec, Where
from initlib.initializers import FromFile, Target

# Where tensors lie side by side in memory, each starts at a multiple of so many bytes.
ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class TensorPlan:
    """One tensor.

    Attributes:
        entry: its name, dtype and shape, as formats know it.
        initializer: what fills it; None for code that was left out.
        spec: the initializer as the manifest has it, with arithmetic evaluated.
        seed: the seed behind its stream, unless the initializer has its own.
        target: what the initializer is given to fill.
        where: its place in the manifest.
        streams: whether any piece of it can be made alone.
        element: the bytes of the one element of which a large tensor is full; None for others.
        absent: why the file that its values come from can't be used, if that was left open.
    """

    entry: Entry
    initializer: Any
    spec: InitializerSpec
    seed: int
    target: Target
    where: Where
    streams: bool
    element: bytes | None = None
    absent: str | None = None

    @property
    def named(self) -> InitializerSpec:
        """The initializer as the manifest has it, but with the names of all arguments."""
        return replace(self.spec, args=(), config=_arguments(self.spec))

    @property
    def source(self) -> str | None:
        """Where its values come from that may be something else another time: code, or a file."""
        if isinstance(self.initializer, FromFile):
            return self.initializer.path
        return self.spec.identifier.rpartition(":")[0] if self.spec.custom else None

    @property
    def tolerance(self) -> float | None:
        """How far other machines' values may be off, relative to the largest; None: not at all."""
        return None if self.spec.custom else getattr(self.initializer, "tolerance", None)


@dataclass(frozen=True, slots=True)
class Plan:
    """All tensors of a checkpoint, in the manifest's order.

    Attributes:
        manifest: where it comes from.
        only: globs of the names that were asked for; empty for all.
        tensors: the tensors.
    """

    manifest: Manifest
    only: tuple[str, ...]
    tensors: tuple[TensorPlan, ...]

    @property
    def entries(self) -> list[Entry]:
        """The tensors as formats know them."""
        return [tensor.entry for tensor in self.tensors]

    @property
    def parameters(self) -> int:
        """How many elements there are."""
        return sum(tensor.target.size for tensor in self.tensors)

    @property
    def nbytes(self) -> int:
        """How many bytes of data there are."""
        return sum(tensor.entry.nbytes for tensor in self.tensors)

    def itemsize(self, piece: Piece) -> int:
        """Return how many bytes an element of a piece has."""
        return self.tensors[piece.tensor].entry.dtype.itemsize

    def check(self, file_format: Format, metadata: dict[str, str]) -> None:
        """Raise RequestError, with the place in the manifest, if the format can't hold it."""
        try:
            file_format.check(self.entries, metadata)
        except EntryError as error:
            tensor = self.tensors[error.index]
            raise tensor.where.error(f"{tensor.entry.name!r}: {error.problem}") from error


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of elements of one tensor.

    Attributes:
        tensor: its index in the plan.
        start: the first element.
        count: how many elements.
        place: byte of the chunk's memory at which they start.
    """

    tensor: int
    start: int
    count: int
    place: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one worker makes in one go: a part of a tensor, a whole one, or several small ones.

    Attributes:
        pieces: runs of elements; those of one tensor start at a multiple of a digest's leaf.
        nbytes: bytes of data.
    """

    pieces: tuple[Piece, ...]
    nbytes: int


def make_plan(
    manifest: Manifest,
    *,
    only: Sequence[str] = (),
    allow_code: bool = False,
    skip_code: bool = False,
    skip_absent: bool = False,
    within: bool = False,
    most: int | None = None,
) -> Plan:
    """Resolve every tensor of a manifest that one of the `only` globs matches.

    Args:
        manifest: the manifest.
        only: globs of names; none for all.
        allow_code: let custom initializers run.
        skip_code: leave custom initializers out; their tensors have None in their place.
        skip_absent: let files be absent that tensors are to be taken from, or be other ones.
        within: take none from files outside of the manifest's folder.
        most: stop after so many tensors.

    Raises:
        RequestError: an initializer is unknown, isn't allowed or can't fill its tensor, or a glob
            matches nothing.
    """
    resolve = _Resolver(manifest, allow_code, skip_code, skip_absent, within)
    matches = matcher(only)
    wanted = list(islice((spec for spec in manifest.tensors() if matches(spec.name)), most))
    glob = unmatched(only, {spec.name for spec in wanted})
    if glob is not None:
        near = did_you_mean(glob, (spec.name for spec in manifest.tensors()))
        raise RequestError(f"no tensor's name matches {glob!r}{near}")
    return Plan(manifest, tuple(only), tuple(resolve(spec) for spec in wanted))


@dataclass
class _Resolver:
    """Turns tensor specs into tensor plans; tensors of one spec share one built-in initializer."""

    manifest: Manifest
    allow_code: bool
    skip_code: bool
    skip_absent: bool
    within: bool
    _made: dict[str, Any] = field(default_factory=dict)
    # The same by the spec's identity: quick, where a repeat has made thousands of tensors of one.
    _found: dict[int, Any] = field(default_factory=dict)

    def __call__(self, spec: TensorSpec) -> TensorPlan:
        """Resolve one tensor."""
        dtype = DTYPES[spec.dtype]
        try:
            with guarded(spec.initializer):
                initializer = self._initializer(spec.initializer)
                stream = initializers.stream_for(initializer, spec.seed, spec.name)
                target = Target(spec.shape, dtype, stream, spec.layout)
                initializer, absent = self._from_file(initializer, target, spec.name)
                initializers.check(initializer, target)
                streams = initializers.streams(initializer, target)
        except RequestError as error:
            where = spec.initializer.where or spec.where
            raise where.error(f"for {spec.name!r}: {error}") from error
        entry = Entry(spec.name, dtype, spec.shape)
        same = initializers.element(initializer, target) if entry.nbytes >= LEAF else None
        element = None if same is None else same.tobytes()
        what = entry, initializer, spec.initializer, spec.seed, target, spec.where
        return TensorPlan(*what, streams, element, absent)

    def _from_file(self, initializer: Any, target: Target, name: str) -> tuple[Any, str | None]:
        """Return an initializer, of which one from a file is made the tensor's, and what it lacks.

        Raises:
            RequestError: the file or the tensor in it isn't there, or is another.
            StorageError: the file can't be read.
        """
        if not isinstance(initializer, FromFile):
            return initializer, None
        try:
            found = initializer.at(self.manifest.folder, name, within=self.within)
            found.check(target)
        except InitlibError as error:
            if not self.skip_absent:
                raise
            return FromFile(initializer.path, initializer.tensor or name), str(error)
        return found, None

    def _initializer(self, spec: InitializerSpec) -> Any:
        """Return the initializer of a spec; custom code is run anew for each tensor."""
        if spec.custom:
            if self.skip_code:
                return None
            if not self.allow_code:
                raise RequestError(
                    f"{spec.identifier} is code, which runs only where --allow-code (in Python "
                    "allow_code=True) lets it"
                )
            return _custom.load(spec.identifier, spec.config, self.manifest.folder)
        if id(spec) in self._found:
            return self._found[id(spec)]
        key = json.dumps([spec.identifier, spec.args, spec.config, spec.keras], sort_keys=True)
        if key not in self._made:
            config = {**(spec.keras or {}), "class_name": spec.identifier}
            config["config"] = _arguments(spec)
            self._made[key] = initializers.deserialize(config)
        self._found[id(spec)] = self._made[key]
        return self._made[key]


def guarded(spec: InitializerSpec) -> AbstractContextManager[None]:
    """Return a guard around what an initializer does, if its code isn't initlib's."""
    return _custom.guard(spec.identifier) if spec.custom else nullcontext()


def _arguments(spec: InitializerSpec) -> dict[str, Any]:
    """Return all arguments by their names, also those that a call has by their places."""
    if not spec.args or spec.identifier not in initializers.IDENTIFIERS:
        return {**spec.config}
    names = list(inspect.signature(initializers.IDENTIFIERS[spec.identifier]).parameters)
    if len(spec.args) > len(names):
        raise RequestError(f"{spec.identifier} takes {len(names)} arguments: {', '.join(names)}")
    twice = [name for name in names[: len(spec.args)] if name in spec.config]
    if twice:
        raise RequestError(f"{spec.identifier} is given {twice[0]!r} twice")
    return {**dict(zip(names, spec.args, strict=False)), **spec.config}


def make_chunks(
    plan: Plan,
    offsets: Sequence[int],
    nbytes: int,
    *,
    phase: int = ALIGNMENT,
    in_order: bool = False,
) -> Iterator[Chunk]:
    """Cut a plan into chunks of at most `nbytes` bytes, nearly in the order of the file.

    Args:
        plan: the plan.
        offsets: of each tensor in the file, in bytes.
        nbytes: size of a chunk, a multiple of a digest's leaf. A tensor that can't be made in
            pieces is a chunk by itself, however large.
        phase: places in memory are those in the file modulo so many bytes. So what lies side by
            side in the file does in memory, and pages can be written as they are. A chunk takes up
            to nbytes + phase bytes of memory.
        in_order: keep strictly to the order of the file.
    """
    batch = _Batch(nbytes, phase)
    for index in sorted(range(len(offsets)), key=offsets.__getitem__):
        tensor = plan.tensors[index]
        size, itemsize = tensor.target.size, tensor.entry.dtype.itemsize
        if in_order and (not tensor.streams or tensor.element is not None):
            yield from batch.rest()
        if not tensor.streams:
            yield Chunk((Piece(index, 0, size, 0),), size * itemsize)
            continue
        if tensor.element is not None:
            alone = _Batch(nbytes, phase)
            yield from alone.add(index, size, itemsize, offsets[index])
            yield from alone.rest()
            continue
        yield from batch.add(index, size, itemsize, offsets[index])
    yield from batch.rest()


class _Batch:
    """Pieces side by side, which become a chunk when no more fit."""

    def __init__(self, nbytes: int, phase: int) -> None:
        self.nbytes, self.phase = nbytes, phase
        self.pieces: list[Piece] = []
        self.first = self.end = self.data = 0

    def add(self, index: int, size: int, itemsize: int, offset: int) -> Iterator[Chunk]:
        """Add a tensor; yield the chunks that are full."""
        start = 0
        while start < size:
            place = self._place(offset + start * itemsize, itemsize)
            if not self.pieces:
                self.first = place
            count = _room(self.first + self.nbytes - place, size - start, itemsize)
            if count == 0:
                yield from self.rest()
                continue
            self.pieces.append(Piece(index, start, count, place))
            self.end = place + count * itemsize
            self.data += count * itemsize
            start += count

    def _place(self, offset: int, itemsize: int) -> int:
        """Return the next place for what is at an offset in the file."""
        if offset % itemsize:
            # Elements must be aligned in memory, as they aren't in this file.
            return -(-self.end // ALIGNMENT) * ALIGNMENT
        return self.end + (offset - self.end) % self.phase

    def rest(self) -> Iterator[Chunk]:
        """Yield what there is as a chunk, and start anew."""
        if self.pieces:
            yield Chunk(tuple(self.pieces), self.data)
        self.pieces, self.end, self.data = [], 0, 0


def _room(free: int, size: int, itemsize: int) -> int:
    """Return how many elements fit: all that are left, or whole leaves."""
    if size * itemsize <= free:
        return size
    return max(free, 0) // LEAF * LEAF // itemsize
