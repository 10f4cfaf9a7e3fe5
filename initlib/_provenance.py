"""How to make the same bytes again, written into the file; docs/format.md specifies it.

No time, host, user or path goes in: the same manifest and version make the same file, byte for
byte.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blake3 import blake3
from pydantic import BaseModel, ConfigDict, ValidationError

from initlib import _custom, _manifest, initializers
from initlib._digest import UNKNOWN
from initlib._plan import Plan, TensorPlan
from initlib._stream import STREAM_VERSION
from initlib._version import __version__

if TYPE_CHECKING:
    from initlib._checkpoint import Checkpoint

KEY = "initgen"
# Among the texts of a shard: the hash of the manifest of all shards.
ORIGIN = "initgen_manifest_sha256"

_CONTEXT = "initgen 1 metadata checksum"
# Sorted by key, the record begins with its checksum.
_CHECKSUM = re.compile(r'(?<=^{"checksum":")[0-9a-f]{64}(?=")')


class Provenance:
    """The provenance of a plan's file; only the tensors' digests come later.

    Attributes:
        manifest_sha256: hash of the canonical manifest: equal manifests have equal hashes.
        origin: that of the manifest whose shard it is, or the same.
    """

    def __init__(self, plan: Plan) -> None:
        self.manifest_sha256 = plan.manifest.sha256
        self.origin = plan.manifest.metadata.get(ORIGIN, self.manifest_sha256)
        rows, self._numbers = _distinct(plan.tensors)
        self._names = [tensor.entry.name for tensor in plan.tensors]
        # transformers loads only files that say which framework's tensors they hold.
        self._texts = {"format": "pt", **plan.manifest.metadata}
        record: dict[str, Any] = {
            "checksum": UNKNOWN,
            "version": __version__,
            "stream": STREAM_VERSION,
            "seed": plan.manifest.seed,
            "manifest_sha256": self.manifest_sha256,
            "initializers": rows,
        }
        if plan.only:
            record["only"] = list(plan.only)
        # A manifest may be large, and its text is there already.
        self._parts = {"manifest": plan.manifest.text}
        self._parts |= {key: _manifest.compact(value) for key, value in record.items()}

    def metadata(self, digests: Sequence[str] | None = None) -> dict[str, str]:
        """Return the file's metadata: the manifest's own strings and the provenance.

        Args:
            digests: of each tensor; None leaves places of the right length for them.
        """
        known = digests or [UNKNOWN] * len(self._names)
        rows = zip(self._names, self._numbers, known, strict=True)
        tensors = {name: [number, digest] for name, number, digest in rows}
        parts = {**self._parts, "tensors": _manifest.compact(tensors)}
        text = ",".join(f'"{key}":{part}' for key, part in sorted(parts.items()))
        texts = {**self._texts, KEY: f"{{{text}}}"}
        if digests is None:
            return texts
        return {**texts, KEY: _CHECKSUM.sub(checksum(texts), texts[KEY])}


class Record(BaseModel):
    """A file's provenance, read back.

    Attributes:
        checksum: of the metadata, as it was written.
        version: of the initgen that made the file.
        stream: version of the stream of numbers.
        seed: the manifest's, or the one that replaced it.
        manifest: in canonical form.
        manifest_sha256: its hash.
        initializers: the resolved ones, as plain data.
        tensors: for each name the index of its initializer, and its digest.
        only: globs of the names that were asked for; empty for all.
    """

    model_config = ConfigDict(strict=True, frozen=True)

    checksum: str
    version: str
    stream: int
    seed: int
    manifest: dict[str, Any]
    manifest_sha256: str
    initializers: list[dict[str, Any]]
    tensors: dict[str, tuple[int, str]]
    only: list[str] = []

    @property
    def digests(self) -> dict[str, str]:
        """The tensors' digests by name."""
        return {name: digest for name, (_, digest) in self.tensors.items()}

    @property
    def texts(self) -> dict[str, str]:
        """The manifest's own metadata."""
        texts = self.manifest.get("metadata")
        return texts if isinstance(texts, dict) else {}

    @property
    def origin(self) -> str:
        """The hash of the manifest of the whole, of which this may be a shard."""
        return str(self.texts.get(ORIGIN, self.manifest_sha256))

    def initializer(self, name: str) -> dict[str, Any]:
        """Return a tensor's initializer, empty where the record has none at its index."""
        number = self.tensors[name][0]
        return self.initializers[number] if 0 <= number < len(self.initializers) else {}


class _Stream(BaseModel):
    """What every version of the provenance has."""

    stream: int


class _Index(BaseModel):
    """What an index says of its checkpoint."""

    model_config = ConfigDict(strict=True)

    manifest: dict[str, Any]
    only: list[str] = []


def read_record(metadata: Mapping[str, str]) -> Record | None:
    """Return the provenance in a file's metadata, None if there is none.

    Raises:
        ValueError: it is damaged, or of a newer initgen; the message is a phrase.
    """
    if KEY not in metadata:
        return None
    try:
        stream = _Stream.model_validate_json(metadata[KEY]).stream
        if stream != STREAM_VERSION:
            other = str(stream)[:20]
            raise ValueError(
                f"its values are of stream version {other}; this initgen makes {STREAM_VERSION}"
            )
        return Record.model_validate_json(metadata[KEY])
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"][:2])) or "JSON"
        raise ValueError(f"its provenance is damaged: {where}: {first['msg']}") from None


