"""A tree on disk that looks as the DAG folder will look after a change set, without touching the folder."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import accumulate
from pathlib import Path

from xtended.dagstore.folder import folder_problem
from xtended.dagstore.spool import SPOOL_NAME

__all__ = ["shadow_tree"]

_KEPT = 2
"""So many trees stay for later change sets: as many as there usually are at a time."""

_DELETED = None
_LIVE = "l"
_Node = dict[str, "_Node | bytes | None"]
_LEFT_OUT = frozenset({"__pycache__", SPOOL_NAME})


@contextmanager
def shadow_tree(area: Path, root: Path, puts: Mapping[str, bytes], deletes: frozenset[str]) -> Iterator[Path]:
    """A folder below `area` that shows `root` after the change; another change set's once the context ends.

    Only folders on the way to a change are real, and files put; everything else is the live one by another
    name. It is made of the tree of an earlier change set, so that it takes as long as what has changed since.
    `__pycache__` is left out: compiled code of staged files is nobody else's business.

    Raises FolderUnavailable where it can't be written.
    """
    try:
        area.mkdir(parents=True, exist_ok=True)
        home, lock = _claim(area)
    except OSError as error:
        raise folder_problem(error) from None
    tree = home / "dags"
    try:
        try:
            _show_live(home / _LIVE, root.resolve())
            _build(tree, home / _LIVE, _grow(puts, deletes), f"../{_LIVE}")
        except OSError as error:
            raise folder_problem(error) from None
        yield tree
    finally:
        if _others(area, home) >= _KEPT:
            shutil.rmtree(home, ignore_errors=True)
        else:
            _take_out(tree, puts)
        os.close(lock)


def _grow(puts: Mapping[str, bytes], deletes: frozenset[str]) -> _Node:
    top: _Node = {}
    # Deletes first: a file may make way for a folder of its name.
    for path, content in [*((path, _DELETED) for path in deletes), *puts.items()]:
        *folders, name = path.split("/")
        node = top
        for folder in folders:
            below = node.get(folder)
            if not isinstance(below, dict):
                below = node[folder] = {}
            node = below
        node[name] = content
    return top


def _show_live(link: Path, root: Path) -> None:
    # Links that are short, and so relative, fit into their inode: a long one takes a block, and thirty times
    # as long to make. So all lead through this one.
    if not link.is_symlink() or link.readlink() != root:
        _remove(link)
        link.symlink_to(root)


def _build(shadow: Path, live: Path, node: _Node, way: str) -> None:
    """Make `shadow` show `live` with the changes of `node`; `way` leads from the one to the other.

    What is there is no more than a hint: DAG code that was parsed in the tree may have left anything in it.
    """
    if not _is_folder(shadow):
        _remove(shadow)
        shadow.mkdir()
    shown = _entries(shadow)
    one_disk = live.is_dir() and live.stat().st_dev == shadow.stat().st_dev
    wanted = {
        name: entry for name, entry in _entries(live).items() if name not in node and name not in _LEFT_OUT
    }
    for name in (
        shown.keys() - wanted.keys() - {name for name, below in node.items() if isinstance(below, dict)}
    ):
        _remove(shadow / name)
    for name, entry in wanted.items():
        link = f"{way}/{name}"
        if name in shown:
            if _shows(shown[name], entry, link, one_disk=one_disk):
                continue
            _remove(shadow / name)
        _show(entry, f"{shadow}/{name}", link)
    for name, below in node.items():
        if isinstance(below, dict):
            _build(shadow / name, live / name, below, f"../{way}/{name}")
        elif below is not None:
            # With the mode of a new file of the DAG folder, as it may become one.
            handle = os.open(shadow / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            with os.fdopen(handle, "wb") as file:
                file.write(below)


def _take_out(tree: Path, puts: Iterable[str]) -> None:
    """Remove the files that were staged: of a change set that is refused, nothing stays."""
    for path in puts:
        *folders, name = path.split("/")
        # DAG code that was parsed may have put a link to a live folder in the way.
        inside = list(accumulate(folders, Path.joinpath, initial=tree))
        with suppress(OSError):
            if all(_is_folder(folder) for folder in inside):
                (inside[-1] / name).unlink()


def _entries(folder: Path) -> dict[str, os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry for entry in entries}
    except (FileNotFoundError, NotADirectoryError):
        return {}


def _shows(shown: os.DirEntry[str], entry: os.DirEntry[str], link: str, *, one_disk: bool) -> bool:
    """Whether what is in the tree is `entry` by another name already."""
    if shown.is_symlink():
        return os.readlink(shown.path) == link  # noqa: PTH115 - as many as there are folders
    # A name and a number of an inode come with the listing: no file is looked at.
    return one_disk and entry.is_file(follow_symlinks=False) and shown.inode() == entry.inode()


def _show(entry: os.DirEntry[str], place: str, link: str) -> None:
    """The live entry at `place`: a second name of a file, which makes no inode and so is fast, else a link."""
    if entry.is_file(follow_symlinks=False):
        try:
            os.link(entry.path, place)
        except OSError:
            pass  # another file system, or a file of someone else's
        else:
            return
    os.symlink(link, place)  # noqa: PTH211 - as many as there are files: half the time


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _remove(path: Path) -> None:
    if _is_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _claim(area: Path) -> tuple[Path, int]:
    """A folder that nobody uses, or a fresh one, and the descriptor whose lock says that its owner is alive."""
    for home in area.iterdir():
        try:
            lock = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            continue
        if _locked(home, lock):
            return home, lock
    while True:
        home = area / uuid.uuid4().hex
        home.mkdir(mode=0o700)
        try:
            lock = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        if _locked(home, lock):
            return home, lock


def _locked(home: Path, lock: int) -> bool:
    """Whether the lock is ours now, and the folder still there; closes it where not."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if home.exists():
            return True
    except BlockingIOError:
        pass
    os.close(lock)
    return False


def _others(area: Path, home: Path) -> int:
    try:
        return sum(1 for other in area.iterdir() if other != home)
    except OSError:
        return 0
