"""Turning what is in the folder, or about to be, into revisions."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Collection, Iterable, Iterator, Mapping

from xtended.dagstore.folder import Folder, Found
from xtended.dagstore.history import HEAD, CommitInfo, Repository
from xtended.dagstore.index import Index
from xtended.dagstore.messages import OUTSIDE_OPERATION, Note, author_name
from xtended.dagstore.revisions import FileRow, Revision, Stat
from xtended.dagstore.trees import BLOB, EXECUTABLE, PLAIN, Difference, Leaf, compare, object_id

__all__ = ["OUTSIDE_AUTHOR", "Recorder", "leaf_of", "revision_of"]

OUTSIDE_AUTHOR = "outside of the API"

MAX_OUTSIDE_BYTES = 64 * 1024 * 1024
"""Larger files that others put into the folder are data, not DAGs: the history leaves them alone."""

_BATCH_BYTES = 32 * 1024 * 1024
_RACY_NS = 50_000_000
"""A file changed so shortly after it was looked at may show the same time: the kernel's clock ticks in
milliseconds. Its other time, that of its inode, is of no use: staging changes it."""


class Recorder:
    """Notices what other hands did, and keeps the index true. Writing takes the store's lock."""

    def __init__(self, folder: Folder, index: Index) -> None:
        self._folder = folder
        self._index = index

    def note_outside(self, repository: Repository, found: Mapping[str, Found | None]) -> None:
        """Record what the folder holds at these paths, where the newest revision has something else."""
        rows = self._index.files(found.keys())
        changes: dict[str, Leaf | None] = {}
        for path, file in found.items():
            leaf = None if file is None else leaf_of(file)
            row = rows.get(path)
            if leaf != (None if row is None else row.leaf):
                changes[path] = leaf
        contents = {
            path: file.content for path, file in found.items() if file is not None and path in changes
        }
        self._record_outside(repository, changes, rows, contents.values())

    def note_all_outside(self, repository: Repository) -> None:
        """The same for the whole folder. Files whose state is as it was are not read."""
        rows = self._index.files()
        batch: dict[str, Leaf | None] = {}
        contents: list[bytes] = []
        size = 0
        live: set[str] = set()
        for path, found in self._suspects(rows, live):
            leaf = leaf_of(found)
            row = rows.get(path)
            if row is not None and row.leaf == leaf:
                # Looked at again: next time its state will do.
                self._index.put_files({path: _with_content(row, found)})
                continue
            batch[path] = leaf
            contents.append(found.content)
            size += len(found.content)
            if size > _BATCH_BYTES:
                repository.write_blobs(contents)
                contents, size = [], 0
        batch.update((path, None) for path in rows.keys() - live)
        self._record_outside(repository, batch, rows, contents)

    def current(self) -> dict[str, FileRow]:
        """The folder as it is now. A file that the newest revision has otherwise has the revision ""."""
        rows = self._index.files()
        live: set[str] = set()
        changed = {}
        for path, found in self._suspects(rows, live):
            row = rows.get(path)
            leaf = leaf_of(found)
            if row is None or row.leaf != leaf:
                row = FileRow(leaf, None, None, "", outside=True)
            changed[path] = _with_content(row, found)
        return {path: changed.get(path) or rows[path] for path in sorted(live)}

    def record(
        self,
        commit: CommitInfo,
        differences: Collection[Difference],
        *,
        contents: Mapping[str, bytes],
        made_folders: Iterable[str] = (),
    ) -> Revision:
        """Enter a commit, which the folder now holds, into the index."""
        revision = revision_of(commit, differences)
        rows: dict[str, FileRow | None] = {}
        for difference in differences:
            if difference.new is None:
                rows[difference.path] = None
                continue
            row = FileRow(difference.new, None, None, commit.id, revision.outside)
            content = contents.get(difference.path)
            state = self._folder.state(difference.path) if content is not None else None
            if content is not None and state is not None:
                row = _with_content(row, Found(content, state))
            rows[difference.path] = row
        self._index.add_revision(revision, rows, made=made_folders)
        return revision

    def catch_up(self, repository: Repository, head: str) -> None:
        """Make the index true for `head`, from where it stands or from the beginning."""
        known = self._index.head()
        if known == head:
            return
        missing = list(repository.lineage(head, known))
        if known is not None and missing[-1].parent != known:
            self._index.clear()
            missing = list(repository.lineage(head, None))
        for commit in reversed(missing):
            before = repository.commit(commit.parent).tree if commit.parent is not None else None
            differences = list(compare(repository.tree, before, commit.tree))
            self.record(commit, differences, contents={})

    def _record_outside(
        self,
        repository: Repository,
        changes: Mapping[str, Leaf | None],
        rows: Mapping[str, FileRow],
        contents: Iterable[bytes],
    ) -> None:
        head = repository.ref(HEAD)
        if not changes and head is not None:
            return
        differences = [
            Difference(path, rows[path].leaf if path in rows else None, leaf)
            for path, leaf in sorted(changes.items())
        ]
        message = "" if head is not None else "the folder when its history began"
        note = Note(OUTSIDE_OPERATION, message)
        commit = repository.write_commit(
            head, changes, contents, author=OUTSIDE_AUTHOR, text=note.text(*sort_out(differences))
        )
        repository.set_ref(HEAD, commit.id)
        self.record(commit, differences, contents={})

    def _suspects(self, rows: Mapping[str, FileRow], live: set[str]) -> Iterator[tuple[str, Found]]:
        """The files that may be other than their row says, read; `live` is filled with all paths."""
        for path, state in self._folder.states():
            row = rows.get(path)
            if row is None and state.st_size > MAX_OUTSIDE_BYTES:
                continue
            if row is not None and _as_it_was(row, state):
                live.add(path)
                continue
            found = self._folder.look(path)
            if found is not None:
                live.add(path)
                yield path, found


def leaf_of(found: Found) -> Leaf:
    """The file as it would be in a tree."""
    return Leaf(object_id(BLOB, found.content), mode_of(found.stat))


def mode_of(state: os.stat_result) -> int:
    """Git knows one thing about a mode: whether its owner may execute the file."""
    return EXECUTABLE if state.st_mode & stat.S_IXUSR else PLAIN


def revision_of(commit: CommitInfo, differences: Collection[Difference]) -> Revision:
    """What the index keeps about a commit; its `seq` is for the index to give."""
    note = Note.parse(commit.message)
    added, changed, deleted = sort_out(differences)
    return Revision(
        0,
        commit.id,
        commit.parent,
        commit.time,
        author_name(commit.author),
        note.operation,
        note.message,
        note.request_key,
        tuple(added),
        tuple(changed),
        tuple(deleted),
        note.dags,
    )


def sort_out(differences: Collection[Difference]) -> tuple[list[str], list[str], list[str]]:
    """Paths added, changed and deleted."""
    return (
        [difference.path for difference in differences if difference.old is None],
        [difference.path for difference in differences if difference.old and difference.new],
        [difference.path for difference in differences if difference.new is None],
    )


def _with_content(row: FileRow, found: Found) -> FileRow:
    state = found.stat
    seen = Stat(state.st_size, state.st_mtime_ns, state.st_ino, time.time_ns())
    return FileRow(row.leaf, hashlib.sha256(found.content).hexdigest(), seen, row.revision, row.outside)


def _as_it_was(row: FileRow, state: os.stat_result) -> bool:
    seen = row.stat
    return (
        seen is not None
        and (seen.size, seen.mtime_ns, seen.inode) == (state.st_size, state.st_mtime_ns, state.st_ino)
        and seen.mtime_ns + _RACY_NS < seen.hashed_ns
    )
