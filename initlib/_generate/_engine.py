"""Executors of other processes: a user's own, or a Dask cluster's."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

from initlib._errors import RequestError, did_you_mean, reason
from initlib._extras import extra

# Seconds in which a scheduler has to answer.
PATIENCE = 10
EXPECTED = "expected dask, dask://HOST:PORT, or in Python an executor such as a process pool"


@contextmanager
def executor_of(engine: Any) -> Iterator[Executor]:
    """Give what runs functions in other processes.

    Args:
        engine: "dask" for the cluster that Dask's configuration names, or one of this machine's
            cores; "dask://HOST:PORT" for that of a scheduler; a Dask client; or any executor with
            the interface of `concurrent.futures`, which is left running.

    Raises:
        RequestError: there is no such engine, it isn't installed, or it doesn't answer.
    """
    if not isinstance(engine, str):
        # A Dask client.
        engine = engine.get_executor(pure=False) if hasattr(engine, "get_executor") else engine
        if not hasattr(engine, "submit"):
            raise RequestError(f"{EXPECTED}, received {engine!r}")
        yield engine
        return
    kind, separator, address = engine.partition("://")
    if kind != "dask" or (separator and not address):
        raise RequestError(f"{EXPECTED}, received {engine!r}{did_you_mean(engine, ['dask'])}")
    with _dask(engine, address) as executor:
        yield executor


@contextmanager
def _dask(engine: str, address: str) -> Iterator[Executor]:
    """Give the executor of a Dask cluster, by default of one on this machine."""
    with extra("dask"):
        import dask
        from distributed import Client
    where: dict[str, Any]
    if address:
        where = {"address": address if "://" in address else f"tcp://{address}"}
    elif configured := dask.config.get("scheduler-address", None):
        where = {"address": configured}
    else:
        where = {"threads_per_worker": 1, "dashboard_address": ":0"}
    with _silent("distributed", "tornado", "asyncio"):
        try:
            client = Client(**where, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError) as error:
            why = reason(error) if isinstance(error, OSError) else str(error)
            raise RequestError(f"{engine}: no scheduler answers there: {why}") from error
        with client:
            if not client.nthreads():
                waits = f"{engine}: it has no workers yet, and the work waits for them"
                warnings.warn(waits, RuntimeWarning, stacklevel=2)
            executor: Executor = client.get_executor(pure=False)
            yield executor


@contextmanager
def _silent(*libraries: str) -> Iterator[None]:
    """Let libraries' loggers say nothing: what goes wrong is told in one line."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith(libraries)]
    levels = {logger: logger.level for logger in map(logging.getLogger, names)}
    try:
        for logger in levels:
            logger.setLevel(logging.CRITICAL + 1)
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
