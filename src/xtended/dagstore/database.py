"""The SQLite file of the index: its tables, and one connection for each process."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Database"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY, blob TEXT NOT NULL, mode INTEGER NOT NULL, sha256 TEXT,
    size INTEGER, mtime_ns INTEGER, inode INTEGER, hashed_ns INTEGER,
    revision TEXT NOT NULL, outside INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS revisions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, parent TEXT, time INTEGER NOT NULL,
    author TEXT NOT NULL, operation TEXT NOT NULL, message TEXT NOT NULL, request_key TEXT
);
CREATE INDEX IF NOT EXISTS revisions_by_request ON revisions (request_key) WHERE request_key IS NOT NULL;
CREATE TABLE IF NOT EXISTS touched (
    path TEXT NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL, PRIMARY KEY (path, seq)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS touched_by_revision ON touched (seq);
CREATE TABLE IF NOT EXISTS dags (
    dag_id TEXT NOT NULL, seq INTEGER NOT NULL, path TEXT, PRIMARY KEY (dag_id, seq)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS dags_by_revision ON dags (seq);
CREATE INDEX IF NOT EXISTS dags_by_path ON dags (path);
CREATE TABLE IF NOT EXISTS made_folders (path TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_BUSY_SECONDS = 10.0


class Database:
    """One connection for all threads of a process, made when it is first used. Raises sqlite3.Error."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._process = os.getpid()
        self._inherited: list[sqlite3.Connection] = []

    def clear(self) -> None:
        """Begin anew: with the tables empty or, where they can't be read, with a new file."""
        with self._lock:
            try:
                with self.writing() as connection:
                    for table in ("meta", "files", "revisions", "touched", "dags"):
                        connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names from above
            except sqlite3.DatabaseError:
                self.close()
                for suffix in ("", "-wal", "-shm"):
                    self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """For queries."""
        with self._lock:
            yield self._connected()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, kept where the context ends without an exception."""
        with self._lock, self._connected() as connection:  # a transaction
            connection.execute("BEGIN IMMEDIATE")
            yield connection

    def _connected(self) -> sqlite3.Connection:
        if self._connection is not None and self._process != os.getpid():
            # Forked: SQLite forbids to use, or close, the parent's connection.
            self._inherited.append(self._connection)
            self._connection = None
        if self._connection is None:
            self._process = os.getpid()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            # WAL: readers do not wait, and a commit needs no flush; what a power cut takes, git still has.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(_SCHEMA)
            self._connection = connection
        return self._connection
