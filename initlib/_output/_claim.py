"""The sole right to write a target, and the hidden files beside it before they take their names."""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from blake3 import blake3

from initlib._errors import StorageError
from initlib._files import itself
from initlib._interrupts import uninterrupted
from initlib._output._storage import storage_errors, sync

# What is put around a target's name still has to be a file's name.
LONGEST = 200
# How file systems say that they have no locks.
NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
# How the names of parts' claims end.
PART = r"\.part-\d+-of-\d+"


class Held(Protocol):
    """What leaves something behind that nobody else would remove."""

    def release(self) -> None:
        """Remove it."""


HELD: list[Held] = []


def abandon() -> None:
    """Remove the hidden files, and unfinished uploads, of every `generate` in this process.

    It is for whatever ends a process at once, by `os._exit`, so that nothing is left behind. What
    `generate` was told to keep with `resume` stays.
    """
    for claim in [*HELD]:
        claim.release()


@dataclass(eq=False)
class Claim:
    """The sole right to write a target: a lock that ends with its process, and hidden files.

    Hidden files have names that follow from the target's, so whoever holds the claim knows that
    those which are there were left by runs that are no more.

    Attributes:
        path: the target as it was asked for; messages name it.
        folder: where the hidden files are.
        name: of the target in it.
        make_folder: make the folder, if it isn't there.
        whole: the claim to the target of which this is one to a part.
        kept: hidden files that stay when the run fails.
        note: what else is to be told when it does.
    """

    path: Path
    folder: Path
    name: str
    make_folder: bool = False
    whole: Claim | None = None
    kept: set[Path] = field(default_factory=set)
    note: str | None = None
    _lock_fd: int = -1
    _made_folder: bool = False
    _cleared: bool = False

    @property
    def lock(self) -> Path:
        """The file that is locked. It is gone when nobody holds the claim, but after a kill."""
        return self.folder / f".initgen-{self._stem}.lock"

    @property
    def _stem(self) -> str:
        name = os.fsencode(self.name)
        return self.name if len(name) <= LONGEST else blake3(name).hexdigest(length=16)

    def part(self, number: int, count: int) -> Claim:
        """Return the right to write one of so many parts of the target.

        Whoever holds it keeps out those who write the same part, or the whole.
        """
        return replace(self, name=f"{self.name}.part-{number}-of-{count}", whole=self, kept=set())

    def new(self, number: int) -> Path:
        """Return the place of a new file of data that is whole, before it takes its name."""
        return self.folder / f".initgen-{self._stem}-{number}.tmp"

    def unfinished(self, number: int, token: str = "new") -> Path:  # noqa: S107
        """Return the place of the same until it is whole; several may make it, each by a token."""
        return self.folder / f".initgen-{self._stem}-{number}.{token}.tmp"

    @property
    def order(self) -> Path:
        """The file that tells other processes what they are to make, as long as they are to."""
        return self.new(0)

    def beside(self, number: int) -> Path:
        """Return the place of a new file that goes with the data, likewise."""
        return self.folder / f".initgen-{self._stem}-x{number}.tmp"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the claim; in the end hidden files are removed, but for those to be kept.

        Raises:
            StorageError: another run holds it, or something inside went wrong with a file.
        """
        with self.errors():
            try:
                with uninterrupted():
                    self._take()
                    HELD.append(self)
                    self._check_others()
                yield
            finally:
                self.release()

    def errors(self) -> AbstractContextManager[None]:
        """Let what goes wrong with hidden files be an error of the target."""
        hidden = re.escape(f"{self.folder}/.initgen-") + r"[^/]*?\.(tmp|lock): "
        return storage_errors(self.path, re.compile(hidden))

    def clear(self) -> None:
        """Remove hidden files that aren't to be kept: what runs left that were killed.

        Before this, whatever fails leaves them as they are; from here on the claim's end does this.
        """
        self._cleared = True
        # Before the others are listed: whoever begins one looks for this afterwards. Disks may
        # refuse to remove even what isn't there.
        if self.order.exists():
            self.order.unlink(missing_ok=True)
        stem, part = re.escape(f".initgen-{self._stem}"), "" if self.whole else f"({PART})?"
        own = re.compile(rf"{stem}({part}-x?\d+(\.\w+)?\.tmp|{PART}\.lock)")
        for name in os.listdir(self.folder):  # noqa: PTH208
            if own.fullmatch(name) and self.folder / name not in self.kept:
                (self.folder / name).unlink(missing_ok=True)

    def finish(self, unfinished: Path, number: int, *, keep: bool) -> None:
        """Let a file that is whole and on the disk have the place of such.

        Args:
            unfinished: where it is.
            number: which it is.
            keep: let it outlive whatever happens, a power cut too.
        """
        new = (self.whole or self).new(number)
        unfinished.replace(new)
        if keep:
            sync(self.folder)
            self.kept.add(new)

    def begin(self, new: Iterable[Path]) -> None:
        """Let all new files stay, as the first of them, or something old, has lost its place."""
        self.kept.update(new)
        self.note = "the new files are whole, and --resume lets the rest of them take their names"

    def check(self) -> None:
        """Raise StorageError if somebody has removed the lock, so that another run may be there."""
        if not self._is_there(self._lock_fd):
            problem = "was removed while the file was written, or the folder was moved or replaced"
            raise StorageError(f"{self.path}: {self.lock.name} {problem}")

    @property
    def left(self) -> bool:
        """Whether a failure leaves files that may be used another time."""
        return self._cleared and bool(self.kept)

    def release(self) -> None:
        """Give the claim back; nothing happens where it isn't held."""
        if self not in HELD:
            return
        with uninterrupted(), suppress(OSError):
            HELD.remove(self)
            # The folder may have been moved, and another may be in its place.
            lock = itself(self._lock_fd, self.lock).resolve()
            places = {self.folder, lock.parent} if lock.name == self.lock.name else {self.folder}
            for folder in places:
                with suppress(OSError):
                    self._release(folder)
            os.close(self._lock_fd)

    def _release(self, folder: Path) -> None:
        """Remove hidden files from the folder, or from where it is now, and the lock."""
        self.folder = folder
        try:
            if self._cleared:
                self.clear()
        finally:
            self.lock.unlink(missing_ok=True)
            self._remove_folder()

    def _take(self) -> None:
        while True:
            try:
                if self.make_folder:
                    self._make_folder()
                self._lock_fd = self._locked()
            except FileNotFoundError:
                # Another run made the folder, failed, and has just removed it.
                if self.make_folder and self.folder.parent.exists() and not self.folder.exists():
                    continue
                raise
            except BaseException:
                self._remove_folder()
                raise
            return

    def _make_folder(self) -> None:
        with suppress(FileExistsError):
            self.folder.mkdir()
            self._made_folder = True
            sync(self.folder.parent)

    def _remove_folder(self) -> None:
        if self._made_folder:
            with suppress(OSError):
                self.folder.rmdir()

    def _locked(self) -> int:
        """Return the descriptor of the lock, which is ours as long as it is open."""
        while True:
            fd, new = self._open_lock()
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in NO_LOCKS and new:
                    # Whoever comes next finds the file.
                    return fd
                os.close(fd)
                raise self._refused(error, self.lock) from error
            if self._is_there(fd):
                return fd
            # Whoever held it has just removed it.
            os.close(fd)

    def _is_there(self, fd: int) -> bool:
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(fd), self.lock.stat())
        return False

    def _open_lock(self) -> tuple[int, bool]:
        """Return the lock file's descriptor, and whether the file is new."""
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        while True:
            with suppress(FileExistsError):
                return os.open(self.lock, flags | os.O_CREAT | os.O_EXCL, 0o666), True
            with suppress(FileNotFoundError):
                try:
                    return os.open(self.lock, flags), False
                except PermissionError:
                    # Another user's run was killed. Most file systems lock what can be read.
                    return os.open(self.lock, flags & ~os.O_RDWR), False

    def _check_others(self) -> None:
        """Raise StorageError if the whole is being written by another run, or here a part of it."""
        if self.whole:
            locks = [self.whole.lock]
        else:
            part = re.compile(re.escape(f".initgen-{self._stem}") + PART + r"\.lock")
            names = os.listdir(self.folder)  # noqa: PTH208
            locks = [self.folder / name for name in names if part.fullmatch(name)]
        for lock in locks:
            with suppress(FileNotFoundError):
                fd = os.open(lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
                try:
                    fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except OSError as error:
                    raise self._refused(error, lock) from error
                finally:
                    os.close(fd)

    def _refused(self, error: OSError, lock: Path) -> Exception:
        if isinstance(error, BlockingIOError):
            return StorageError(f"{self.path}: another run of initgen is writing it")
        if error.errno in NO_LOCKS:
            return StorageError(
                f"{self.path}: another run is writing it, or was killed, which can't be told apart "
                f"on this file system; if none is, delete {lock}"
            )
        return error
