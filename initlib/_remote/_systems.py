"""The file systems of fsspec, which is loaded only for addresses, and what brings them."""

from __future__ import annotations

import logging
from typing import Any

from initlib._errors import RequestError, did_you_mean
from initlib._extras import lacking
from initlib._remote._failures import failures

HTTP = ("http", "https")
# Where the first part of an address is a bucket.
BUCKETS = ("s3", "s3a", "gs", "gcs")
KNOWN = (*BUCKETS, *HTTP, "memory", "file")
# The extras that bring what an address takes, beside fsspec; and its module.
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
_MODULES = {"s3": "s3fs", "gs": "gcsfs", "remote": "aiohttp"}
# Seconds without an answer, after which gcsfs tries again; by itself it would wait for ever.
SILENCE = 60
_LOGGERS = ("fsspec", "s3fs", "aiobotocore", "botocore", "gcsfs", "google", "asyncio")


def file_system(protocol: str, address: str, shown: str) -> Any:
    """Return the file system of an address.

    Args:
        protocol: what the address begins with.
        address: the whole.
        shown: what messages call it.

    Raises:
        RequestError: there is none, or what it takes isn't installed.
        StorageError: it can't be set up.
    """
    name = _EXTRAS.get(protocol, "remote")
    try:
        import fsspec
    except ModuleNotFoundError as error:
        raise RequestError(f"{shown}: {lacking('fsspec', name)}") from error
    for logger in _LOGGERS:
        # What they say reaches those who listen, but isn't printed beside our own line.
        logging.getLogger(logger).addHandler(logging.NullHandler())
    known = fsspec.available_protocols()
    if protocol not in known:
        hint = did_you_mean(protocol, KNOWN) or did_you_mean(protocol, known)
        raise RequestError(f"{shown}: there are no addresses of the kind {protocol!r}{hint}")
    try:
        kind = fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        why = " ".join(str(error).split())
        if protocol in (*BUCKETS, *HTTP):
            why = lacking(_MODULES[name], name)
        raise RequestError(f"{shown}: {why}") from error
    with failures(shown, "read"):
        return kind(**_patience(protocol), **kind._get_kwargs_from_urls(address))


def _patience(protocol: str) -> dict[str, Any]:
    """Return how long a store is waited for, unless its file system or a user says that."""
    google = ("gs", "gcs")
    if protocol not in google:
        return {}
    import aiohttp
    from fsspec.config import conf

    if any("requests_timeout" in conf.get(name, {}) for name in google):
        return {}
    return {"requests_timeout": aiohttp.ClientTimeout(sock_connect=SILENCE, sock_read=SILENCE)}
