"""The one way to change DAG files: stage a change set, look at it, apply it as a whole or not at all."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from xtended.dagstore.changes import ChangeSet, Staged
from xtended.dagstore.comparing import Comparison, check_ours, check_still, look
from xtended.dagstore.failures import FAILURES, translated
from xtended.dagstore.folder import Folder, folder_problem
from xtended.dagstore.history import HEAD, History, Repository
from xtended.dagstore.ignoring import Syntax
from xtended.dagstore.index import Index
from xtended.dagstore.journal import Finished, Journal
from xtended.dagstore.locking import alone
from xtended.dagstore.messages import Note
from xtended.dagstore.reading import LiveFile, Page, Reader, Visible
from xtended.dagstore.recording import Recorder
from xtended.dagstore.requests import Once, Requests
from xtended.dagstore.retention import Keeper
from xtended.dagstore.revisions import Revision
from xtended.dagstore.staging import shadow_tree
from xtended.problems import FolderBusy, Misconfigured, Problem, RevisionMoved

__all__ = ["DagStore", "FileStamp"]

_OWN = "xtended"
_STAGING = "staging"
_SPOOL = "spool"
_LOCK = "lock"
_INDEX = "index.sqlite"
_REQUESTS = "requests"

_log = logging.getLogger(__name__)


FileStamp = tuple[int, int, int]
"""Inode, size and time of change in nanoseconds."""


class DagStore:
    """The DAG folder `root`, and all that is kept about it in `history`, a folder that no other root shares.

    Safe to use from several threads and processes, also with an object each; all on one machine, as locks on
    network file systems can't be relied on. `lock_timeout` is in seconds. Revisions older than `keep_days`
    are dropped, and younger ones where there are more than `keep_revisions` or they take more than `max_bytes`.
    `finished` is told of a change that a killed process had begun, once it is finished.
    """

    def __init__(
        self,
        root: Path,
        history: Path,
        *,
        lock_timeout: float = 10.0,
        keep_days: int = 90,
        keep_revisions: int = 10_000,
        max_bytes: int = 1024**3,
        ignore_syntax: Syntax = "glob",
        finished: Finished | None = None,
    ) -> None:
        """Raises Misconfigured where `history` lies in the DAG folder."""
        if history.resolve().is_relative_to(root.resolve()):
            raise Misconfigured(
                "The history can't be kept inside the DAG folder: set history_path elsewhere."
            )
        self._folder = Folder(root, ignore_syntax)
        self._home = history / _OWN
        self._lock_timeout = lock_timeout
        self._index = Index(self._home / _INDEX)
        repository = History(history, self._home)
        self._recorder = Recorder(self._folder, self._index)
        self._journal = Journal(self._folder, repository, self._index, self._home / _SPOOL, finished)
        self._reader = Reader(self._folder, repository, self._index)
        self._requests = Requests(self._home / _REQUESTS, lock_timeout)
        self._keeper = Keeper(
            repository,
            self._index,
            lambda: self._exclusive(lock_timeout),
            self._home,
            keep_days=keep_days,
            keep_revisions=keep_revisions,
            max_bytes=max_bytes,
        )

    @property
    def root(self) -> Path:
        """The DAG folder."""
        return self._folder.root

    def check_writable(self) -> None:
        """Raises FolderUnavailable or FolderNotOurs, saying what is wrong, where nothing can be deployed."""
        self._folder.check_writable()
        try:
            self._home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise folder_problem(error) from None

    def stamp(self, path: str) -> FileStamp | None:
        """What tells one state of the file `path` from another; None where there is none."""
        state = self._folder.state(path)
        return None if state is None else (state.st_ino, state.st_size, state.st_mtime_ns)

    def read(self, path: str) -> bytes:
        """The bytes at `path`. Raises NotFound, or BadName where a link leads out of the folder."""
        return self._folder.read(path)

    def exists(self, path: str) -> bool:
        """Whether there is a file at `path` that `read` would read."""
        return self._folder.exists(path)

    def list(self, folder: str | None = None, *, ignore: bool = True) -> list[str]:
        """The regular files below `folder`, sorted, that have a name a client could give.

        Left out are links and what is below them, and with `ignore` what `.airflowignore` hides.
        """
        return self._folder.list(folder, ignore=ignore)

    def ignored(self, path: str) -> bool:
        """Whether `.airflowignore` hides the file `path`, which need not exist."""
        return self._folder.ignored(path)

    @contextmanager
    def stage(
        self, change_set: ChangeSet, *, force: bool, replace: bool = False, if_match: str | None = None
    ) -> Iterator[Staged]:
        """Compare with the folder, and show on disk what it would look like. Changes nothing.

        Without `force`, nothing that exists is replaced, not even by the same bytes. With `replace`, for
        change sets whose paths the caller did not name one by one (a sync, a rollback), files are replaced
        and deleted as long as other hands than this store's were not the last to change them. `if_match` is
        the revision that must be the newest, now and when it is applied.

        Raises FileExists (`existing_file` is its path), ChangedOutside (`changed_files` are its paths),
        NotFound (a path to delete is not there), Conflict (a symbolic link or a folder is in the way),
        RevisionMoved, FolderUnavailable, FolderNotOurs.
        """
        self.check_writable()
        if if_match is not None:
            _check_match(if_match, self.head())
        with translated():
            found = look(self._folder, change_set.puts, change_set.deletes)
            comparison = Comparison.of(change_set, found)
            if replace and not force:
                touched = [*comparison.changed, *comparison.deleted]
                check_ours(touched, found, self._index.files(touched))
        if not (force or replace):
            comparison.check_none_exist()
        real = {path: change_set.puts[path] for path in [*comparison.added, *comparison.changed]}
        del found  # the old content of a large change set, while it is parsed
        with shadow_tree(self._home / _STAGING, self._folder.root, real, change_set.deletes) as tree_root:
            yield Staged(
                change_set=change_set,
                tree_root=tree_root,
                added=comparison.added,
                changed=comparison.changed,
                deleted=comparison.deleted,
                unchanged=comparison.unchanged,
                old_sha256=comparison.old_sha256,
                if_match=if_match,
            )

    @contextmanager
    def apply(
        self,
        staged: Staged,
        *,
        author: str,
        operation: str,
        message: str,
        dag_ids: Collection[str] | Mapping[str, str] = (),
        request_key: str | None = None,
    ) -> Iterator[str]:
        """Bring a staged change set into the folder; the context is given the id of the new revision.

        An exception inside the context puts everything back, byte for byte; once it ends without one, the
        change is there to stay. The lock is held throughout: keep the body short. A change set that changes
        nothing makes no revision: the id is that of the newest.

        `author` is the API user. `dag_ids` are the DAGs that it is about; as a mapping, with the path of each
        one's file, which `rollback` by DAG id needs. `request_key` is the `key` of `once`.

        Raises FolderBusy (the lock was not to be had in time), FileExists, ChangedMeanwhile (a file of the
        change set is not what it was when it was staged), RevisionMoved, FolderUnavailable, FolderNotOurs.
        """
        self.check_writable()
        dags = dict(dag_ids) if isinstance(dag_ids, Mapping) else dict.fromkeys(dag_ids)
        note = Note(operation, message, dags, request_key)
        due = False
        with self._exclusive(self._lock_timeout) as repository:
            with translated():
                found = look(self._folder, staged.change_set.puts, staged.change_set.deletes)
                self._recorder.note_outside(repository, found)
                head = repository.ref(HEAD)
            if staged.if_match is not None:
                _check_match(staged.if_match, head)
            check_still(staged, found)
            if staged.empty:
                yield head or ""
                return
            with self._journal.change(repository, staged, found, author=author, note=note) as revision:
                yield revision
            with suppress(*FAILURES):
                due = self._keeper.due(repository)
        if due:
            threading.Thread(target=self._tend_quietly, name="xtended-history", daemon=True).start()

    def recover(self) -> None:
        """Finish what a killed process began, and record what other hands did to the folder meanwhile.

        For when the web server starts, and before a change of the whole folder. Every change does the first for
        itself, and the second for its files.
        Raises as `apply`.
        """
        self.check_writable()
        with self._exclusive(self._lock_timeout) as repository, translated():
            self._recorder.note_all_outside(repository)

    def tend(self) -> None:
        """Drop old revisions, pack the rest; `apply` does it in the background when it is due."""
        with translated():
            self._keeper.tend()
            self._requests.sweep()

    def head(self) -> str | None:
        """The id of the newest revision; None where there is no history yet."""
        with translated():
            return self._reader.head()

    def revisions(
        self,
        *,
        cursor: str | None = None,
        limit: int = 50,
        path: str | None = None,
        dag_id: str | None = None,
    ) -> Page:
        """Newest first; of a file (or the files of a folder), of a DAG. Raises BadRequest: a bad cursor."""
        with self._answering():
            return self._reader.revisions(cursor, limit, path, dag_id)

    def revision(self, identity: str) -> Revision:
        """Raises NotFound."""
        with self._answering():
            return self._reader.revision(identity)

    def diff(
        self,
        identity: str,
        *,
        against: str | None = None,
        path: str | None = None,
        visible: Visible = frozenset,
    ) -> str:
        """Unified text of what makes `against` (None: the revision before it; LIVE: the folder) revision
        `identity`; of a file, or the files of a folder, alone, and of `visible` ones alone. Raises NotFound.
        """
        with self._answering():
            return self._reader.diff(identity, against, path, visible)

    def files(self) -> Sequence[LiveFile]:
        """What is in the folder now, sorted by path."""
        with self._answering():
            return self._reader.files()

    def file(self, path: str, max_bytes: int) -> tuple[LiveFile, bytes]:
        """A regular file that is in the folder now, and its content. Raises NotFound, TooLarge."""
        with self._answering():
            return self._reader.file(path, max_bytes)

    def dags_of(self, paths: Collection[str]) -> Mapping[str, Collection[str]]:
        """The DAGs that recorded changes of these files were about, by path; none for files without DAGs."""
        with self._answering():
            return self._reader.dags_of(paths)

    def rollback(self, identity: str, *, path: str | None = None, dag_id: str | None = None) -> ChangeSet:
        """What brings the folder, a file or folder of it, or the file of a DAG, back to a revision.

        Stage it with `replace`. Raises NotFound.
        """
        with self._answering():
            return self._reader.rollback(identity, path, dag_id)

    @contextmanager
    def once(self, user: str, key: str, fingerprint: str) -> Iterator[Once]:
        """Do a request under its Idempotency-Key once; `fingerprint` tells it from others.

        Raises BadRequest (the key is bad, or was used for another request), FolderBusy (it is under way).
        """
        with ExitStack() as stack:
            with translated():
                once = stack.enter_context(self._requests.once(user, key, fingerprint))
                if once.answer is None:
                    done = self._index.revision_of_request(once.key)
                    once.revision = done.id if done is not None else None
            yield once

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other change of the folder out, in any process. Raises FolderBusy, FolderUnavailable."""
        with self._exclusive(self._lock_timeout):
            yield

    @contextmanager
    def _exclusive(self, timeout: float) -> Iterator[Repository]:
        with alone(self._home / _LOCK, timeout), self._journal.open() as repository:
            yield repository

    @contextmanager
    def _answering(self) -> Iterator[None]:
        with translated():
            behind, unfinished = self._reader.behind(), self._reader.unfinished()
        if behind or unfinished:
            # A change that is just being made will see to it as well: it is not waited for.
            with suppress(FolderBusy), self._exclusive(self._lock_timeout if behind else 0):
                pass
        with translated():
            yield

    def _tend_quietly(self) -> None:
        try:
            self.tend()
        except Problem as problem:
            _log.warning("The history of %s was not packed: %s", self._folder.root, problem.detail)


def _check_match(wanted: str, head: str | None) -> None:
    if wanted != head:
        raise RevisionMoved(
            f"The DAG folder is at revision {head or 'none'}, not {wanted[:64]!r}. Nothing was changed.",
            revision=head,
        )
