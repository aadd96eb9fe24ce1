"""Reaching files below the DAG folder without ever following a symbolic link out of it."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from xtended.dagstore.ignoring import IGNORE_FILE, IgnoreRules, Syntax
from xtended.dagstore.names import check_path
from xtended.problems import BadName, Conflict, FolderNotOurs, FolderUnavailable, NotFound, Problem

__all__ = ["Folder", "Found", "folder_problem"]

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_COMMIT_HASH = re.compile(r"^(rev-)?[0-9a-f]{40}([0-9a-f]{24})?$")
_GIT_SYNC_FOLDER = ".worktrees"


@dataclass(frozen=True)
class Found:
    """A regular file: its bytes, and its state just before they were read."""

    content: bytes
    stat: os.stat_result


class Folder:
    """The DAG folder. Paths are relative and have been through `check_path`; its root may be a link."""

    def __init__(self, root: Path, ignore_syntax: Syntax) -> None:
        self.root = root
        self._ignore_syntax: Syntax = ignore_syntax

    def check_writable(self) -> None:
        """Raises FolderUnavailable, or FolderNotOurs where something else manages the folder."""
        if not self.root.exists():
            raise FolderUnavailable("The DAG folder does not exist.")
        if not self.root.is_dir():
            raise FolderUnavailable("The DAG folder is not a folder but a file.")
        if _is_git_sync(self.root):
            raise FolderNotOurs(
                "The DAG folder is a symbolic link that git-sync swaps: what is written to it would be lost "
                "with its next sync. Deploy by its git repository, or to another DAG bundle."
            )
        if os.statvfs(self.root).f_flag & os.ST_RDONLY:
            raise FolderNotOurs("The DAG folder is on a read-only mount: something else fills it.")
        if not os.access(self.root, os.R_OK | os.W_OK | os.X_OK):
            raise FolderUnavailable("The web server has no permission to write to the DAG folder.")

    @contextmanager
    def open_parent(self, path: str) -> Iterator[int]:
        """A descriptor of the folder that holds `path`.

        Raises FileNotFoundError where a folder on the way is missing, Conflict where something on the way is
        no folder, or is a symbolic link.
        """
        handle = os.open(self.root, _OPEN_FOLDER & ~os.O_NOFOLLOW)
        try:
            for part in path.split("/")[:-1]:
                try:
                    below = os.open(part, _OPEN_FOLDER, dir_fd=handle)
                except OSError as error:
                    if error.errno in {errno.ELOOP, errno.ENOTDIR}:
                        raise _not_a_folder(path, part) from None
                    raise
                os.close(handle)
                handle = below
            yield handle
        finally:
            os.close(handle)

    def state(self, path: str) -> os.stat_result | None:
        """What lies at `path`, or None.

        Raises Conflict where it is anything but a regular file: links and folders are not ours to change.
        """
        name = path.rpartition("/")[2]
        try:
            with self.open_parent(path) as parent:
                found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if stat.S_ISLNK(found.st_mode):
            raise Conflict(
                f"{path!r} is a symbolic link that others made: it is neither replaced nor deleted."
            )
        if not stat.S_ISREG(found.st_mode):
            raise Conflict(f"{path!r} is a folder or a special file: it is neither replaced nor deleted.")
        return found

    def look(self, path: str) -> Found | None:
        """The regular file at `path`, or None. Raises Conflict as `state` does."""
        name = path.rpartition("/")[2]
        if self.state(path) is None:
            return None
        try:
            with self.open_parent(path) as parent:
                return _read(name, parent)
        except FileNotFoundError:
            return None

    def is_folder(self, path: str) -> bool:
        """Whether `path` is a folder, not a link to one."""
        try:
            with self.open_parent(f"{path}/any"):
                return True
        except (FileNotFoundError, Conflict):
            return False

    def read(self, path: str) -> bytes:
        """The bytes at `path`; unlike `content`, through links that stay inside the folder.

        Raises NotFound, or BadName where a link leads out of the folder.
        """
        try:
            real_root = self.root.resolve(strict=True)
            real = (real_root / path).resolve(strict=True)
            if not real.is_relative_to(real_root):
                raise BadName(f"{path!r} is a symbolic link that leads out of the DAG folder.")
            inside = real.relative_to(real_root).as_posix()
            with self.open_parent(inside) as parent:
                return _read(real.name, parent).content
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, RuntimeError, Conflict):
            # RuntimeError: a loop of links. Conflict: swapped for a link since it was resolved.
            raise NotFound(f"There is no file {path!r} in the DAG folder.") from None

    def exists(self, path: str) -> bool:
        """Whether `read` would find a file at `path`."""
        real_root = self.root.resolve()
        try:
            real = (real_root / path).resolve()
        except RuntimeError:  # a loop of links
            return False
        return real.is_relative_to(real_root) and real.is_file()

    def list(self, folder: str | None, *, ignore: bool) -> list[str]:
        """The regular files below `folder`, sorted, that have a name a client could give.

        Left out are links and what is below them, and with `ignore` what `.airflowignore` hides.
        """
        start = folder or ""
        rules = self._rules_above(start) if ignore else IgnoreRules(self._ignore_syntax)
        if ignore and start and self._hidden(start, rules, is_folder=True):
            return []
        return sorted(path for path, _ in self._walk(start, rules, ignore))

    def states(self) -> Iterator[tuple[str, os.stat_result]]:
        """Each regular file in the folder that has a name a client could give, and its state."""
        for path, entry in self._walk("", IgnoreRules(self._ignore_syntax), ignore=False):
            try:
                yield path, entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue

    def ignored(self, path: str) -> bool:
        """Whether `.airflowignore` hides the file `path`, which need not exist."""
        return self._hidden(path, self._rules_above(path), is_folder=False)

    def _hidden(self, path: str, rules: IgnoreRules, *, is_folder: bool) -> bool:
        parts = path.split("/")
        above = ["/".join(parts[:count]) for count in range(1, len(parts))]
        if any(self._rules_above(folder).ignored(folder, is_folder=True) for folder in above):
            return True
        return rules.ignored(path, is_folder=is_folder)

    def _rules_above(self, path: str) -> IgnoreRules:
        """The rules in force in the folder that holds `path`; for "" none yet."""
        rules = IgnoreRules(self._ignore_syntax)
        if not path:
            return rules
        parts = path.split("/")[:-1]
        for folder in ["", *("/".join(parts[:count]) for count in range(1, len(parts) + 1))]:
            rules = rules.enter(folder, self._ignore_file(folder))
        return rules

    def _ignore_file(self, folder: str) -> str | None:
        try:
            return (self.root / folder / IGNORE_FILE).read_text(errors="replace")
        except OSError:
            return None

    def _walk(self, folder: str, rules: IgnoreRules, ignore: bool) -> Iterator[tuple[str, os.DirEntry[str]]]:
        if ignore:
            rules = rules.enter(folder, self._ignore_file(folder))
        try:
            with os.scandir(self.root / folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            if not is_folder and not entry.is_file(follow_symlinks=False):
                continue
            if not _addressable(path) or (ignore and rules.ignored(path, is_folder=is_folder)):
                continue
            if is_folder:
                yield from self._walk(path, rules, ignore)
            else:
                yield path, entry


def folder_problem(error: OSError) -> Problem:
    """What the client is told where the operating system refuses; no path of the server is in it."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return FolderUnavailable(
            "There is no space left for the DAG folder or its history. Nothing was changed."
        )
    reason = os.strerror(error.errno) if error.errno is not None else "the system gave no reason"
    return FolderUnavailable(
        f"The DAG folder or its history can't be written: {reason}. Nothing was changed."
    )


def _read(name: str, parent: int) -> Found:
    handle = os.open(name, _OPEN_FILE, dir_fd=parent)
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise FileNotFoundError(errno.ENOENT, "not a regular file")
        # The state before the content: a change in between shows as one that has not been looked at.
        return Found(file.read(), found)


def _addressable(path: str) -> bool:
    try:
        return check_path(path) == path
    except BadName:
        return False


def _not_a_folder(path: str, part: str) -> Conflict:
    return Conflict(
        f"{part!r} in {path!r} is a symbolic link or a file, not a folder: nothing is put below it."
    )


def _is_git_sync(root: Path) -> bool:
    """git-sync (v3 and v4) points a link at a worktree that is named after its commit."""
    here = Path(root.anchor)
    for part in root.absolute().parts[1:]:
        here = here / part
        if here.is_symlink():
            target = here.readlink()
            if _COMMIT_HASH.match(target.name) or _GIT_SYNC_FOLDER in target.parts:
                return True
    return False
