"""What goes wrong with file systems of others, each of which has errors of its own kinds."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from initlib._errors import InitlibError, StorageError
from initlib._remote._words import without_secrets

# Parts of the names of exceptions of botocore's and Google's that say who is asking is unknown.
_CREDENTIALS = ("Credential", "Token", "RefreshError", "ProfileNotFound")
_HOW = "see docs/remote.md for how to give them"
_RIGHTS = "docs/remote.md lists the rights that it takes"


@contextmanager
def failures(shown: str, action: str) -> Iterator[None]:
    """Turn whatever a file system raises into a StorageError of one line.

    Args:
        shown: what the message calls the file.
        action: what is done with it.

    Raises:
        StorageError: `shown: cannot <action>: <reason>`.
    """
    try:
        yield
    except (InitlibError, MemoryError):
        raise
    except Exception as error:
        why = without_secrets(" ".join(_reason(error).split()))
        raise StorageError(f"{shown}: cannot {action}: {why}") from error


def error_code(error: BaseException) -> str | None:
    """Return what S3 calls an error, None for others' errors."""
    response = getattr(error.__cause__, "response", None)
    return response.get("Error", {}).get("Code") if isinstance(response, dict) else None


def lacks_bucket(error: BaseException) -> bool:
    """Tell whether it is the bucket that isn't there."""
    return error_code(error) == "NoSuchBucket" or "bucket does not exist" in str(error)


def no_bucket_s_name(error: BaseException) -> bool:
    """Tell whether no bucket can have the name that was given."""
    return "invalid bucket name" in str(error).lower()


def unlocated(error: FileNotFoundError) -> BaseException | None:
    """Return what went wrong where a file system says no more than that there is no such file."""
    cause = error.__cause__
    # Web servers: fsspec takes any refusal, and silence, for that.
    web = type(cause).__module__.partition(".")[0] == "aiohttp" or isinstance(cause, TimeoutError)
    return cause if web and getattr(cause, "status", None) not in (404, 410) else None


def _reason(error: Exception) -> str:
    """Return why something failed, as far as the exception tells."""
    kind = type(error).__name__
    text = _text(error)
    status = getattr(error, "status", None)
    # Google's errors have codes; those of web servers have them, too, but warn of it.
    unknown = status is None and getattr(error, "code", None) == 401
    if unknown or any(part in kind for part in _CREDENTIALS):
        return f"credentials are missing or don't work: {text}; {_HOW}"
    if isinstance(error, PermissionError) or text.startswith("Forbidden:"):
        return f"the store refuses it: {text or 'no permission'}; {_RIGHTS}"
    if error_code(error) == "400":
        # The answer to a HEAD has no other words.
        return f"{text}, as S3 answers where credentials have expired or are for another region"
    if isinstance(error, FileNotFoundError) and "/" in text:
        return "there is no such file, or no such bucket"
    if isinstance(error, NotImplementedError):
        return "files at addresses of this kind don't allow it"
    if isinstance(error, TimeoutError):
        return f"no answer in time{text and f': {text}'}"
    if isinstance(status, int):
        return f"the server answers {status} {getattr(error, 'message', '')}"
    return text or kind


def _text(error: Exception) -> str:
    """Return an exception's own words."""
    if not isinstance(error, OSError):
        return str(error)
    words = error.strerror or str(error)
    if error.errno == errno.EIO and not error.strerror:
        return os.strerror(errno.EIO)
    return words
