"""Small files of text that a command writes beside its result."""

from __future__ import annotations

import secrets
from pathlib import Path

import initlib


def write_whole(path: Path, text: str, *, force: bool = True) -> None:
    """Write a file of text, which keeps its old content until it has all of the new one.

    Raises:
        RequestError: there is one already, and it isn't to be replaced.
        StorageError: it can't be written.
    """
    if path.exists() and not force:
        raise initlib.RequestError(f"{path} exists; --force replaces it")
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
