"""The one way to change DAG files: stage a change set, look at it, apply it as a whole or not at all."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from xtended.dagstore.applying import Application
from xtended.dagstore.changes import ChangeSet, Staged, folders_above
from xtended.dagstore.folder import Folder, folder_problem
from xtended.dagstore.ignoring import Syntax
from xtended.dagstore.spool import Spool
from xtended.dagstore.staging import shadow_tree
from xtended.problems import (
    ChangedMeanwhile,
    FileExists,
    FolderBusy,
    Misconfigured,
    NotFound,
)

__all__ = ["DagStore", "FileStamp"]

_OWN = "xtended"
_STAGING = "staging"
_SPOOL = "spool"
_LOCK = "lock"
_POLL_SECONDS = 0.005
_RETRY_AFTER_SECONDS = 2


FileStamp = tuple[int, int, int]
"""Inode, size and time of change in nanoseconds."""


class DagStore:
    """The DAG folder `root`, and all that is kept about it in `history`, a folder that no other root shares.

    Safe to use from several threads and processes, also with an object each; all on one machine, as locks on
    network file systems can't be relied on. `lock_timeout` is in seconds.
    """

    def __init__(
        self,
        root: Path,
        history: Path,
        *,
        lock_timeout: float = 10.0,
        ignore_syntax: Syntax = "glob",
    ) -> None:
        """Raises Misconfigured where `history` lies in the DAG folder."""
        if history.resolve().is_relative_to(root.resolve()):
            raise Misconfigured(
                "The folder xtended in AIRFLOW_HOME lies inside the folder to deploy to; move one of the two."
            )
        self._folder = Folder(root, ignore_syntax)
        self._home = history / _OWN
        self._lock_timeout = lock_timeout

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
    def stage(self, change_set: ChangeSet, *, force: bool) -> Iterator[Staged]:
        """Compare with the folder, and show on disk what it would look like. Changes nothing.

        Without `force`, nothing that exists is replaced, not even by the same bytes.

        Raises FileExists (`existing_file` is its path), NotFound (a path to delete is not there), Conflict
        (a symbolic link or a folder is in the way), FolderUnavailable, FolderNotOurs.
        """
        self.check_writable()
        old = self._old(change_set)
        for path in sorted(change_set.deletes):
            if old[path] is None:
                raise NotFound(f"There is no file {path!r} in the DAG folder.")
        digests = {path: _sha256(content) for path, content in old.items() if content is not None}
        added = sorted(path for path in change_set.puts if path not in digests)
        unchanged = sorted(path for path, content in change_set.puts.items() if old[path] == content)
        changed = sorted(change_set.puts.keys() - {*added, *unchanged})
        existing = sorted([*changed, *unchanged])
        if existing and not force:
            raise FileExists(
                f"{existing[0]!r} exists. Nothing was changed; use force to replace it.",
                existing_file=existing[0],
            )
        real = {path: change_set.puts[path] for path in [*added, *changed]}
        with shadow_tree(self._home / _STAGING, self._folder.root, real, change_set.deletes) as tree_root:
            yield Staged(
                change_set=change_set,
                tree_root=tree_root,
                added=tuple(added),
                changed=tuple(changed),
                deleted=tuple(sorted(change_set.deletes)),
                unchanged=tuple(unchanged),
                old_sha256=digests,
            )

    @contextmanager
    def apply(
        self, staged: Staged, *, author: str, operation: str, message: str, dag_ids: Collection[str] = ()
    ) -> Iterator[str]:
        """Bring a staged change set into the folder; the context is given the id of the new revision.

        An exception inside the context puts everything back, byte for byte; once it ends without one, the
        change is there to stay. The lock is held throughout: keep the body short.

        Raises FolderBusy (the lock was not to be had in time), ChangedMeanwhile (a file of the change set is
        not what it was when it was staged), FolderUnavailable, FolderNotOurs.
        """
        self.check_writable()
        with self.locked():
            self._check_still(staged)
            with self._applied(staged):
                yield uuid.uuid4().hex

    @contextmanager
    def _applied(self, staged: Staged) -> Iterator[None]:
        puts = {path: staged.change_set.puts[path] for path in [*staged.added, *staged.changed]}
        try:
            spool = Spool(self._home / _SPOOL, self._folder.root)
        except OSError as error:
            raise folder_problem(error) from None
        application = Application(self._folder, spool, puts, frozenset(staged.deleted))
        try:
            try:
                application.apply()
            except OSError as error:
                application.undo()
                raise folder_problem(error) from None
            except BaseException:
                application.undo()
                raise
            try:
                yield
            except BaseException:
                application.undo()
                raise
            application.keep()
        finally:
            spool.close()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other change of the folder out, in any process. Raises FolderBusy, FolderUnavailable."""
        lock = filelock.FileLock(self._home / _LOCK, timeout=self._lock_timeout)
        try:
            lock.acquire(poll_interval=_POLL_SECONDS)
        except filelock.Timeout:
            raise FolderBusy(
                f"Another change of the DAG folder has not ended within {self._lock_timeout:g} seconds. "
                "Nothing was changed; try again.",
                headers={"Retry-After": str(_RETRY_AFTER_SECONDS)},
            ) from None
        except OSError as error:
            raise folder_problem(error) from None
        try:
            yield
        finally:
            lock.release()

    def _old(self, change_set: ChangeSet) -> dict[str, bytes | None]:
        folders = folders_above(change_set.puts)
        making_way = change_set.deletes & folders
        hidden = (
            {path for path in change_set.puts if making_way & folders_above([path])} if making_way else set()
        )
        try:
            return {
                path: None if path in hidden else self._folder.content(path)
                for path in [*change_set.puts, *change_set.deletes]
            }
        except OSError as error:
            raise folder_problem(error) from None

    def _check_still(self, staged: Staged) -> None:
        for path, content in self._old(staged.change_set).items():
            now = None if content is None else _sha256(content)
            if now == staged.old_sha256.get(path):
                continue
            if path in staged.added:
                raise FileExists(
                    f"{path!r} was put there by another request meanwhile. Nothing was changed.",
                    existing_file=path,
                )
            raise ChangedMeanwhile(
                f"{path!r} was changed by another request, or by hand, while this one was being checked. "
                "Nothing was changed; try again.",
                changed_files=[path],
            )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
