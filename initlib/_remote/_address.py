"""Addresses such as ``s3://bucket/key``, with as much of a path's manners as reading needs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from initlib._errors import RequestError, StorageError
from initlib._remote._failures import failures, lacks_bucket, no_bucket_s_name, unlocated
from initlib._remote._systems import BUCKETS, HTTP, KNOWN, file_system
from initlib._remote._words import without_secrets

_FORM = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
# What is meant as an address, but is the name of a file as it stands.
_SLIP = re.compile(rf"({'|'.join(KNOWN)}):/?(?=[^/])", re.IGNORECASE)


class Address:
    """The address of a file or a folder. Text of it has no passwords; `os.fspath` gives them.

    Attributes:
        protocol: what it begins with, in lower case.
    """

    def __init__(self, text: str) -> None:
        """Take an address apart, without a look at what is there.

        Raises:
            RequestError: it is none.
        """
        found = _FORM.fullmatch(text)
        expected = "expected an address such as s3://bucket/key"
        if found is None or "\0" in text:
            raise RequestError(f"{without_secrets(text)}: {expected}")
        self.protocol, self._rest = found[1].lower(), found[2]
        # What comes after a web page's name is no part of it, and often a secret.
        self._base = re.split(r"[?#]", self._rest)[0] if self.protocol in HTTP else self._rest
        if self.protocol in (*BUCKETS, *HTTP) and self._base[:1] in ("", "/"):
            what = "bucket" if self.protocol in BUCKETS else "server"
            raise RequestError(f"{without_secrets(text)}: it names no {what}; {expected}")
        if self.protocol in BUCKETS and "@" in self._base.partition("/")[0]:
            problem = "credentials don't go into a bucket's address; see docs/remote.md"
            raise RequestError(f"{without_secrets(text)}: {problem}")

    def __fspath__(self) -> str:
        return f"{self.protocol}://{self._rest}"

    def __str__(self) -> str:
        return without_secrets(os.fspath(self))

    def __repr__(self) -> str:
        return f"Address({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and os.fspath(self) == os.fspath(other)

    def __hash__(self) -> int:
        return hash(os.fspath(self))

    def __truediv__(self, name: str) -> Address:
        return Address(f"{self.protocol}://{self._base.rstrip('/')}/{name}")

    @property
    def name(self) -> str:
        """Its last part."""
        return self._base.rstrip("/").rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """What its last part ends with, from the last dot on."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> Address:
        """What is around it; of the outermost itself."""
        before = self._base.rstrip("/").rpartition("/")[0]
        outermost = not before and self.protocol in (*BUCKETS, *HTTP)
        return self if outermost else Address(f"{self.protocol}://{before}")

    def with_name(self, name: str) -> Address:
        """Return the address of another file in the same folder."""
        base = self._base.rstrip("/")
        return Address(f"{self.protocol}://{base.removesuffix(self.name)}{name}")

    @property
    def names_folder(self) -> bool:
        """Whether it ends as those of folders do."""
        return self._base.endswith("/")

    @property
    def lacks_key(self) -> bool:
        """Whether it is a bucket's."""
        return self.protocol in BUCKETS and "/" not in self._base.rstrip("/")

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written at such addresses."""
        return self.protocol in HTTP

    @cached_property
    def system(self) -> Any:
        """The fsspec file system that it is in.

        Raises:
            RequestError: there is no such kind, or what it takes isn't installed.
        """
        return file_system(self.protocol, os.fspath(self), str(self))

    @cached_property
    def key(self) -> str:
        """What the file system calls it."""
        return str(self.system._strip_protocol(os.fspath(self)))

    def resolve(self) -> Address:
        """Return itself: there are no links."""
        return self

    def is_symlink(self) -> bool:
        """Tell that there are no links."""
        return False

    def is_file(self) -> bool:
        """Tell whether there is such a file.

        Raises:
            RequestError: there is no such bucket.
            StorageError: it can't be told.
        """
        return (self._info() or {}).get("type") == "file"

    def is_dir(self) -> bool:
        """Tell whether there is such a folder: files whose addresses begin so.

        Raises:
            RequestError: there is no such bucket.
            StorageError: it can't be told.
        """
        if self.protocol in HTTP:
            return self.names_folder
        return (self._info() or {}).get("type") == "directory"

    def size(self) -> int:
        """Return the size of a file.

        Raises:
            RequestError: there is no such bucket.
            StorageError: there is no such file, or it can't be told.
        """
        info = self._info()
        if info is None:
            error = FileNotFoundError(os.fspath(self))
            raise StorageError(f"{self}: cannot read: there is no such file") from error
        if info["type"] != "file":
            raise StorageError(f"{self}: cannot read: not a file")
        if info.get("size") is None:
            raise StorageError(f"{self}: cannot read: its server doesn't tell its size")
        return int(info["size"])

    def iterdir(self) -> Iterator[Address]:
        """Yield what is in a folder.

        Raises:
            StorageError: it can't be looked into.
        """
        for info in self.call("read", lambda: self._fresh().ls(self.key, detail=True)):
            name = str(info["name"]).rstrip("/").rpartition("/")[2]
            # Some stores have an empty object of a folder's own name.
            if str(info["name"]).strip("/") != self.key.strip("/"):
                yield self / name

    def read_bytes(self, most: int | None = None) -> bytes:
        """Return a file's content, or no more than so many bytes of it.

        Raises:
            StorageError: it can't be read.
        """
        end = self.size() if most is None else min(self.size(), most)
        return self.read(0, end) if end else b""

    def read(self, start: int, end: int) -> bytes:
        """Return a piece of a file; threads may call it at the same time.

        Raises:
            StorageError: it can't be read.
        """
        found = self.call("read", lambda: self.system.cat_file(self.key, start=start, end=end))
        return bytes(found)

    def write_bytes(self, data: bytes) -> None:
        """Make a small file, or replace one.

        Raises:
            StorageError: it can't be written.
        """
        self.call("write", lambda: self.system.pipe_file(self.key, data))

    def remove(self) -> None:
        """Remove a file, which may be gone already.

        Raises:
            StorageError: it can't be removed.
        """

        def remove() -> None:
            try:
                self.system.rm_file(self.key)
            except FileNotFoundError as error:
                if lacks_bucket(error):
                    raise

        self.call("remove", remove)

    def call(self, action: str, work: Callable[[], Any]) -> Any:
        """Do something with the file system, and tell in one line what goes wrong with it.

        Raises:
            StorageError: `address: cannot <action>: <reason>`.
        """
        with failures(str(self), action):
            return work()

    def _fresh(self) -> Any:
        """Return the file system, which may know folders as they were."""
        self.system.invalidate_cache()
        return self.system

    def _info(self) -> dict[str, Any] | None:
        """Return what there is of this address; None if there is nothing."""
        bucket = self._base.partition("/")[0]

        def find() -> dict[str, Any] | None:
            try:
                return dict(self._fresh().info(self.key))
            except FileNotFoundError as error:
                if self.protocol in BUCKETS and self._lacks_bucket(bucket, error):
                    raise RequestError(f"{self}: there is no bucket {bucket!r}") from error
                if reason := unlocated(error):
                    raise reason from error
                return None
            except Exception as error:
                if self.protocol in BUCKETS and no_bucket_s_name(error):
                    raise RequestError(f"{self}: no bucket can be named {bucket!r}") from error
                raise

        found: dict[str, Any] | None = self.call("read", find)
        return found

    def _lacks_bucket(self, bucket: str, error: FileNotFoundError) -> bool:
        """Tell whether it is for want of the bucket that a file isn't there."""
        if self.lacks_key or lacks_bucket(error):
            return True
        if self.protocol in ("gs", "gcs"):
            # Google's storage doesn't say so by itself. Not everybody may ask, though.
            with suppress(Exception):
                try:
                    self.system.info(bucket)
                except FileNotFoundError:
                    return True
        return False


Place: TypeAlias = Path | Address


def path_of(name: str | os.PathLike[str]) -> Place:
    """Return what a user's name of a file or folder means: a path of this machine, or an address.

    Raises:
        RequestError: it looks like an address, and is none.
    """
    if isinstance(name, Address):
        return name
    text = os.fspath(name)
    if "://" not in text:
        if (slip := _SLIP.match(text)) and not os.path.lexists(text):
            meant = f"{slip[1].lower()}://{text[slip.end() :]}"
            raise RequestError(
                f"{without_secrets(text)}: there is no such file; did you mean "
                f"{without_secrets(meant)!r}?"
            )
        return Path(text)
    address = Address(text)
    if address.protocol not in ("file", "local"):
        return address
    local = text.partition("://")[2]
    if not local.startswith("/"):
        raise RequestError(f"{text}: expected a whole path, such as file:///{local}")
    return Path(local)


def named(name: str | os.PathLike[str]) -> str:
    """Return a name as it was given, but for secrets in an address."""
    text = os.fspath(name)
    return without_secrets(text) if "://" in text else text
