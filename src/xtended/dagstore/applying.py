"""Bringing a change set into the DAG folder file by file, so that it can be undone until it is kept."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from xtended.dagstore.changes import folders_above
from xtended.dagstore.folder import Folder
from xtended.dagstore.spool import Spool

__all__ = ["Application"]

_FLUSHERS = 8
"""Threads that flush new files: a disk takes several flushes in the time of one."""

_SOURCE = ".py"
_CACHE_FOLDER = "__pycache__"


class Application:
    """One change set on its way into the folder. Used by one thread, under the store's lock.

    `apply`, then `keep` or `undo`. An OSError in `apply` leaves the caller to `undo`.
    """

    def __init__(
        self, folder: Folder, spool: Spool, puts: Mapping[str, bytes], deletes: frozenset[str]
    ) -> None:
        self._folder = folder
        self._spool = spool
        self._puts = puts
        self._deletes = deletes
        self._undo: list[Callable[[], None]] = []
        self._touched: set[str] = set()
        self.made_folders: list[str] = []

    def apply(self) -> None:
        """Write all new files aside and flush them, then rename each to its place."""
        # A file that makes way for a folder of its name goes first; anything else that goes, goes last.
        making_way = self._deletes & folders_above(self._puts)
        for path in sorted(making_way):
            self._delete(path)
        old = {path: self._folder.state(path) for path in self._puts}

        def write(path: str) -> Path:
            return self._spool.write(self._puts[path], old[path], _folder_of(path))

        with ThreadPoolExecutor(_FLUSHERS) as flushers:
            temporaries = dict(zip(self._puts, flushers.map(write, self._puts), strict=True))
        for path, temporary in temporaries.items():
            self._put(path, temporary, replaces=old[path] is not None)
        for path in sorted(self._deletes - making_way):
            self._delete(path)
        self._flush_folders()

    def undo(self) -> None:
        """Put everything back as it was: bytes, modes, times. Raises OSError where that can't be done."""
        failure: OSError | None = None
        for step in reversed(self._undo):
            try:
                step()
            except OSError as error:
                failure = failure or error
        self._undo.clear()
        if failure is not None:
            raise failure
        self._flush_folders()

    def keep(self) -> None:
        """Forget how to undo, and remove the compiled code of sources that are no longer there."""
        self._undo.clear()
        for path in [*self._puts, *self._deletes]:
            if path.endswith(_SOURCE):
                self._remove_bytecode(path)

    def _put(self, path: str, temporary: Path, *, replaces: bool) -> None:
        self._make_folders(path)
        folder, name = _folder_of(path), _name_of(path)
        with self._folder.open_parent(path) as parent:
            if replaces:
                backup = self._spool.keep_copy(name, parent, folder)
                self._undo.append(lambda: self._restore(path, backup))
            else:
                self._undo.append(lambda: self._remove(path))
            self._touched.add(folder)
            self._spool.move_in(temporary, name, parent, folder)

    def _delete(self, path: str) -> None:
        folder, name = _folder_of(path), _name_of(path)
        with self._folder.open_parent(path) as parent:
            backup = self._spool.keep_copy(name, parent, folder)
            self._undo.append(lambda: self._restore(path, backup))
            self._touched.add(folder)
            os.unlink(name, dir_fd=parent)

    def _make_folders(self, path: str) -> None:
        parts = path.split("/")[:-1]
        for count in range(1, len(parts) + 1):
            folder = "/".join(parts[:count])
            with self._folder.open_parent(folder) as parent, contextlib.suppress(FileExistsError):
                os.mkdir(parts[count - 1], 0o755, dir_fd=parent)
                self.made_folders.append(folder)
                self._touched.add(_folder_of(folder))
                self._undo.append(partial(self._remove_folder, folder))

    def _restore(self, path: str, backup: Path) -> None:
        folder, name = _folder_of(path), _name_of(path)
        with self._folder.open_parent(path) as parent:
            self._spool.move_in(backup, name, parent, folder)

    def _remove(self, path: str) -> None:
        with self._folder.open_parent(path) as parent, contextlib.suppress(FileNotFoundError):
            os.unlink(_name_of(path), dir_fd=parent)

    def _remove_folder(self, folder: str) -> None:
        # Not empty, where others have put something into it meanwhile: theirs to keep.
        with self._folder.open_parent(folder) as parent, contextlib.suppress(OSError):
            os.rmdir(_name_of(folder), dir_fd=parent)

    def _remove_bytecode(self, path: str) -> None:
        module = _name_of(path).removesuffix(_SOURCE)
        stale = re.compile(rf"{re.escape(module)}\.[^.]+(\.opt-[^.]+)?\.pyc")
        cache = f"{_folder_of(path)}/{_CACHE_FOLDER}/any".removeprefix("/")
        with contextlib.suppress(OSError), self._folder.open_parent(cache) as parent:
            for name in os.listdir(parent):  # noqa: PTH208 - by descriptor, as links are not followed
                if stale.fullmatch(name):
                    os.unlink(name, dir_fd=parent)

    def _flush_folders(self) -> None:
        for folder in sorted(self._touched):
            anything_in_it = f"{folder}/any".removeprefix("/")
            with contextlib.suppress(FileNotFoundError), self._folder.open_parent(anything_in_it) as handle:
                os.fsync(handle)


def _folder_of(path: str) -> str:
    return path.rpartition("/")[0]


def _name_of(path: str) -> str:
    return path.rpartition("/")[2]