@dataclass(frozen=True, slots=True)
class Own:
    """What a checkpoint says of how the whole of it was made.

    Attributes:
        manifest: in canonical form.
        only: globs of the names that were asked for; empty for all.
        version: of the initgen that made it.
    """

    manifest: dict[str, Any]
    only: tuple[str, ...]
    version: str


def index_record(plan: Plan) -> str:
    """Return what an index says of the plan whose shards it lists, as `own` reads it back."""
    parts = f'"manifest":{plan.manifest.text}'
    if plan.only:
        parts += f',"only":{_manifest.compact(plan.only)}'
    return f"{{{parts}}}"


def own(checkpoint: Checkpoint) -> Own | None:
    """Return what all files of a checkpoint say together, None if one says nothing.

    Raises:
        ValueError: it isn't to be trusted; the message says why.
    """
    records = []
    for metadata in checkpoint.metadata:
        record = _trusted(metadata)
        if record is None:
            return None
        _check(record.manifest)
        records.append(record)
        if record.origin != records[0].origin:
            raise ValueError("its files were made from several manifests")
    listed = {name for record in records for name in record.tensors}
    if listed != {each.entry.name for each in checkpoint.tensors}:
        raise ValueError("its own manifest lists other tensors than there are")
    first = records[0]
    if ORIGIN not in first.texts:
        return Own(first.manifest, tuple(first.only), first.version)
    found = _indexed(checkpoint, first) or _together(records)
    _check(found.manifest)
    return found


def _indexed(checkpoint: Checkpoint, shard: Record) -> Own | None:
    """Return what an index says of the checkpoint that a shard is of, None if it doesn't."""
    try:
        index = _Index.model_validate_json(checkpoint.texts.get(KEY, ""))
    except ValidationError:
        return None
    if manifest_sha256(index.manifest) != shard.origin:
        return None
    return Own(index.manifest, tuple(index.only), shard.version)


def _together(records: Sequence[Record]) -> Own:
    """Return what shards say together, which together are what the whole would be."""
    first = records[0]
    texts = {key: text for key, text in first.texts.items() if key != ORIGIN}
    layers = [layer for record in records for layer in record.manifest["layers"]]
    manifest = {**first.manifest, "layers": layers, "metadata": texts}
    return Own(manifest, (), first.version)


def _check(manifest: dict[str, Any]) -> None:
    """Raise ValueError if a manifest can't be read."""
    try:
        _manifest.read(manifest)
    except ValueError as error:
        raise ValueError(f"its own manifest can't be used: {error}") from error


def _trusted(metadata: Mapping[str, str]) -> Record | None:
    """Return the provenance of a file as it was written, None if it has none."""
    try:
        record = read_record(metadata)
    except ValueError as error:
        raise ValueError(f"its own manifest can't be used: {error}") from error
    if record is not None and checksum(metadata) != record.checksum:
        raise ValueError("its own manifest isn't as it was written: the checksum doesn't fit")
    return record


def checksum(metadata: Mapping[str, str]) -> str:
    """Return the checksum of a file's metadata, whatever stands at its own place."""
    blank = _CHECKSUM.sub(UNKNOWN, metadata[KEY])
    text = _manifest.compact({**metadata, KEY: blank})
    return blake3(text.encode(), derive_key_context=_CONTEXT).hexdigest()


def manifest_sha256(canonical: Mapping[str, Any]) -> str:
    """Return the hash of a manifest in canonical form."""
    return hashlib.sha256(_manifest.compact(canonical).encode()).hexdigest()


def _distinct(tensors: Sequence[TensorPlan]) -> tuple[list[Any], list[int]]:
    """Return the distinct initializers as plain data, and for each tensor which one it has."""
    rows: dict[str, int] = {}
    # Tensors that share an initializer are many, and looking at it once is enough.
    known: dict[int, int] = {}
    numbers = []
    for tensor in tensors:
        # Code is run anew for each tensor, and none of it may be left out.
        shared = id(tensor.spec if tensor.spec.custom else tensor.initializer)
        if shared not in known:
            known[shared] = rows.setdefault(_manifest.compact(resolved(tensor)), len(rows))
        numbers.append(known[shared])
    return [json.loads(row) for row in rows], numbers


def resolved(tensor: TensorPlan) -> dict[str, Any]:
    """Return a tensor's initializer as it was resolved.

    "custom" marks code that isn't initlib's, "tolerance" how far other machines' values may be off.
    """
    if tensor.spec.custom:
        config = {"class_name": tensor.spec.identifier, "config": dict(tensor.spec.config)}
        source = _custom.source_sha256(tensor.initializer)
        return {**config, "custom": True, "source_sha256": source}
    config = initializers.serialize(tensor.initializer)
    return config if tensor.tolerance is None else {**config, "tolerance": tensor.tolerance}
