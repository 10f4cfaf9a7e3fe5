"""A folder of weights, whose index appears last."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from initlib._errors import RequestError
from initlib._output._file import check_space, storage_errors, sync

# What loaders look for: such files must not be there beside new ones.
_WEIGHTS = re.compile(r"model(-\d{5,}-of-\d{5,})?\.safetensors|model\.safetensors\.index\.json")
# What of a model's folder goes with any weights: its config, its tokenizer, its processor.
_COMPANIONS = re.compile(r".*(?<!\.index)\.(json|jinja|model|tiktoken|txt)")


@dataclass(frozen=True, slots=True)
class OutputFolder:
    """A folder to be filled.

    Attributes:
        path: as it was asked for; messages name it.
        final: the same, absolute: wherever a manifest's own code changes to, this stays.
        companions: files to be copied into it.
    """

    path: Path
    final: Path
    companions: tuple[Path, ...]

    @classmethod
    def at(
        cls, path: str | os.PathLike[str], companions_of: str | os.PathLike[str] | None = None
    ) -> OutputFolder:
        """Return the folder of this name.

        Args:
            path: its name; it need not be there yet.
            companions_of: a folder with config and tokenizer files to go with the weights.

        Raises:
            RequestError: the latter isn't there, or has no such files.
            StorageError: it can't be read, or there is no current folder.
        """
        with storage_errors(path):
            final = Path(os.path.realpath(path))
        if companions_of is None:
            return cls(Path(path), final, ())
        with storage_errors(companions_of):
            folder = Path(os.path.realpath(companions_of))
            if not folder.is_dir():
                raise RequestError(f"{companions_of}: there is no such folder")
            files = sorted(each for each in folder.iterdir() if each.is_file())
        found = [each for each in files if _COMPANIONS.fullmatch(each.name)]
        if not found:
            expected = "expected config or tokenizer files to copy, but it has none"
            raise RequestError(f"{companions_of}: {expected}")
        # What is there already needs no copy.
        return cls(Path(path), final, () if folder == final else tuple(found))

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
            if not os.path.lexists(self.final):
                if not self.final.parent.is_dir():
                    raise RequestError(f"{self.path}: there is no folder {self.path.parent}")
                return
            if not self.final.is_dir():
                raise RequestError(f"{self.path}: expected a folder's name, but it is a file")
            names = {companion.name for companion in self.companions}
            there = sorted(os.listdir(self.final))  # noqa: PTH208
            for name in there:
                if _WEIGHTS.fullmatch(name) or name in names:
                    self._check_file(name, force=force, manifest=manifest)

    def _check_file(self, name: str, *, force: bool, manifest: str) -> None:
        """Raise RequestError if a file that is there may not be replaced."""
        file = self.final / name
        if file.is_dir():
            raise RequestError(f"{self.path / name}: expected a file, but it is a folder")
        if file.exists() and Path(manifest).exists() and file.samefile(manifest):
            raise RequestError(f"{self.path}: the output would replace the manifest")
        if not force:
            text = f"{self.path / name} exists; --force (in Python force=True) replaces it"
            raise RequestError(text)

    def check_space(self, nbytes: int) -> None:
        """Raise StorageError if the disk can't hold so many bytes."""
        folder = self.final if self.final.is_dir() else self.final.parent
        check_space(self.path, folder, nbytes)

    @contextmanager
    def temporaries(
        self, names: Sequence[str], index: tuple[str, str] | None, *, force: bool, manifest: str
    ) -> Iterator[list[Path]]:
        """Give as many new files in the folder, which take their names at the end.

        Args:
            names: of the files.
            index: the name of the file that lists them, and its text.
            force: what is there may be replaced.
            manifest: a file that may not.

        Raises:
            RequestError: files appeared meanwhile that may not be replaced.
            StorageError: they could not be written; what was there before is still there.
        """
        tag = secrets.token_hex(8)
        listed = [index[0]] if index else []
        finals = [*(companion.name for companion in self.companions), *names, *listed]
        hidden = [self.final / f".initgen-{tag}-{i}.tmp" for i in range(len(finals))]
        temporaries = dict(zip(finals, hidden, strict=True))
        with storage_errors(self.path, hidden=hidden):
            new = not self.final.exists()
            self.final.mkdir(exist_ok=True)
            try:
                yield [temporaries[name] for name in names]
                for companion in self.companions:
                    with storage_errors(companion):
                        shutil.copyfile(companion, temporaries[companion.name])
                    sync(temporaries[companion.name])
                if index is not None:
                    temporaries[index[0]].write_text(index[1])
                    sync(temporaries[index[0]])
                self.check(force=force, manifest=manifest)
            except BaseException:
                for temporary in temporaries.values():
                    temporary.unlink(missing_ok=True)
                if new:
                    with suppress(OSError):
                        self.final.rmdir()
                raise
            self._publish(temporaries)
            if new:
                sync(self.final.parent)

    def _publish(self, temporaries: dict[str, Path]) -> None:
        """Let new files take their names, the index last, and the old index and shards go away.

        No loader ever finds an index whose shards are others than it lists.
        """
        old = {name for name in os.listdir(self.final) if _WEIGHTS.fullmatch(name)}  # noqa: PTH208
        for name in sorted(old):
            if name.endswith(".json"):
                (self.final / name).unlink()
        *others, last = temporaries
        for name in others:
            temporaries[name].replace(self.final / name)
        for stale in old - temporaries.keys():
            (self.final / stale).unlink(missing_ok=True)
        temporaries[last].replace(self.final / last)
        sync(self.final)
