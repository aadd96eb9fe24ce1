"""Where new files wait for their rename: in the file system of their target, unseen by Airflow."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import stat
from pathlib import Path

from xtended.dagstore.ignoring import IGNORE_FILE

__all__ = ["SPOOL_NAME", "Spool"]

SPOOL_NAME = ".airflow-xtended"
"""The hidden folder that stands in for the spool inside a DAG folder that is a mount of its own."""

_NEARER = "nearer"

_CLOCK_TRUSTED_SECONDS = 3600

_NO_LINKS = frozenset({errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS})
"""What file systems without hard links say, and Linux of files that we do not own."""

# Matches the numbers that files in a spool have for names, as a glob and as a regular expression.
_IGNORE_ALL = "[0-9]*\n"


class Spool:
    """Temporary files of one change set.

    They live beside the history. Where the target's folder is another mount (renaming fails with EXDEV), a
    hidden folder with its own `.airflowignore` is made in the DAG folder, or in the target's folder where
    that is yet another mount, for as long as the change set takes.
    """

    def __init__(self, home: Path, root: Path) -> None:
        self._root = root
        self._spools = [home]
        self._numbers = itertools.count()
        self._chosen: dict[str, Path] = {}
        _clear(home, root)
        home.mkdir(parents=True, mode=0o700)

    def write(self, content: bytes, like: os.stat_result | None, *, executable: bool) -> Path:
        """A flushed file with `content`; with mode and owner of `like`, the file that it will replace."""
        path = self._place("")
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            _finish(handle, len(content), like, executable=executable)
        return path

    def take(
        self, staged: Path, content: bytes, like: os.stat_result | None, *, executable: bool
    ) -> Path | None:
        """As `write`, by a second name of a staged file; None where it is no longer what was staged.

        Making a file is what costs most of a large change set. The staged one was in reach of the DAG code
        that was parsed: so it is read again.
        """
        path = self._place("")
        try:
            handle = os.open(staged, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            found = os.fstat(handle)
            as_staged = stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) & ~0o044 == 0o600
            if not as_staged or not _holds(handle, content):
                return None
            try:
                os.link(staged, path, follow_symlinks=False)
            except OSError:
                return None
            if not os.path.samestat(found, path.stat(follow_symlinks=False)):
                path.unlink()
                return None
            os.utime(handle)
            _finish(handle, len(content), like, executable=executable)
        finally:
            os.close(handle)
        return path

    def add(self, temporary: Path, name: str, parent: int, folder: str) -> None:
        """As `move_in`, but raises FileExistsError where there is something of that name."""
        self._join_group(temporary, parent)
        while True:
            try:
                os.link(temporary, name, dst_dir_fd=parent, follow_symlinks=False)
                return
            except OSError as error:
                if error.errno in _NO_LINKS:
                    self.move_in(temporary, name, parent, folder)
                    return
                if error.errno != errno.EXDEV:
                    raise
            temporary = self._copy_nearer(temporary, folder)

    def move_in(self, temporary: Path, name: str, parent: int, folder: str) -> None:
        """Rename `temporary` to `name` in the folder open at `parent`, whose path is `folder`."""
        while True:
            try:
                os.rename(temporary, name, dst_dir_fd=parent)
                return
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
            temporary = self._copy_nearer(temporary, folder)

    def keep_copy(self, name: str, parent: int, folder: str) -> Path:
        """A second link to (or, where that can't be had, a copy of) a file that is about to be replaced."""
        while True:
            backup = self._place(folder)
            try:
                os.link(name, backup, src_dir_fd=parent, follow_symlinks=False)
                return backup
            except OSError as error:
                if error.errno == errno.EXDEV:
                    self._move_nearer(folder)
                    continue
                if error.errno not in _NO_LINKS:
                    raise
            _copy(name, parent, backup)
            return backup

    def close(self) -> None:
        _clear(self._spools[0], self._root)

    def _join_group(self, temporary: Path, parent: int) -> None:
        # A folder with the setgid bit gives its group to what is made in it, but not to what is moved in.
        folder = os.fstat(parent)
        if folder.st_mode & stat.S_ISGID:
            with contextlib.suppress(PermissionError):
                os.chown(temporary, -1, folder.st_gid)

    def _place(self, folder: str) -> Path:
        return self._chosen.get(folder, self._spools[0]) / f"{next(self._numbers)}"

    def _copy_nearer(self, temporary: Path, folder: str) -> Path:
        if temporary.parent == self._chosen.get(folder, self._spools[0]):
            self._move_nearer(folder)
        nearer = self._place(folder)
        shutil.copy2(temporary, nearer)
        with nearer.open("rb") as file:
            found = os.fstat(file.fileno())
            if found.st_uid != temporary.stat().st_uid:
                _resemble(file.fileno(), temporary.stat())
            os.fsync(file.fileno())
        temporary.unlink()
        return nearer

    def _move_nearer(self, folder: str) -> None:
        """From now on, use the next spool that is closer to `folder`."""
        nearer = [self._root / SPOOL_NAME, self._root / folder / SPOOL_NAME]
        current = self._chosen.get(folder)
        if current == nearer[-1]:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        chosen = nearer[0] if current is None else nearer[1]
        if chosen not in self._spools:
            with (self._spools[0] / _NEARER).open("a") as listed:
                listed.write(f"{chosen.parent.relative_to(self._root)}\n")
            chosen.mkdir(mode=0o700, exist_ok=True)
            (chosen / IGNORE_FILE).write_text(_IGNORE_ALL)
            self._spools.append(chosen)
        self._chosen[folder] = chosen


def _holds(handle: int, content: bytes) -> bool:
    with open(handle, "rb", closefd=False) as file:
        return file.read(len(content) + 1) == content


def _clear(home: Path, root: Path) -> None:
    """Remove a spool, of a killed process too, and those that it lists in the DAG folder."""
    with contextlib.suppress(FileNotFoundError):
        for folder in (home / _NEARER).read_text().splitlines():
            shutil.rmtree(root / folder / SPOOL_NAME, ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)


def _finish(handle: int, size: int, like: os.stat_result | None, *, executable: bool) -> None:
    if like is not None:
        _resemble(handle, like)
        _outdate_bytecode(handle, size, like)
    elif executable:
        mode = os.fstat(handle).st_mode
        os.fchmod(handle, stat.S_IMODE(mode | (mode & 0o444) >> 2))
    os.fsync(handle)


def _resemble(handle: int, like: os.stat_result) -> None:
    with contextlib.suppress(PermissionError):
        os.fchown(handle, like.st_uid, like.st_gid)
    os.fchmod(handle, stat.S_IMODE(like.st_mode))


def _outdate_bytecode(handle: int, size: int, old: os.stat_result) -> None:
    # A .pyc is taken for current by its source's size and its mtime in whole seconds: two versions of one
    # size within one second would share it. A time far ahead comes from a wrong clock and is left behind.
    ahead = int(old.st_mtime) - int(os.fstat(handle).st_mtime)
    if size == old.st_size and 0 <= ahead < _CLOCK_TRUSTED_SECONDS:
        later = (int(old.st_mtime) + 1) * 1_000_000_000
        os.utime(handle, ns=(later, later))


def _copy(name: str, parent: int, target: Path) -> None:
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    with os.fdopen(handle, "rb") as source, target.open("xb") as copy:
        shutil.copyfileobj(source, copy)
        found = os.fstat(handle)
        _resemble(copy.fileno(), found)
        os.utime(copy.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
        copy.flush()
        os.fsync(copy.fileno())
