"""What a name or an address of an output means."""

from __future__ import annotations

import os
from typing import TypeAlias

from initlib._formats import SUFFIXES
from initlib._output._file import Output
from initlib._output._folder import OutputFolder
from initlib._output._objects import ObjectFile, ObjectFolder
from initlib._remote import Address, path_of

Target: TypeAlias = Output | OutputFolder | ObjectFile | ObjectFolder
Name = str | os.PathLike[str]


def is_folder(name: Name) -> bool:
    """Tell whether a folder has this name or address; it is asked for only if that doesn't tell.

    Raises:
        RequestError: the address is wrong, or there is no such bucket.
        StorageError: it can't be told.
    """
    place = path_of(name)
    if not isinstance(place, Address):
        return os.path.isdir(place)  # noqa: PTH112 (Path's raises where it may not look)
    if place.names_folder or place.lacks_key or place.read_only:
        return place.names_folder
    return place.suffix.lower() not in SUFFIXES and place.is_dir()


def file_at(name: Name) -> Output | ObjectFile:
    """Return the file of this name or address as an output.

    Raises:
        RequestError: it is a folder's.
        StorageError: there is no current folder.
    """
    place = path_of(name)
    if isinstance(place, Address):
        return ObjectFile.at(place)
    return Output.at(place if "://" in os.fspath(name) else name)


def folder_at(name: Name, model: Name | None) -> OutputFolder | ObjectFolder:
    """Return the folder of this name or address as an output.

    Args:
        name: the name or address.
        model: a folder with config and tokenizer files to go with the weights.

    Raises:
        RequestError: nothing can be written there, or the model isn't there or has no such files.
        StorageError: it can't be read, or there is no current folder.
    """
    place = path_of(name)
    if isinstance(place, Address):
        return ObjectFolder.at(place, model)
    return OutputFolder.at(place, model)
