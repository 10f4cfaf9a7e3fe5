"""A folder of weights, whose index appears last."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from initlib._errors import RequestError
from initlib._files import new_file
from initlib._interrupts import uninterrupted
from initlib._output._claim import Claim
from initlib._output._companions import companions_of, content
from initlib._output._names import MODEL, WEIGHTS
from initlib._output._storage import check_space, storage_errors, sync
from initlib._output._terms import Terms
from initlib._output._undo import Undo
from initlib._remote import Place


@dataclass(frozen=True, slots=True)
class OutputFolder:
    """A folder to be filled.

    Attributes:
        path: as it was asked for; messages name it.
        final: the same, absolute: wherever a manifest's own code changes to, this stays.
        companions: files to be copied into it.
        index: the name of the file that lists those of the data, and its text.
    """

    path: Path
    final: Path
    companions: tuple[Place, ...]
    index: tuple[str, str] | None = None

    @classmethod
    def at(
        cls, path: str | os.PathLike[str], model: str | os.PathLike[str] | None = None
    ) -> OutputFolder:
        """Return the folder of this name.

        Args:
            path: its name; it need not be there yet.
            model: a folder with config and tokenizer files to go with the weights.

        Raises:
            RequestError: the latter isn't there, or has no such files.
            StorageError: it can't be read, or there is no current folder.
        """
        with storage_errors(path):
            final = Path(os.path.realpath(path))
        found = () if model is None else companions_of(model)
        # What is there already needs no copy.
        return cls(Path(path), final, tuple(each for each in found if each.parent != final))

    def claim(self) -> Claim:
        """Return the right to write it, which is still to be taken."""
        return Claim(self.path, self.final, MODEL, make_folder=True)

    def place(self, name: str) -> Path:
        """Return where the file of a name goes."""
        return self.final / name

    def check(self, terms: Terms) -> None:
        """Find out whether weights may be written there.

        Raises:
            RequestError: there are some, or files that would be replaced, or no folder around it.
            StorageError: it can't be looked into.
        """
        with storage_errors(self.path):
            if not os.path.lexists(self.final):
                if not self.final.parent.is_dir():
                    raise RequestError(f"{self.path}: there is no folder {self.path.parent}")
                return
            if not self.final.is_dir():
                raise RequestError(f"{self.path}: expected a folder's name, but it is a file")
            names = {companion.name for companion in self.companions}
            there = sorted(os.listdir(self.final))  # noqa: PTH208
            for name in there:
                if WEIGHTS.fullmatch(name) or name in names:
                    self._check_file(name, terms)

    def _check_file(self, name: str, terms: Terms) -> None:
        """Raise RequestError if a file that is there may not be replaced."""
        file = self.final / name
        if file.is_dir():
            raise RequestError(f"{self.path / name}: expected a file, but it is a folder")
        if file.exists() and Path(terms.manifest).exists() and file.samefile(terms.manifest):
            raise RequestError(f"{self.path}: the output would replace the manifest")
        if not terms.force and name not in terms.ours:
            text = f"{self.path / name} exists; --force (in Python force=True) replaces it"
            raise RequestError(text)

    def check_space(self, nbytes: int) -> None:
        """Raise StorageError if the disk can't hold so many bytes."""
        folder = self.final if self.final.is_dir() else self.final.parent
        check_space(self.path, folder, nbytes)

    def as_wanted(self) -> set[str]:
        """Return the names of files beside the data that are there as they would be written."""
        with storage_errors(self.path):
            same = {
                each.name
                for each in self.companions
                if self.place(each.name).is_file()
                and content(each) == self.place(each.name).read_bytes()
            }
            if self.index is not None and self.place(self.index[0]).is_file():
                found = self.place(self.index[0]).read_bytes()
                same |= {self.index[0]} if found == self.index[1].encode() else set()
            return same

    def publish(self, claim: Claim, new: Mapping[str, Path], terms: Terms) -> None:
        """Let new files take their names, the index last, and the old index and shards go away.

        Args:
            claim: the right to do so.
            new: where the files of data are, by their names; others may stay.
            terms: on which they may.

        Raises:
            RequestError: files appeared meanwhile that may not be replaced.
            StorageError: it can't be done. What was there before is still there, or the new files
                are whole and wait for another try.
        """
        all_new = {**self._companions(claim, terms), **new, **self._listed(claim, new, terms)}
        if terms.commit is not None:
            terms.commit()
        claim.check()
        self.check(terms)
        with uninterrupted():
            self._rename(claim, all_new, terms.ours)

    def _companions(self, claim: Claim, terms: Terms) -> dict[str, Path]:
        """Copy the companions that aren't there; return where they are."""
        copies = {}
        for number, companion in enumerate(self.companions):
            if companion.name not in terms.ours:
                copy = claim.beside(number + 1)
                data = content(companion)
                with new_file(copy) as file:
                    file.write(data)
                sync(copy)
                copies[companion.name] = copy
        return copies

    def _listed(self, claim: Claim, new: Mapping[str, Path], terms: Terms) -> dict[str, Path]:
        """Write the index, if there is to be one, unless all that it lists is there with it."""
        if self.index is None or (self.index[0] in terms.ours and not new):
            return {}
        path = claim.beside(0)
        with new_file(path) as file:
            file.write(self.index[1].encode())
        sync(path)
        return {self.index[0]: path}

    def _rename(self, claim: Claim, new: Mapping[str, Path], ours: frozenset[str]) -> None:
        """Rename files, the last one last.

        No loader ever finds an index whose shards are others than it lists; syncs see to it that
        none does after a power cut either.
        """
        there = {each for each in os.listdir(self.final) if WEIGHTS.fullmatch(each)}  # noqa: PTH208
        old = there - ours
        if not new and not old:
            return
        # Nothing old goes before all that is new is on the disk, under whatever names.
        sync(self.final)
        indexes = {each for each in there & (old | new.keys()) if each.endswith(".json")}
        with Undo(claim, len(self.companions) + 1) as undo:
            for index in sorted(indexes):
                undo.remove(self.place(index))
                claim.begin(new.values())
            sync(self.final)
            for each in [*new][:-1]:
                undo.rename(new[each], self.place(each))
                claim.begin(new.values())
            for stale in sorted(old - new.keys() - indexes):
                undo.remove(self.place(stale))
            sync(self.final)
            for each in [*new][-1:]:
                undo.rename(new[each], self.place(each))
                sync(self.final)
        claim.note = None
