"""Small files of text that go with a result."""

from __future__ import annotations

import os
import re
from pathlib import Path

from initlib._errors import RequestError
from initlib._files import new_file
from initlib._output._file import Output
from initlib._output._storage import storage_errors, sync
from initlib._output._terms import Terms
from initlib._remote import named, path_of


class TextFile:
    """A file of text to be written, which keeps its old content until it has all of the new one.

    A link is replaced, not what it leads to.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        force: bool = False,
        keep: str | os.PathLike[str] | None = None,
    ) -> None:
        """Find out whether it may be written.

        Args:
            path: its name.
            force: what is there may be replaced.
            keep: a file that may not.

        Raises:
            RequestError: it may not.
            StorageError: the folder can't be looked into.
        """
        path = _local(path)
        with storage_errors(path):
            if path.is_dir():
                raise RequestError(f"{path}: expected a file's name, received a folder's")
            if keep is not None and path.exists() and Path(keep).exists() and path.samefile(keep):
                raise RequestError(f"{path}: the output would replace {os.fspath(keep)}")
            final = Path(os.path.realpath(path.parent), path.name)
        self._output, self._terms = Output(path, final), Terms(force, "")
        self._output.check(self._terms)

    def write(self, text: str) -> None:
        """Write the text, in UTF-8.

        Raises:
            RequestError: a file of the name appeared meanwhile.
            StorageError: it can't be written.
        """
        claim = self._output.claim()
        try:
            with claim.held():
                claim.clear()
                new = claim.new(1)
                with new_file(new) as file:
                    file.write(text.encode(errors="replace"))
                sync(new)
                self._output.publish(claim, {self._output.final.name: new}, self._terms)
        except BaseException as error:
            if claim.note is not None:
                error.add_note(claim.note)
            raise


def _local(path: str | os.PathLike[str]) -> Path:
    """Return a file's path. RequestError if it is an address."""
    name = os.fspath(path)
    try:
        place = path_of(path)
    except RequestError:
        # An address that became a path has lost a slash.
        place, name = None, re.sub(":/+", "://", name, count=1)
    if not isinstance(place, Path):
        raise RequestError(f"{named(name)}: expected a file of this machine, not an address")
    return place
