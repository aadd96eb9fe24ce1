"""A fast way into the history: what the folder holds, which revision touched what. Can be made anew from git.

SQLite beside the repository. Written under the store's lock only; read by anyone at any time.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from xtended.dagstore.database import Database
from xtended.dagstore.revisions import FileRow, Revision, Stat
from xtended.dagstore.trees import Leaf

__all__ = ["Index"]

_VARIABLES = 500
"""Far below the number of `?` that any SQLite takes in one statement."""


class Index:
    """What the database says. Raises sqlite3.Error."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path)

    def head(self) -> str | None:
        """The revision that the index is true for."""
        with self._database.reading() as connection:
            found = connection.execute("SELECT value FROM meta WHERE key = 'head'").fetchone()
        return found[0] if found else None

    def files(self, paths: Collection[str] | None = None) -> dict[str, FileRow]:
        """The rows of these files, or of all."""
        with self._database.reading() as connection:
            if paths is None:
                return {row[0]: _file(row) for row in connection.execute("SELECT * FROM files")}
            found: dict[str, FileRow] = {}
            for some in _portions(paths):
                marks = ",".join("?" * len(some))
                rows = connection.execute(f"SELECT * FROM files WHERE path IN ({marks})", some)  # noqa: S608
                found.update((row[0], _file(row)) for row in rows)
            return found

    def made_folders(self, folders: Collection[str]) -> set[str]:
        """Those of `folders` that change sets have made, and no one else."""
        with self._database.reading() as connection:
            known = {row[0] for row in connection.execute("SELECT path FROM made_folders")}
        return known & set(folders)

    def revision(self, identity: str) -> Revision | None:
        with self._database.reading() as connection:
            row = connection.execute("SELECT * FROM revisions WHERE id = ?", (identity,)).fetchone()
            return _revision(connection, row) if row else None

    def beginning(self, start: str) -> list[Revision]:
        """Revisions whose id begins so; no more than two, as that many tell that it is not enough of an id."""
        with self._database.reading() as connection:
            query = "SELECT * FROM revisions WHERE id >= ? AND id < ? LIMIT 2"
            rows = connection.execute(query, (start, f"{start}g")).fetchall()  # "g" comes right after "f"
            return [_revision(connection, row) for row in rows]

    def revision_of_request(self, key: str) -> Revision | None:
        """The revision that a request with this key has made."""
        with self._database.reading() as connection:
            query = "SELECT * FROM revisions WHERE request_key = ? ORDER BY seq DESC LIMIT 1"
            row = connection.execute(query, (key,)).fetchone()
            return _revision(connection, row) if row else None

    def revisions(
        self, *, before: int | None, limit: int, path: str | None, dag_id: str | None
    ) -> list[Revision]:
        """Newest first, older than the sequence number `before`; of a file or all files below a folder."""
        clauses, values = ["1"], list[object]()
        if before is not None:
            clauses.append("seq < ?")
            values.append(before)
        if path is not None:
            clauses.append("seq IN (SELECT seq FROM touched WHERE path = ? OR (path > ? AND path < ?))")
            values += [path, f"{path}/", f"{path}0"]  # "0" comes right after "/"
        if dag_id is not None:
            clauses.append("seq IN (SELECT seq FROM dags WHERE dag_id = ?)")
            values.append(dag_id)
        query = f"SELECT * FROM revisions WHERE {' AND '.join(clauses)} ORDER BY seq DESC LIMIT ?"  # noqa: S608
        with self._database.reading() as connection:
            rows = connection.execute(query, (*values, limit)).fetchall()
            return [_revision(connection, row) for row in rows]

    def newest(self) -> int:
        """The largest sequence number."""
        with self._database.reading() as connection:
            return int(connection.execute("SELECT coalesce(max(seq), 0) FROM revisions").fetchone()[0])

    def count_since(self, time: float) -> int:
        """How many revisions are not older than `time`, in seconds since 1970."""
        with self._database.reading() as connection:
            query = "SELECT count(*) FROM revisions WHERE time >= ?"
            return int(connection.execute(query, (time,)).fetchone()[0])

    def nth_newest(self, number: int) -> Revision | None:
        with self._database.reading() as connection:
            query = "SELECT * FROM revisions ORDER BY seq DESC LIMIT 1 OFFSET ?"
            row = connection.execute(query, (number - 1,)).fetchone()
            return _revision(connection, row) if row else None

    def dag_path(self, dag_id: str, *, until: int | None) -> str | None:
        """Where the history says that a DAG's file was, in the newest revision up to `until`."""
        query = (
            "SELECT path FROM dags WHERE dag_id = ? AND seq <= ? AND path IS NOT NULL"
            " ORDER BY seq DESC LIMIT 1"
        )
        with self._database.reading() as connection:
            row = connection.execute(query, (dag_id, until if until is not None else 2**62)).fetchone()
        return row[0] if row else None

    def dags_in(self, paths: Collection[str]) -> dict[str, set[str]]:
        """The DAGs that changes of these files were ever about, by path."""
        found: dict[str, set[str]] = {}
        with self._database.reading() as connection:
            for some in _portions(paths):
                marks = ",".join("?" * len(some))
                query = f"SELECT DISTINCT path, dag_id FROM dags WHERE path IN ({marks})"  # noqa: S608
                for path, dag_id in connection.execute(query, some):
                    found.setdefault(path, set()).add(dag_id)
        return found

    def add_revision(
        self, revision: Revision, files: Mapping[str, FileRow | None], *, made: Iterable[str] = ()
    ) -> None:
        """Make `revision` (its `seq` is not looked at) the head. None removes a file's row."""
        with self._database.writing() as connection:
            cursor = connection.execute(
                "INSERT OR REPLACE INTO revisions (id, parent, time, author, operation, message, request_key)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    revision.id,
                    revision.parent,
                    revision.time,
                    revision.author,
                    revision.operation,
                    revision.message,
                    revision.request_key,
                ),
            )
            seq = cursor.lastrowid
            kinds = (("added", revision.added), ("changed", revision.changed), ("deleted", revision.deleted))
            touched = [(path, seq, kind) for kind, paths in kinds for path in paths]
            connection.executemany("INSERT OR REPLACE INTO touched VALUES (?, ?, ?)", touched)
            dags = [(dag_id, seq, path) for dag_id, path in revision.dags.items()]
            connection.executemany("INSERT OR REPLACE INTO dags VALUES (?, ?, ?)", dags)
            connection.executemany(
                "INSERT OR IGNORE INTO made_folders VALUES (?)", ((path,) for path in made)
            )
            _put_files(connection, files)
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('head', ?)", (revision.id,))

    def put_files(self, files: Mapping[str, FileRow | None]) -> None:
        """Replace rows without a new revision."""
        with self._database.writing() as connection:
            _put_files(connection, files)

    def forget_folders(self, folders: Iterable[str]) -> None:
        """These are gone from the DAG folder."""
        with self._database.writing() as connection:
            connection.executemany("DELETE FROM made_folders WHERE path = ?", ((path,) for path in folders))

    def clear(self) -> None:
        """Begin anew."""
        self._database.clear()

    def forget_before(self, identity: str) -> None:
        """Drop all revisions older than this one; what they touched last now dates from it."""
        with self._database.writing() as connection:
            row = connection.execute("SELECT seq FROM revisions WHERE id = ?", (identity,)).fetchone()
            if row is None:
                return
            connection.execute(
                "UPDATE files SET revision = ? WHERE revision IN (SELECT id FROM revisions WHERE seq < ?)",
                (identity, row[0]),
            )
            for table in ("touched", "dags", "revisions"):
                connection.execute(f"DELETE FROM {table} WHERE seq < ?", row)  # noqa: S608 - names from above


