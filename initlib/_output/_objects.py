"""A checkpoint at an address: files that take their names only once all of them are whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread

from initlib._errors import RequestError, StorageError
from initlib._interrupts import uninterrupted
from initlib._output._claim import HELD
from initlib._output._companions import companions_of, content
from initlib._output._names import WEIGHTS
from initlib._output._storage import storage_errors
from initlib._output._terms import Terms
from initlib._remote import Address, Place, Upload, upload

# Seconds that a process which ends at once gives stores to forget what was sent.
LONGEST = 5


@dataclass(eq=False)
class Uploads:
    """The files that are being sent. Unlike a `Claim` it keeps no other run away.

    Attributes:
        path: the target as it was asked for; messages name it.
        note: what is to be told when the run fails.
    """

    path: Address
    note: str | None = None
    _open: dict[Address, Upload] = field(default_factory=dict)

    def begin(self, address: Address, size: int, check: Callable[[], None]) -> Upload:
        """Begin to send a file."""
        self._open[address] = upload(address, size, check)
        return self._open[address]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Take back in the end what was sent and hasn't got its name."""
        HELD.append(self)
        try:
            with storage_errors(self.path):
                yield
        finally:
            # Until all is taken back, a second signal may find it.
            with uninterrupted():
                self._discard()
                HELD.remove(self)

    def publish(self, address: Address) -> None:
        """Let a file take its name, which another may have.

        Raises:
            StorageError: it can't.
        """
        self._open[address].commit()
        del self._open[address]

    def release(self) -> None:
        """Take back what was sent, if that is soon done: the process is about to end."""
        thread = Thread(target=self._discard, kwargs={"at_once": True}, daemon=True)
        thread.start()
        thread.join(LONGEST)

    def _discard(self, *, at_once: bool = False) -> None:
        for address, each in [*self._open.items()]:
            try:
                each.discard(at_once=at_once)
            except StorageError as error:
                self.note = f"{error}; nobody sees it, but it takes room"
            self._open.pop(address, None)


@dataclass(frozen=True, slots=True)
class ObjectFile:
    """A file to be written at an address.

    Attributes:
        path: as it was asked for.
    """

    path: Address

    @classmethod
    def at(cls, path: Address) -> ObjectFile:
        """Return the output of this address.

        Raises:
            RequestError: it is a folder's, or a bucket's.
        """
        _check_key(path)
        if path.names_folder:
            raise RequestError(f"{path}: expected a file's address, received a folder's")
        return cls(path)

    @property
    def final(self) -> Address:
        """The same."""
        return self.path

    def claim(self) -> Uploads:
        """Return what keeps account of what is sent."""
        return Uploads(self.path)

    def place(self, name: str) -> Address:
        """Return where the file of a name goes."""
        return self.path.with_name(name)

    def check(self, terms: Terms) -> None:
        """Find out whether a file may be written there.

        Raises:
            RequestError: there is no such bucket, or something that may not be replaced.
            StorageError: it can't be told.
        """
        _check_file(self.path, terms)

    def as_wanted(self) -> set[str]:
        """Return the names of files beside the data that are there as they would be written."""
        return set()

    def publish(self, uploads: Uploads, new: Mapping[str, Address], terms: Terms) -> None:
        """Let the new file take its name.

        Args:
            uploads: what was sent.
            new: its address, by its name; none if what is there may stay.
            terms: on which it may.

        Raises:
            RequestError: a file of this address appeared meanwhile.
            StorageError: it can't be done.
        """
        if terms.commit is not None:
            terms.commit()
        self.check(terms)
        with uninterrupted():
            for address in new.values():
                uploads.publish(address)


