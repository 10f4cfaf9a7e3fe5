"""A folder of weights, whose index appears last."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from initlib._errors import RequestError, StorageError, reason
from initlib._files import new_file, sync
from initlib._output._file import check_space, remove, storage_errors
from initlib._output._held import Held, held

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
        listed = {index[0]: index[1]} if index else {}
        with storage_errors(self.path), ExitStack() as stack:
            around = stack.enter_context(held(self.path, self.final.parent))
            new = not self.final.exists()
            self.final.mkdir(exist_ok=True)
            with ExitStack() as undo:
                if new:
                    undo.callback(_quietly, os.rmdir, around / self.final.name)
                folder = stack.enter_context(held(self.path, self.final))
                finals = [*(each.name for each in self.companions), *names, *listed]
                hidden = _hidden(folder, finals, "tmp")
                for temporary in hidden.values():
                    undo.callback(remove, temporary)
                with storage_errors(self.path, hidden=[*hidden.values()]):
                    yield [hidden[name] for name in names]
                    self._write_small(hidden, listed)
                    folder.check()
                    self.check(force=force, manifest=manifest)
                    old = _publish(folder, hidden, undo)
                undo.pop_all()
            _remove_old(self.path, old)
            folder.sync()
            if new:
                around.sync()

    def _write_small(self, hidden: Mapping[str, Path], listed: Mapping[str, str]) -> None:
        """Write copies of the companions, and the index."""
        for companion in self.companions:
            with storage_errors(companion):
                source = companion.open("rb")
            with source, new_file(hidden[companion.name]) as copy:
                shutil.copyfileobj(source, copy)
                sync(copy)
        for name, text in listed.items():
            with new_file(hidden[name]) as file:
                file.write(text.encode())
                sync(file)


def _hidden(folder: Held, names: Iterable[str], suffix: str) -> dict[str, Path]:
    """Return names that nobody else uses or looks at, one for each of the names."""
    tag = secrets.token_hex(8)
    return {name: folder / f".initgen-{tag}-{i}.{suffix}" for i, name in enumerate(names)}


def _publish(folder: Held, hidden: Mapping[str, Path], undo: ExitStack) -> list[Path]:
    """Let new files take their names, the index last, and the old index and shards go away.

    No loader ever finds an index whose shards are others than it lists.

    Args:
        folder: that they are in.
        hidden: the new files by the names that they take.
        undo: is told how everything becomes what it was.

    Returns:
        The old files, which now have hidden names.
    """
    there = os.listdir(folder.path)  # noqa: PTH208
    stale = [name for name in there if name in hidden or _WEIGHTS.fullmatch(name)]
    stale.sort(key=lambda name: not name.endswith(".index.json"))
    old = _hidden(folder, stale, "old")
    for name, aside in old.items():
        _set_aside(folder / name, aside, keep=name in hidden and not name.endswith(".index.json"))
        undo.callback(_bring_back, aside, folder / name)
    for name, temporary in hidden.items():
        temporary.replace(folder / name)
        undo.callback(_quietly, os.replace, folder / name, temporary)
    return [*old.values()]


def _remove_old(target: Path, old: Iterable[Path]) -> None:
    """Remove what was replaced.

    Raises:
        StorageError: some of it is left.
    """
    problems = []
    for each in old:
        try:
            each.unlink(missing_ok=True)
        except OSError as error:
            problems.append((each.name, error))
    for name, error in problems:
        left = f"the new files are in their places, but {name}, an old one, is left"
        raise StorageError(f"{target}: {left}: {reason(error)}") from error


def _set_aside(path: Path, aside: Path, *, keep: bool) -> None:
    """Give a file another name; to `keep` it under its own as well is possible in most places."""
    if keep:
        with suppress(OSError):
            os.link(path, aside, follow_symlinks=False)
            return
    os.rename(path, aside)  # noqa: PTH104


def _bring_back(aside: Path, path: Path) -> None:
    _quietly(os.replace, aside, path)
    # Where both are one file, renaming does nothing.
    remove(aside)


def _quietly(work: Callable[..., None], *paths: Path) -> None:
    """Undo a step; what went wrong before matters more than if that can't be done."""
    with suppress(OSError):
        work(*paths)
