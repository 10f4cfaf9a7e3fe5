"""A folder of shards, whose index appears last."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from initlib._errors import RequestError
from initlib._output._file import Output, storage_errors, sync_folder

# What loaders look for: such files must not be there beside new ones.
_WEIGHTS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors|model\.safetensors\.index\.json")
# What of a model's folder goes with any weights: its config, its tokenizer, its processor.
_COMPANIONS = re.compile(r".*\.(json|jinja|model|tiktoken|txt)")


@dataclass(frozen=True, slots=True)
class OutputFolder:
    """A folder to be filled.

    Attributes:
        path: as it was asked for; messages name it.
        companions: files to be copied into it.
    """

    path: Path
    companions: tuple[Path, ...] = ()

    def with_companions(self, source: str | os.PathLike[str] | None) -> OutputFolder:
        """Return the same with the config and tokenizer files of another folder; None has none.

        Raises:
            RequestError: the latter isn't there, or has no such files.
            StorageError: it can't be read.
        """
        if source is None:
            return self
        folder = Path(source)
        with storage_errors(folder):
            if not folder.is_dir():
                raise RequestError(f"{folder}: there is no such folder")
            files = sorted(each for each in folder.iterdir() if each.is_file())
        found = [
            each
            for each in files
            if _COMPANIONS.fullmatch(each.name) and not each.name.endswith(".index.json")
        ]
        if not found:
            raise RequestError(
                f"{folder}: expected config or tokenizer files to copy, but has none"
            )
        return replace(self, companions=tuple(found))

    def check(self, *, force: bool, manifest: str) -> None:
        """Find out whether weights may be written there.

        Args:
            force: what is there may be replaced.
            manifest: a file that may not.

        Raises:
            RequestError: there are some, or files that would be replaced, or no folder around it.
            StorageError: it can't be looked into.
        """
        with storage_errors(self.path):
            if not os.path.lexists(self.path):
                if not self.path.absolute().parent.is_dir():
                    raise RequestError(f"{self.path}: there is no folder {self.path.parent}")
                return
            if not self.path.is_dir():
                raise RequestError(f"{self.path}: expected a folder's name, but it is a file")
            there = sorted(each.name for each in self.path.iterdir())
        names = {each.name for each in self.companions if not self._is_own(each)}
        taken = [name for name in there if _WEIGHTS.fullmatch(name) or name in names]
        if any(Path(manifest).exists() and (self.path / n).samefile(manifest) for n in taken):
            raise RequestError(f"{self.path}: the output would replace the manifest")
        if taken and not force:
            what = self.path / taken[0]
            raise RequestError(f"{what} exists; --force (in Python force=True) replaces it")

    def check_space(self, nbytes: int) -> None:
        """Raise StorageError if the disk can't hold so many bytes."""
        Output(self.path, self.path.absolute()).check_space(nbytes)

    @contextmanager
    def temporaries(
        self, names: Sequence[str], index: tuple[str, str] | None
    ) -> Iterator[list[Path]]:
        """Give as many new files in the folder, which take their names at the end.

        Other weights that are there go away then, and the index comes last: until it is there,
        nobody takes the folder for a checkpoint.

        Args:
            names: of the files.
            index: the name of the file that lists them, and its text.

        Raises:
            StorageError: they could not be written.
        """
        new = not self.path.exists()
        tag = secrets.token_hex(8)
        temporaries = [self.path / f".initgen-{tag}-{i}.tmp" for i in range(len(names) + 1)]
        with storage_errors(self.path, hidden=temporaries):
            self.path.mkdir(exist_ok=True)
            try:
                yield temporaries[:-1]
                if index is not None:
                    temporaries[-1].write_text(index[1])
                    _sync(temporaries[-1])
                self._publish(temporaries, [*names, *([index[0]] if index else [])])
            finally:
                for temporary in temporaries:
                    temporary.unlink(missing_ok=True)
                if new and not any(self.path.iterdir()):
                    self.path.rmdir()

    def _publish(self, temporaries: Sequence[Path], names: Sequence[str]) -> None:
        """Take old weights away, index first, and let new files take their names."""
        old = [each for each in self.path.iterdir() if _WEIGHTS.fullmatch(each.name)]
        for each in sorted(old, key=lambda path: not path.name.endswith(".json")):
            each.unlink()
        for companion in self.companions:
            if not self._is_own(companion):
                shutil.copyfile(companion, self.path / companion.name)
        for temporary, name in zip(temporaries, names, strict=False):
            temporary.replace(self.path / name)
        sync_folder(self.path)

    def _is_own(self, companion: Path) -> bool:
        return self.path.exists() and companion.parent.samefile(self.path)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
