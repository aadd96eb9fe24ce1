"""The lock that a change of a folder holds, across threads and processes of one machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from xtended.dagstore.folder import folder_problem
from xtended.problems import FolderBusy

__all__ = ["alone"]

_POLL_SECONDS = 0.005
_RETRY_AFTER_SECONDS = 2


@contextmanager
def alone(path: Path, timeout: float) -> Iterator[None]:
    """Keep everyone else out who asks for the lock file `path`; the system lets go of a killed process's lock.

    `timeout` is in seconds. Raises FolderBusy, FolderUnavailable.
    """
    lock = filelock.FileLock(path, timeout=timeout)
    try:
        lock.acquire(poll_interval=_POLL_SECONDS)
    except filelock.Timeout:
        raise FolderBusy(
            f"Another change of the DAG folder has not ended within {timeout:g} seconds. "
            "Nothing was changed; try again.",
            headers={"Retry-After": str(_RETRY_AFTER_SECONDS)},
        ) from None
    except OSError as error:
        raise folder_problem(error) from None
    try:
        yield
    finally:
        lock.release()
