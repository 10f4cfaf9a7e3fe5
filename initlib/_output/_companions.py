"""The config and tokenizer files of a model's folder."""

from __future__ import annotations

import os
from pathlib import Path

from initlib._errors import RequestError
from initlib._output._names import COMPANIONS
from initlib._output._storage import storage_errors
from initlib._remote import Place, path_of


def companions_of(path: str | os.PathLike[str]) -> tuple[Place, ...]:
    """Return the files of a folder that go with any weights, by their names.

    Raises:
        RequestError: there is no such folder, or there are no such files in it.
        StorageError: it can't be read.
    """
    folder = path_of(path)
    with storage_errors(path):
        if isinstance(folder, Path):
            folder = Path(os.path.realpath(folder))
        if not folder.is_dir():
            raise RequestError(f"{path}: there is no such folder")
        named = [each for each in folder.iterdir() if COMPANIONS.fullmatch(each.name)]
        found = sorted((each for each in named if each.is_file()), key=lambda each: each.name)
    if not found:
        expected = "expected config or tokenizer files to copy, but it has none"
        raise RequestError(f"{path}: {expected}")
    return tuple(found)


def content(companion: Place) -> bytes:
    """Return what is in one of them.

    Raises:
        StorageError: it can't be read.
    """
    with storage_errors(companion):
        return companion.read_bytes()
