"""What can go wrong below a change set, and how a client is told."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from xtended.dagstore.folder import folder_problem
from xtended.dagstore.history import HistoryDamaged
from xtended.problems import FolderUnavailable

__all__ = ["FAILURES", "translated"]

FAILURES = (OSError, sqlite3.Error, HistoryDamaged)

_log = logging.getLogger(__name__)


@contextmanager
def translated() -> Iterator[None]:
    """Turns FAILURES into a FolderUnavailable; what they say of the server goes to the log alone."""
    try:
        yield
    except OSError as error:
        _log.exception("The DAG folder or its history failed")
        raise folder_problem(error) from None
    except sqlite3.Error as error:
        _log.exception("The index of the history failed")
        full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        reason = "there is no space left" if full else "its index can't be used"
        raise FolderUnavailable(f"The history can't be used: {reason}. Nothing was changed.") from None
    except HistoryDamaged:
        _log.exception("The history is damaged")
        raise FolderUnavailable(
            "The history of the DAG folder is damaged; the web server's log says where. Nothing was changed."
        ) from None
