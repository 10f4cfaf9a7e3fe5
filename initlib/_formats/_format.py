"""What a format can do: lay files out, and read anyone's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from initlib._formats._entry import Contents, Entry
from initlib._formats._source import Opened, Source
from initlib._remote import Place


class Format(Protocol):
    """A file layout whose tensors' bytes can be written at their offsets, in any order."""

    name: str
    suffixes: tuple[str, ...]

    def check(self, entries: Sequence[Entry], metadata: Mapping[str, str]) -> None:
        """Find out, before anything is written, whether a file can hold `entries` and `metadata`.

        Raises:
            EntryError: it cannot hold one of the tensors.
            RequestError: it cannot hold all of them, or the metadata.
        """

    def layout(
        self, entries: Sequence[Entry], metadata: Mapping[str, str]
    ) -> tuple[list[int], int]:
        """Return what `create` would, and how many bytes the file would have.

        Raises:
            RequestError: as `check` does.
        """

    def create(
        self, path: Path, entries: Sequence[Entry], metadata: Mapping[str, str]
    ) -> list[int]:
        """Make the file `path`, whole but for the tensors' values, for which it has holes.

        Returns:
            For each entry the byte of the file at which its values go: C order, little-endian.

        Raises:
            RequestError: as `check` does.
            StorageError: `path` exists or cannot be made; a part of it may be left behind.
        """

    def replace_metadata(self, path: Path, metadata: Mapping[str, str]) -> None:
        """Put other texts in the place of the metadata of a file made by `create`.

        Raises:
            RequestError: `metadata` has other keys, or is longer or shorter once encoded.
            StorageError: the file cannot be read or written.
        """

    def read(self, path: Place) -> Contents:
        """Return what anyone's file holds, from its header alone.

        Raises:
            StorageError: the file cannot be read, or is damaged.
        """

    def open(self, source: Source) -> Opened:
        """Return anyone's file, open for reading; closing it closes the source as well.

        Raises:
            StorageError: as `read` does.
        """

    def read_metadata(self, path: Place) -> dict[str, str]:
        """Return the metadata of a file, without a look at its tensors.

        Raises:
            StorageError: the file cannot be read, or is damaged where its metadata is.
        """
