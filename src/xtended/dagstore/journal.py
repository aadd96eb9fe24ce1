"""Commit first, then apply, then mark as applied; and finishing what was cut short in between.

The refs of the history say where the folder stands:

    main = R                             the folder holds R
    main = R, pending = S                the folder is on its way from R to S: finish it
    main = R, pending = abandoned = S    the folder is on its way back from S to R: finish that
    main = pending = S                   the folder holds S; the mark was about to go
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from xtended.dagstore.applying import Application
from xtended.dagstore.changes import ChangeSet, Staged
from xtended.dagstore.comparing import look
from xtended.dagstore.failures import FAILURES, translated
from xtended.dagstore.folder import Folder, Found
from xtended.dagstore.history import ABANDONED, HEAD, PENDING, CommitInfo, History, Repository
from xtended.dagstore.index import Index
from xtended.dagstore.messages import Note
from xtended.dagstore.recording import Recorder, leaf_of, sort_out
from xtended.dagstore.spool import Spool
from xtended.dagstore.trees import BLOB, EXECUTABLE, PLAIN, Difference, Leaf, compare, object_id
from xtended.problems import Conflict, FolderUnavailable

__all__ = ["Finished", "Journal"]

_log = logging.getLogger(__name__)


Finished = Callable[[Sequence[str], Sequence[str]], None]
"""Takes the paths that a change has put, and those that it has deleted. Must not raise."""


class Journal:
    """Everything here is done under the store's lock."""

    def __init__(
        self, folder: Folder, history: History, index: Index, spool: Path, finished: Finished | None
    ) -> None:
        self._folder = folder
        self._history = history
        self._index = index
        self._spool = spool
        self._recorder = Recorder(folder, index)
        self._finished = finished

    @contextmanager
    def open(self) -> Iterator[Repository]:
        """The repository, begun where there is none, with nothing unfinished and the index true for it."""
        with ExitStack() as stack:
            with translated():
                if not self._history.exists:
                    self._history.create()
                repository = stack.enter_context(self._history.open())
                self._settle(repository)
            yield repository

    @contextmanager
    def change(
        self,
        repository: Repository,
        staged: Staged,
        found: Mapping[str, Found | None],
        *,
        author: str,
        note: Note,
    ) -> Iterator[str]:
        """The folder and the history after a change set; taken back where the body fails.

        `found` is what lies at the paths of the change set now, and in the newest revision. Yields the id of
        the new one. Raises FolderUnavailable, ChangedMeanwhile.
        """
        puts = {path: staged.change_set.puts[path] for path in [*staged.added, *staged.changed]}
        with translated():
            head = repository.ref(HEAD)
            differences = self._differences(staged, puts)
            commit = repository.write_commit(
                head,
                {difference.path: difference.new for difference in differences},
                puts.values(),
                author=author,
                text=note.text(*sort_out(differences)),
            )
            repository.set_ref(PENDING, commit.id)
        real = ChangeSet(puts, frozenset(staged.deleted), staged.change_set.executable)
        with self._bringing_in(repository, commit, real, found, staged.tree_root) as application:
            yield commit.id
        try:
            repository.set_ref(HEAD, commit.id)
            repository.remove_ref(PENDING)
            self._recorder.record(commit, differences, contents=puts, made_folders=application.made_folders)
            self._index.forget_folders(application.remove_empty(self._index.made_folders))
        except FAILURES:
            # What was asked for is done, and kept: the next change finds the mark and finishes the rest.
            _log.warning("The history of %s is behind its folder", self._folder.root, exc_info=True)

    @contextmanager
    def _bringing_in(
        self,
        repository: Repository,
        commit: CommitInfo,
        change_set: ChangeSet,
        found: Mapping[str, Found | None],
        tree: Path,
    ) -> Iterator[Application]:
        with translated():
            spool = Spool(self._spool, self._folder.root)
        application = Application(self._folder, spool, change_set, found, tree)
        try:
            try:
                with translated():
                    application.apply()
                yield application
            except BaseException:
                self._take_back(repository, commit, application)
                raise
            application.keep()
        finally:
            spool.close()

    def _take_back(self, repository: Repository, commit: CommitInfo, application: Application) -> None:
        with suppress(*FAILURES):
            # Without this mark (on a full disk), being killed during the undo would end in the new revision.
            repository.set_ref(ABANDONED, commit.id)
        try:
            application.undo()
            repository.remove_ref(PENDING)
            repository.remove_ref(ABANDONED)
        except FAILURES:
            _log.exception("A change of %s could not be taken back", self._folder.root)
            raise FolderUnavailable(
                "The change failed, and the DAG folder could not be put back as it was yet: the next change "
                "will do that first."
            ) from None

    def _settle(self, repository: Repository) -> None:
        pending = repository.ref(PENDING)
        if pending is not None:
            self._finish(repository, pending)
        head = repository.ref(HEAD)
        try:
            self._begin(repository, head)
        except sqlite3.DatabaseError:
            self._index.clear()
            self._begin(repository, head)

    def _begin(self, repository: Repository, head: str | None) -> None:
        if head is None:
            self._index.clear()
            self._recorder.note_all_outside(repository)
        else:
            self._recorder.catch_up(repository, head)

    def _finish(self, repository: Repository, pending: str) -> None:
        """Bring the folder to where it was going when a process ended without a word."""
        commit = repository.commit(pending)
        if repository.ref(HEAD) != pending:
            before = repository.commit(commit.parent).tree if commit.parent is not None else None
            back = repository.ref(ABANDONED) == pending
            trees = (commit.tree, before) if back else (before, commit.tree)
            way = list(compare(repository.tree, *trees))
            self._carry_on(repository, way)
            if not back:
                repository.set_ref(HEAD, pending)
                if self._finished is not None:
                    added, changed, deleted = sort_out(way)
                    self._finished([*added, *changed], deleted)
        repository.remove_ref(PENDING)
        repository.remove_ref(ABANDONED)

    def _carry_on(self, repository: Repository, way: list[Difference]) -> None:
        """Change what still is as it was; what is neither old nor new was changed by others, and stays.

        Where others have made it impossible altogether, what the folder holds is recorded as theirs later.
        """
        new = {step.path: step.new for step in way}
        come = {path: leaf for path, leaf in new.items() if leaf is not None}
        found = look(self._folder, come.keys(), new.keys() - come.keys())
        open_paths = {step.path for step in way if _blob(found[step.path]) == (step.old and step.old.blob)}
        rest = ChangeSet(
            {path: repository.blob(leaf.blob) for path, leaf in come.items() if path in open_paths},
            frozenset(path for path in new.keys() - come.keys() if path in open_paths),
            frozenset(path for path, leaf in come.items() if leaf.mode == EXECUTABLE),
        )
        spool = Spool(self._spool, self._folder.root)
        application = Application(self._folder, spool, rest, found)
        try:
            application.apply()
            application.keep()
        except Conflict as problem:
            application.undo()
            _log.warning("A change of %s can't be finished: %s", self._folder.root, problem.detail)
        finally:
            spool.close()

    def _differences(self, staged: Staged, puts: Mapping[str, bytes]) -> list[Difference]:
        rows = self._index.files([*puts, *staged.deleted])
        found: list[Difference] = []
        for path in sorted([*puts, *staged.deleted]):
            old = rows[path].leaf if path in rows else None
            new = None
            if path in puts:
                fresh = EXECUTABLE if path in staged.change_set.executable else PLAIN
                new = Leaf(object_id(BLOB, puts[path]), old.mode if old is not None else fresh)
            found.append(Difference(path, old, new))
        return found


def _blob(found: Found | None) -> str | None:
    return None if found is None else leaf_of(found).blob
