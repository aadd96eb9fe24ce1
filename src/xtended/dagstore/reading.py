"""What the history answers: revisions, diffs, the files that are live, and the way back to a revision."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from dulwich.objects import Blob

from xtended.dagstore.changes import ChangeSet
from xtended.dagstore.folder import Folder
from xtended.dagstore.history import HEAD, PENDING, History, Repository
from xtended.dagstore.index import Index
from xtended.dagstore.recording import Recorder, leaf_of
from xtended.dagstore.revisions import FileRow, Revision
from xtended.dagstore.trees import EXECUTABLE, Difference, Leaf, compare, leaves
from xtended.problems import BadRequest, Conflict, NotFound, TooLarge

__all__ = ["LIVE", "LiveFile", "Page", "Reader"]

# As few characters as git itself shows of an id.
_ABBREVIATED = re.compile(r"[0-9a-f]{7,39}")

LIVE: Literal["live"] = "live"
"""In place of a revision's id: the folder as it is now."""

MAX_DIFFED_BYTES = 256 * 1024
"""Larger files are named in a diff, not compared line by line: that takes the square of their lines."""

MAX_DIFF_BYTES = 4 * 1024 * 1024


Visible = Callable[[Collection[str]], Collection[str]]
"""Those of some paths that may be shown to whoever asks."""


@dataclass(frozen=True)
class Page:
    """Some revisions, newest first; `next_cursor` asks for those before them, None: there are none."""

    revisions: list[Revision]
    next_cursor: str | None


@dataclass(frozen=True)
class LiveFile:
    """A file of the folder, `size` in bytes; `revision` is None where the history does not have it so yet."""

    path: str
    size: int
    sha256: str
    revision: str | None