def _put_files(connection: sqlite3.Connection, files: Mapping[str, FileRow | None]) -> None:
    gone = [(path,) for path, row in files.items() if row is None]
    connection.executemany("DELETE FROM files WHERE path = ?", gone)
    rows = [_columns(path, row) for path, row in files.items() if row is not None]
    connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)


def _columns(path: str, row: FileRow) -> tuple[object, ...]:
    stat = row.stat
    times = (None,) * 4 if stat is None else dataclasses.astuple(stat)
    return (path, row.leaf.blob, row.leaf.mode, row.sha256, *times, row.revision, int(row.outside))


def _file(row: tuple[Any, ...]) -> FileRow:
    _, blob, mode, sha256, *times, revision, outside = row
    stat = None if times[0] is None else Stat(*times)
    return FileRow(Leaf(blob, mode), sha256, stat, revision, bool(outside))


def _revision(connection: sqlite3.Connection, row: tuple[Any, ...]) -> Revision:
    seq, identity, parent, time, author, operation, message, request_key = row
    paths: dict[str, list[str]] = {"added": [], "changed": [], "deleted": []}
    for path, kind in connection.execute(
        "SELECT path, kind FROM touched WHERE seq = ? ORDER BY path", (seq,)
    ):
        paths[kind].append(path)
    dags = connection.execute("SELECT dag_id, path FROM dags WHERE seq = ? ORDER BY dag_id", (seq,))
    return Revision(
        seq,
        identity,
        parent,
        time,
        author,
        operation,
        message,
        request_key,
        added=tuple(paths["added"]),
        changed=tuple(paths["changed"]),
        deleted=tuple(paths["deleted"]),
        dags=dict(dags.fetchall()),
    )


def _portions(paths: Collection[str]) -> Iterator[list[str]]:
    listed = list(paths)
    for start in range(0, len(listed), _VARIABLES):
        yield listed[start : start + _VARIABLES]
