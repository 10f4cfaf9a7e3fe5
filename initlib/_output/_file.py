"""A file that takes its name only once it is whole."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ByteSize

from initlib._errors import InitlibError, RequestError, StorageError, reason
from initlib._files import open_name
from initlib._output._held import held


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

    def check(self, *, force: bool, manifest: str) -> None:
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
            if Path(manifest).exists() and self.final.samefile(manifest):
                raise RequestError(f"{self.path}: the output would replace the manifest")
            if not force:
                raise RequestError(
                    f"{self.path} exists; --force (in Python force=True) replaces it"
                )

    def check_space(self, nbytes: int) -> None:
        """Raise StorageError if the disk can't hold so many bytes."""
        check_space(self.path, self.final.parent, nbytes)

    @contextmanager
    def temporary(self, *, force: bool, manifest: str) -> Iterator[Path]:
        """Give the name of a new file in the same folder, which takes the output's name at the end.

        Raises:
            RequestError: a file of the output's name appeared meanwhile.
            StorageError: it could not be written.
        """
        with storage_errors(self.path), held(self.path, self.final.parent) as folder:
            temporary = folder / f".initgen-{secrets.token_hex(8)}.tmp"
            try:
                with storage_errors(self.path, hidden=[temporary]):
                    yield temporary
                    folder.check()
                    self.check(force=force, manifest=manifest)
                    temporary.replace(folder / self.final.name)
            except BaseException:
                remove(temporary)
                raise
            folder.sync()


def check_space(path: Path, folder: Path, nbytes: int) -> None:
    """Raise StorageError, which names `path`, if a folder's disk can't hold so many bytes."""
    with storage_errors(path):
        free = shutil.disk_usage(folder).free
    if nbytes > free:
        need, have = (ByteSize(n).human_readable() for n in (nbytes, free))
        raise StorageError(f"{path}: {need} are needed, but the disk has only {have} free")


@contextmanager
def storage_errors(path: str | os.PathLike[str], hidden: Sequence[Path] = ()) -> Iterator[None]:
    """Turn what goes wrong with a file into a StorageError that names it, not `hidden` ones."""
    try:
        yield
    except OSError as error:
        if isinstance(error, InitlibError):
            own = [str(each) for each in hidden if str(error).startswith(f"{each}: ")]
            name = own[0] if own else open_name(str(error))
            if name is None:
                raise
            why = str(error).removeprefix(f"{name}: ")
        else:
            why = reason(error)
        raise StorageError(f"{path}: {why}") from error
    except MemoryError as error:
        problem = f"there is not enough memory: {error}".removesuffix(": ")
        advice = "use less --memory or fewer --threads"
        raise StorageError(f"{path}: {problem}; {advice}") from error


def remove(path: Path) -> None:
    """Remove a file that may be there; what went wrong before matters more than if it can't be."""
    with suppress(OSError):
        path.unlink()
