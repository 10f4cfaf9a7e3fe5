"""Shards: which files a folder or an index means, and whether they hold what it says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from initlib._checkpoint._recognise import INDEX_SUFFIX, open_source
from initlib._errors import RequestError, StorageError
from initlib._formats import Contents, Source, encodable, parse_json, shorten, storage_errors
from initlib._remote import Place

# As much as a safetensors header may have, which says more of each tensor.
MAX_INDEX = 100_000_000

SUFFIX = ".safetensors"
# A shard, the how many-th it is and of how many, as transformers numbers them from 1 on.
NUMBERED = re.compile(r"(.+)-(\d{5,})-of-(\d{5,})" + re.escape(SUFFIX))


@dataclass(frozen=True, slots=True)
class Shards:
    """The files that make a checkpoint.

    Attributes:
        files: safetensors files.
        index: the file that lists them, None if they are all of a folder.
        places: in which of the files, by its name, each tensor is; empty without an index.
        texts: what else the index says, by key.
    """

    files: tuple[Place, ...]
    index: Place | None
    places: Mapping[str, str]
    texts: Mapping[str, str]


def shards_of_folder(folder: Place) -> Shards:
    """Return the shards in a folder: those of its index, else all its safetensors files.

    Raises:
        RequestError: there are none, or several indices.
        StorageError: the folder or the index can't be read.
    """
    with storage_errors(folder, "read"):
        names = sorted(path.name for path in folder.iterdir())
    indices = [name for name in names if name.endswith(INDEX_SUFFIX)]
    # By this name transformers knows it; others beside it are variants.
    if f"model{INDEX_SUFFIX}" in indices:
        indices = [f"model{INDEX_SUFFIX}"]
    if len(indices) > 1:
        listed = ", ".join(map(shorten, indices[:5]))
        raise RequestError(f"{folder}: it has several indices; name one of them: {listed}")
    if indices:
        with open_source(folder / indices[0]) as source:
            return shards_of_index(source)
    files = tuple(folder / name for name in names if name.endswith(SUFFIX))
    if not files:
        raise RequestError(f"{folder}: the folder has no safetensors files{_other(names)}")
    _check_numbers(folder, names)
    return Shards(files, None, {}, {})


def _check_numbers(folder: Place, names: Sequence[str]) -> None:
    """Raise StorageError if shards are missing of whose number those that are there tell."""
    there: dict[tuple[str, str], set[int]] = {}
    for found in filter(None, map(NUMBERED.fullmatch, names)):
        stem, number, count = found.groups()
        there.setdefault((stem, count), set()).add(int(number))
    for (stem, count), numbers in there.items():
        wanted = range(1, int(count) + 1)
        missing = int(count) - sum(number in wanted for number in numbers)
        if missing:
            first = next(number for number in wanted if number not in numbers)
            name = f"{stem}-{first:0{len(count)}}-of-{count}{SUFFIX}"
            more = f", and {missing - 1} more" if missing > 1 else ""
            raise StorageError(f"{folder}: shard {name!r} is missing{more}, and so is the index")


def _other(names: Sequence[str]) -> str:
    """Return the hint of another file in a folder."""
    near = (".h5", ".hdf5", ".keras", ".bin", ".pt", ".pth")
    other = next((name for name in names if name.endswith(near)), None)
    if other is None:
        return "" if names else "; it is empty"
    return f"; did you mean {other!r} in it?"


def shards_of_index(source: Source) -> Shards:
    """Return the shards that an index lists, as transformers and diffusers write it.

    Raises:
        StorageError: it is none, or names files outside of its folder.
    """
    path = source.path
    if source.size > MAX_INDEX:
        raise StorageError(f"{path}: an index of {source.size} bytes, more than {MAX_INDEX}")
    try:
        table = parse_json(source.bytes_at(0, source.size))
        places = _weight_map(table)
    except ValueError as error:
        raise StorageError(f"{path}: not an index of safetensors files: {error}") from error
    files = tuple(path.parent / name for name in sorted(set(places.values())))
    metadata = table.get("metadata")
    found = metadata.items() if isinstance(metadata, dict) else ()
    texts = {key: value for key, value in found if isinstance(value, str)}
    return Shards(files, path, places, texts)


def _weight_map(table: Any) -> dict[str, str]:
    """Return an index's table of files by tensor. ValueError if there is none."""
    if isinstance(table, dict) and isinstance(table.get("layers"), list):
        raise ValueError("it looks like a manifest")
    match table:
        case {"weight_map": dict(places)} if places:
            for tensor, name in places.items():
                _check_shard(tensor, name)
            return places
    raise ValueError("expected a JSON object with a 'weight_map' of files by tensor")


def _check_shard(tensor: str, name: Any) -> None:
    """Raise ValueError if an index names no file of its own folder."""
    if not isinstance(name, str) or not name or not encodable(name):
        raise ValueError(f"the file of tensor {shorten(tensor)} is not a name")
    if name in {".", ".."} or not {"/", "\\", "\0"}.isdisjoint(name):
        raise ValueError(f"shard {shorten(name)} is not in the same folder")
    if not name.endswith(SUFFIX):
        raise ValueError(f"shard {shorten(name)} is no safetensors file; save it as safetensors")


def check_shards(shards: Shards, contents: Sequence[Contents]) -> list[Contents]:
    """Compare what an index says with what its files hold.

    Returns:
        The contents, without the tensors that the index does not name: these are unread.

    Raises:
        StorageError: a file lacks a tensor that the index has there; or, without an index, two
            files have one of the same name.
    """
    if shards.index is None:
        _check_repeats(shards.files, contents)
        return list(contents)
    return [
        _as_indexed(shards, path.name, found)
        for path, found in zip(shards.files, contents, strict=True)
    ]


def _check_repeats(files: Sequence[Place], contents: Sequence[Contents]) -> None:
    seen: dict[str, Place] = {}
    for path, found in zip(files, contents, strict=True):
        for name in (*(entry.name for entry in found.entries), *(name for name, _ in found.unread)):
            if name in seen:
                other = seen[name].name
                raise StorageError(
                    f"{path}: tensor {shorten(name)} is in {other!r} too, and there is no "
                    f"index; name one of the files"
                )
            seen[name] = path


def _as_indexed(shards: Shards, shard: str, found: Contents) -> Contents:
    """Return what the index names of a shard's contents; the rest is unread."""
    named = {tensor for tensor, name in shards.places.items() if name == shard}
    missing = named - {e.name for e in found.entries} - {name for name, _ in found.unread}
    if missing:
        more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise StorageError(
            f"{shards.index}: shard {shard!r} has no tensor {shorten(min(missing))}{more}"
        )
    pairs = list(zip(found.entries, found.offsets, strict=True))
    kept = [(entry, offset) for entry, offset in pairs if entry.name in named]
    extra = [(entry.name, "a tensor not in the index") for entry, _ in pairs]
    return Contents(
        entries=tuple(entry for entry, _ in kept),
        offsets=tuple(offset for _, offset in kept),
        metadata=found.metadata,
        unread=found.unread + tuple(row for row in extra if row[0] not in named),
        raw=tuple(each for each in found.raw if each.entry.name in named),
    )
