"""A file that takes its name only once it is whole."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from initlib._errors import RequestError
from initlib._interrupts import uninterrupted
from initlib._output._claim import Claim
from initlib._output._names import claimed_as
from initlib._output._storage import check_space, storage_errors, sync
from initlib._output._terms import Terms


@dataclass(frozen=True, slots=True)
class Output:
    """A file to be written.

    Attributes:
        path: as it was asked for; messages name it.
        final: the same, absolute and with links followed: what they point to is replaced, not the
            link, and wherever a manifest's own code changes to, this stays.
    """

    path: Path
    final: Path

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> Output:
        """Return the output of this name.

        Raises:
            RequestError: it is a folder's name.
            StorageError: there is no current folder.
        """
        with storage_errors(path):
            if os.fspath(path).endswith("/") or os.path.isdir(path):  # noqa: PTH112
                raise RequestError(f"{path}: expected a file's name, received a folder's")
            return cls(Path(path), Path(os.path.realpath(path)))

    def claim(self) -> Claim:
        """Return the right to write it, which is still to be taken."""
        return Claim(self.path, self.final.parent, claimed_as(self.final.name))

    def place(self, name: str) -> Path:
        """Return where the file of a name goes."""
        return self.final.with_name(name)

    def check(self, terms: Terms) -> None:
        """Find out whether a file may be written there.

        Raises:
            RequestError: there is no such folder, or something that may not be replaced.
            StorageError: the folder can't be looked into.
        """
        with storage_errors(self.path):
            folder = self.path.parent
            if not self.final.parent.is_dir():
                raise RequestError(f"{self.path}: there is no folder {folder}")
            if not os.path.lexists(self.final):
                return
            if not self.final.is_file():
                raise RequestError(
                    f"{self.path}: expected a file's name, but it is a folder, a device or a loop"
                )
            if Path(terms.manifest).exists() and self.final.samefile(terms.manifest):
                raise RequestError(f"{self.path}: the output would replace the manifest")
            if not terms.force and self.final.name not in terms.ours:
                raise RequestError(
                    f"{self.path} exists; --force (in Python force=True) replaces it"
                )

    def check_space(self, nbytes: int) -> None:
        """Raise StorageError if the disk can't hold so many bytes."""
        check_space(self.path, self.final.parent, nbytes)

    def as_wanted(self) -> set[str]:
        """Return the names of files beside the data that are there as they would be written."""
        return set()

    def publish(self, claim: Claim, new: Mapping[str, Path], terms: Terms) -> None:
        """Let the new file take its name.

        Args:
            claim: the right to do so.
            new: where it is, by its name; none if what is there may stay.
            terms: on which it may.

        Raises:
            RequestError: a file of the output's name appeared meanwhile.
            StorageError: it can't be done.
        """
        if terms.commit is not None:
            terms.commit()
        claim.check()
        self.check(terms)
        with uninterrupted():
            for hidden in new.values():
                hidden.replace(self.final)
                claim.note = "the new file has its name, but may be lost if the power fails"
                sync(self.final.parent)
                claim.note = None
