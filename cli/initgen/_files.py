"""Small files of text that a command writes beside its result."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import initlib


def check_output(path: Path, *, force: bool, keep: str | None = None) -> None:
    """Find out whether a file of text may be written.

    Args:
        path: the file.
        force: what is there may be replaced.
        keep: a file that may not.

    Raises:
        RequestError: it may not.
        StorageError: it can't be looked at.
    """
    try:
        if path.is_dir():
            raise initlib.RequestError(f"{path}: expected a file's name, received a folder's")
        if os.path.lexists(path) and not force:
            raise initlib.RequestError(f"{path} exists; --force replaces it")
        if keep and os.path.exists(keep) and path.exists() and path.samefile(keep):  # noqa: PTH110
            raise initlib.RequestError(f"{path}: the output would replace {keep}")
    except OSError as error:
        raise initlib.StorageError(f"{path}: {error.strerror}") from error


def write_whole(path: Path, text: str) -> None:
    """Write a file of text, which keeps its old content until it has all of the new one.

    Raises:
        StorageError: it can't be written.
    """
    # A link is replaced, not what it leads to.
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        try:
            new.write_text(text, encoding="utf-8")
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise initlib.StorageError(f"{path}: {error.strerror}") from error