class Reader:
    """Reads without the store's lock: a commit and an object never change."""

    def __init__(self, folder: Folder, history: History, index: Index) -> None:
        self._folder = folder
        self._history = history
        self._index = index
        self._recorder = Recorder(folder, index)

    def head(self) -> str | None:
        if not self._history.exists:
            return None
        with self._history.open() as repository:
            return repository.ref(HEAD)

    def behind(self) -> bool:
        """Whether the index is not true for the newest revision: lost, or its process was killed."""
        return self.head() != self._index.head()

    def unfinished(self) -> bool:
        """Whether the folder is on its way to a revision, or its process was killed there."""
        if not self._history.exists:
            return False
        with self._history.open() as repository:
            return repository.ref(PENDING) is not None

    def revisions(self, cursor: str | None, limit: int, path: str | None, dag_id: str | None) -> Page:
        before = None
        if cursor is not None:
            if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
                raise BadRequest(f"{cursor[:40]!r} is not a cursor: use next_cursor of an earlier page.")
            before = int(cursor)
        found = self._index.revisions(before=before, limit=limit + 1, path=path, dag_id=dag_id)
        more = len(found) > limit
        return Page(found[:limit], str(found[limit - 1].seq) if more else None)

    def revision(self, identity: str) -> Revision:
        if _ABBREVIATED.fullmatch(identity):
            some = self._index.beginning(identity)
            if len(some) > 1:
                raise NotFound(f"More than one revision begins with {identity!r}: give more of its id.")
            found = some[0] if some else None
        else:
            found = self._index.revision(identity)
        if found is None:
            raise NotFound(f"There is no revision {identity[:64]!r}; it may be older than what is kept.")
        return found

    def diff(self, identity: str, against: str | None, path: str | None, visible: Visible) -> str:
        revision = self.revision(identity)
        with self._history.open() as repository:
            new = repository.commit(revision.id).tree
            if against == LIVE:
                differences = self._from_live(repository, new)
            else:
                base = self.revision(against).id if against is not None else self._parent(revision)
                old = repository.commit(base).tree if base is not None else None
                differences = list(compare(repository.tree, old, new))
            chosen = [each for each in differences if path is None or _within(each.path, path)]
            shown = visible([each.path for each in chosen])
            return self._unified(repository, [each for each in chosen if each.path in shown])

    def files(self) -> list[LiveFile]:
        return [_live(path, row) for path, row in self._recorder.current().items()]

    def file(self, path: str, max_bytes: int) -> tuple[LiveFile, bytes]:
        missing = NotFound(f"There is no file {path!r} in the DAG folder.")
        try:
            state = self._folder.state(path)
            if state is not None and state.st_size > max_bytes:
                raise TooLarge(f"{path!r} is larger than {max_bytes} bytes ([xtended_api] max_file_mb).")
            found = self._folder.look(path)
        except Conflict:  # a folder, or a link
            raise missing from None
        if found is None:
            raise missing
        row = self._index.files([path]).get(path)
        recorded = row.revision if row is not None and row.leaf == leaf_of(found) else None
        digest = hashlib.sha256(found.content).hexdigest()
        return LiveFile(path, len(found.content), digest, recorded), found.content

    def dags_of(self, paths: Collection[str]) -> Mapping[str, Collection[str]]:
        return self._index.dags_in(paths)

    def rollback(self, identity: str, path: str | None, dag_id: str | None) -> ChangeSet:
        revision = self.revision(identity)
        places = self._places(revision, path, dag_id)
        with self._history.open() as repository:
            tree = repository.commit(revision.id).tree
            back = [
                each
                for each in self._from_live(repository, tree)
                if places is None or any(_within(each.path, place) for place in places)
            ]
            if not back and path is not None and not self._known(repository, tree, path):
                raise NotFound(f"There is no {path!r}, neither now nor in revision {identity}.")
            restored = {each.path: each.new for each in back if each.new is not None}
            return ChangeSet(
                {place: repository.blob(leaf.blob) for place, leaf in restored.items()},
                frozenset(each.path for each in back if each.new is None),
                frozenset(place for place, leaf in restored.items() if leaf.mode == EXECUTABLE),
            )

    def _places(self, revision: Revision, path: str | None, dag_id: str | None) -> list[str] | None:
        if path is not None:
            return [path]
        if dag_id is None:
            return None
        then = self._index.dag_path(dag_id, until=revision.seq)
        now = self._index.dag_path(dag_id, until=None)
        places = [place for place in (then, now) if place is not None]
        if not places:
            raise NotFound(f"The history does not know the file of a DAG {dag_id[:250]!r}.")
        return places

    def _known(self, repository: Repository, tree: str, path: str) -> bool:
        return any(_within(place, path) for place, _ in leaves(repository.tree, tree)) or any(
            _within(place, path) for place, _ in self._folder.states()
        )

    def _parent(self, revision: Revision) -> str | None:
        if revision.parent is not None and self._index.revision(revision.parent) is None:
            raise NotFound(f"What was before revision {revision.id} is no longer kept.")
        return revision.parent

    def _from_live(self, repository: Repository, tree: str) -> list[Difference]:
        live = {path: row.leaf for path, row in self._recorder.current().items()}
        target = dict(leaves(repository.tree, tree))
        return [
            Difference(path, live.get(path), target.get(path))
            for path in sorted(live.keys() | target.keys())
            if _blob(live.get(path)) != _blob(target.get(path))
        ]

    def _unified(self, repository: Repository, differences: Iterable[Difference]) -> str:
        from dulwich.patch import is_binary, write_blob_diff

        output = io.BytesIO()
        left_out = 0
        for difference in differences:
            if output.tell() > MAX_DIFF_BYTES:
                left_out += 1
                continue
            old = self._content(repository, difference.path, difference.old)
            new = self._content(repository, difference.path, difference.new)
            name = difference.path.encode()
            if max(len(old or b""), len(new or b"")) > MAX_DIFFED_BYTES:
                output.write(b"Files a/%s and b/%s differ, and are too large to compare\n" % (name, name))
            elif is_binary(old or b"") or is_binary(new or b""):
                output.write(b"Binary files a/%s and b/%s differ\n" % (name, name))
            else:
                write_blob_diff(output, _side(name, difference.old, old), _side(name, difference.new, new))
        if left_out:
            output.write(b"Left out, as the diff is too long: %d more files\n" % left_out)
        return output.getvalue().decode("utf-8", "replace")

    def _content(self, repository: Repository, path: str, leaf: Leaf | None) -> bytes | None:
        if leaf is None:
            return None
        if repository.has(leaf.blob):
            return repository.blob(leaf.blob)
        found = self._folder.look(path)  # a side that is live, and not in the history yet
        return found.content if found is not None else b""


def _live(path: str, row: FileRow) -> LiveFile:
    size = row.stat.size if row.stat is not None else 0
    return LiveFile(path, size, row.sha256 or "", row.revision or None)


def _within(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/")


def _blob(leaf: Leaf | None) -> str | None:
    return None if leaf is None else leaf.blob


def _side(
    name: bytes, leaf: Leaf | None, content: bytes | None
) -> tuple[bytes | None, int | None, Blob | None]:
    if leaf is None or content is None:
        return None, None, None
    return name, leaf.mode, Blob.from_string(content)
