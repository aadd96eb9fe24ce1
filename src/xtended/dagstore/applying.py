"""Bringing a change set into the DAG folder file by file, so that it can be undone until it is kept."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from xtended.dagstore.changes import ChangeSet, folders_above
from xtended.dagstore.folder import Folder, Found
from xtended.dagstore.spool import Spool
from xtended.problems import ChangedMeanwhile, Conflict

__all__ = ["Application"]

_FLUSHERS = 8
"""Threads that flush new files: a disk takes several flushes in the time of one."""

_SOURCE = ".py"
_CACHE_FOLDER = "__pycache__"
_BYTECODE = re.compile(r"(.+?)\.[^.]+(?:\.opt-[^.]+)?\.pyc")


class Application:
    """One change set on its way into the folder. Used by one thread, under the store's lock.

    `apply`, then `keep` or `undo`. An error in `apply` leaves the caller to `undo`.
    """

    def __init__(
        self,
        folder: Folder,
        spool: Spool,
        change_set: ChangeSet,
        expected: Mapping[str, Found | None],
        tree: Path | None = None,
    ) -> None:
        """`expected`: what lies at each path of the change set now. `tree`: where it has been staged."""
        self._folder = folder
        self._spool = spool
        self._puts = change_set.puts
        self._deletes = change_set.deletes
        self._executable = change_set.executable
        self._expected = expected
        self._tree = tree
        self._undo: list[Callable[[], None]] = []
        self._touched: set[str] = set()
        self.made_folders: list[str] = []

    def apply(self) -> None:
        """Write all new files aside and flush them, then rename each to its place.

        Raises OSError, ChangedMeanwhile where a file is not what was expected, Conflict where a folder that
        a file shall replace is not empty.
        """
        # What makes way for a file or folder of its name goes first; anything else that goes, goes last.
        making_way = self._deletes & folders_above(self._puts)
        making_way |= {path for path in self._deletes if folders_above([path]) & self._puts.keys()}
        for path in sorted(making_way):
            self._delete(path)
        for folder in sorted(folders_above(making_way), reverse=True):
            if folder in self._puts or folders_above([folder]) & self._puts.keys():
                self._remove_folder_for_file(folder)
        for path, temporary in self._written_aside().items():
            self._put(path, temporary)
        for path in sorted(self._deletes - making_way):
            self._delete(path)
        self._flush_folders()

    def _written_aside(self) -> dict[str, Path]:
        def write(path: str) -> Path:
            found = self._expected[path]
            old = found.stat if found is not None else None
            executable = path in self._executable
            if self._tree is not None:
                taken = self._spool.take(self._tree / path, self._puts[path], old, executable=executable)
                if taken is not None:
                    return taken
            return self._spool.write(self._puts[path], old, executable=executable)

        if len(self._puts) == 1:
            return {path: write(path) for path in self._puts}
        with ThreadPoolExecutor(_FLUSHERS) as flushers:
            return dict(zip(self._puts, flushers.map(write, self._puts), strict=True))

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
        modules: dict[str, set[str]] = {}
        for path in [*self._puts, *self._deletes]:
            if path.endswith(_SOURCE):
                modules.setdefault(_folder_of(path), set()).add(_name_of(path).removesuffix(_SOURCE))
        for folder, names in modules.items():
            self._remove_bytecode(folder, names)

    def remove_empty(self, made: Callable[[Collection[str]], set[str]]) -> list[str]:
        """Remove folders that deleting has emptied, if `made` says that change sets had made them."""
        candidates = made(folders_above(self._deletes)) if self._deletes else set()
        # Sorted backwards, a folder comes before the one that it is in.
        return [folder for folder in sorted(candidates, reverse=True) if self._remove_emptied(folder)]

    def _put(self, path: str, temporary: Path) -> None:
        self._make_folders(path)
        folder, name = _folder_of(path), _name_of(path)
        with self._folder.open_parent(path) as parent:
            self._touched.add(folder)
            if self._expected[path] is None:
                try:
                    self._spool.add(temporary, name, parent, folder)
                except FileExistsError:
                    raise _moved_on(path) from None
                self._undo.append(lambda: self._remove(path))
            else:
                self._back_up(path, parent)
                self._spool.move_in(temporary, name, parent, folder)

    def _delete(self, path: str) -> None:
        with self._folder.open_parent(path) as parent:
            self._touched.add(_folder_of(path))
            self._back_up(path, parent)
            os.unlink(_name_of(path), dir_fd=parent)

    def _back_up(self, path: str, parent: int) -> None:
        folder, name = _folder_of(path), _name_of(path)
        expected = self._expected[path]
        try:
            now = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            raise _moved_on(path) from None
        if expected is None or _stamp(now) != _stamp(expected.stat):
            raise _moved_on(path)
        backup = self._spool.keep_copy(name, parent, folder)
        self._undo.append(lambda: self._restore(path, backup))

    def _make_folders(self, path: str) -> None:
        parts = path.split("/")[:-1]
        for count in range(1, len(parts) + 1):
            folder = "/".join(parts[:count])
            with self._folder.open_parent(folder) as parent, contextlib.suppress(FileExistsError):
                os.mkdir(parts[count - 1], 0o755, dir_fd=parent)
                self.made_folders.append(folder)
                self._touched.add(_folder_of(folder))
                self._undo.append(partial(self._remove_folder, folder))

    def _remove_folder_for_file(self, folder: str) -> None:
        with self._folder.open_parent(folder) as parent:
            mode = stat.S_IMODE(os.stat(_name_of(folder), dir_fd=parent).st_mode)
        if not self._remove_emptied(folder):
            raise Conflict(f"{folder!r} is a folder that holds other files: it is not replaced by a file.")
        self._touched.add(_folder_of(folder))
        self._undo.append(lambda: self._make_folder_again(folder, mode))

    def _make_folder_again(self, folder: str, mode: int) -> None:
        with self._folder.open_parent(folder) as parent:
            os.mkdir(_name_of(folder), dir_fd=parent)
            os.chmod(_name_of(folder), mode, dir_fd=parent)

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

    def _remove_emptied(self, folder: str) -> bool:
        """Whether there is no such folder any more."""
        try:
            with self._folder.open_parent(f"{folder}/any") as handle:
                if os.listdir(handle) == [_CACHE_FOLDER]:  # noqa: PTH208 - by descriptor, as below
                    shutil.rmtree(_CACHE_FOLDER, dir_fd=handle)
            with self._folder.open_parent(folder) as parent:
                os.rmdir(_name_of(folder), dir_fd=parent)
        except (FileNotFoundError, Conflict):
            return True
        except OSError:
            return False
        return True

    def _remove_bytecode(self, folder: str, modules: Collection[str]) -> None:
        cache = f"{folder}/{_CACHE_FOLDER}/any".removeprefix("/")
        with contextlib.suppress(OSError, Conflict), self._folder.open_parent(cache) as parent:
            for name in os.listdir(parent):  # noqa: PTH208 - by descriptor, as links are not followed
                found = _BYTECODE.fullmatch(name)
                if found is not None and found[1] in modules:
                    os.unlink(name, dir_fd=parent)

    def _flush_folders(self) -> None:
        for folder in sorted(self._touched):
            anything_in_it = f"{folder}/any".removeprefix("/")
            # A folder that is gone since, or a file now, has nothing to flush.
            with (
                contextlib.suppress(FileNotFoundError, Conflict),
                self._folder.open_parent(anything_in_it) as handle,
            ):
                os.fsync(handle)


def _stamp(state: os.stat_result) -> tuple[int, int, int]:
    return state.st_ino, state.st_size, state.st_mtime_ns


def _moved_on(path: str) -> ChangedMeanwhile:
    return ChangedMeanwhile(
        f"{path!r} was changed by others while it was about to be replaced. Nothing was changed; try again.",
        changed_files=[path],
    )


def _folder_of(path: str) -> str:
    return path.rpartition("/")[0]


def _name_of(path: str) -> str:
    return path.rpartition("/")[2]