@dataclass(frozen=True, slots=True)
class ObjectFolder:
    """A folder to be filled at an address.

    Attributes:
        path: as it was asked for.
        companions: files to be copied into it.
        index: the name of the file that lists those of the data, and its text.
    """

    path: Address
    companions: tuple[Place, ...]
    index: tuple[str, str] | None = None

    @classmethod
    def at(cls, path: Address, model: str | os.PathLike[str] | None = None) -> ObjectFolder:
        """Return the folder of this address.

        Args:
            path: its address.
            model: a folder with config and tokenizer files to go with the weights.

        Raises:
            RequestError: the latter isn't there, or has no such files.
            StorageError: it can't be read.
        """
        _check_key(path)
        found = () if model is None else companions_of(model)
        return cls(path, tuple(each for each in found if each != path / each.name))

    def claim(self) -> Uploads:
        """Return what keeps account of what is sent."""
        return Uploads(self.path)

    def place(self, name: str) -> Address:
        """Return where the file of a name goes."""
        return self.path / name

    def weights(self) -> set[str]:
        """Return the names of the weights that are there.

        Raises:
            RequestError: there is no such bucket, or a file in the folder's place.
            StorageError: it can't be told.
        """
        if self.path.is_file():
            raise RequestError(f"{self.path}: expected a folder's address, but it is a file")
        if not self.path.is_dir():
            return set()
        return {each.name for each in self.path.iterdir() if WEIGHTS.fullmatch(each.name)}

    def check(self, terms: Terms) -> None:
        """Find out whether weights may be written there.

        Raises:
            RequestError: there are some, or files that would be replaced, or no bucket.
            StorageError: it can't be told.
        """
        there = self.weights()
        for name in sorted(there | {each.name for each in self.companions}):
            if name not in terms.ours:
                _check_file(self.place(name), terms)

    def as_wanted(self) -> set[str]:
        """Return the names of files beside the data that are there as they would be written."""
        wanted = {each.name: content(each) for each in self.companions}
        if self.index is not None:
            wanted[self.index[0]] = self.index[1].encode()
        return {name for name, data in wanted.items() if self._has(name, data)}

    def _has(self, name: str, data: bytes) -> bool:
        there = self.place(name)
        return there.is_file() and there.size() == len(data) and there.read_bytes() == data

    def publish(self, uploads: Uploads, new: Mapping[str, Address], terms: Terms) -> None:
        """Let new files take their names, the index last, and the old index and shards go away.

        Args:
            uploads: what was sent.
            new: the addresses of the files of data, by their names; others may stay.
            terms: on which they may.

        Raises:
            RequestError: files appeared meanwhile that may not be replaced.
            StorageError: it can't be done.
        """
        texts = {each.name: content(each) for each in self.companions}
        texts = {name: data for name, data in texts.items() if name not in terms.ours}
        if terms.commit is not None:
            terms.commit()
        self.check(terms)
        old = self.weights() - terms.ours
        index = self.index if self.index and (new or self.index[0] not in terms.ours) else None
        if not (new or old or texts or index):
            return
        with uninterrupted():
            uploads.note = "some files may have their names; --resume sends what is missing"
            # No loader may find an index whose shards are others than it lists.
            indexes = {each for each in self.weights() if each.endswith(".json")}
            for name in sorted(indexes if index or new else indexes & old):
                self.place(name).remove()
            for name, data in texts.items():
                self.place(name).write_bytes(data)
            for address in new.values():
                uploads.publish(address)
            for name in sorted(old - new.keys() - indexes):
                self.place(name).remove()
            if index is not None:
                self.place(index[0]).write_bytes(index[1].encode())
            uploads.note = None


def _check_key(path: Address) -> None:
    """Raise RequestError if nothing can be written at an address."""
    if path.read_only:
        raise RequestError(f"{path}: files can be read over {path.protocol}, but not written")
    if path.lacks_key and not path.names_folder:
        example = f"{path}/model.safetensors, or {path}/ for a folder"
        raise RequestError(f"{path}: expected an address in the bucket, such as {example}")


def _check_file(path: Address, terms: Terms) -> None:
    """Raise RequestError if a file may not be written."""
    if os.fspath(path) == terms.manifest:
        raise RequestError(f"{path}: the output would replace the manifest")
    if path.is_file() and not terms.force and path.name not in terms.ours:
        raise RequestError(f"{path} exists; --force (in Python force=True) replaces it")
