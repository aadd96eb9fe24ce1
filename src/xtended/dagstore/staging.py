"""A tree on disk that looks as the DAG folder will look after a change set, without touching the folder."""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from xtended.dagstore.folder import folder_problem
from xtended.dagstore.spool import SPOOL_NAME

__all__ = ["shadow_tree"]

_DELETED = None
_LIVE = "l"
_Node = dict[str, "_Node | bytes | None"]
_LEFT_OUT = frozenset({"__pycache__", SPOOL_NAME})


@contextmanager
def shadow_tree(area: Path, root: Path, puts: Mapping[str, bytes], deletes: frozenset[str]) -> Iterator[Path]:
    """A folder below `area` that shows `root` after the change; removed when the context ends.

    Only folders on the way to a change are real, and files put; everything else is the live one by another
    name.
    `__pycache__` is left out: compiled code of staged files is nobody else's business.

    Raises FolderUnavailable where it can't be written.
    """
    try:
        area.mkdir(parents=True, exist_ok=True)
        _sweep(area)
        home, lock = _claim(area)
    except OSError as error:
        raise folder_problem(error) from None
    tree = home / "dags"
    try:
        try:
            # Links that are short, and so relative, fit into their inode: a long one takes a block, and
            # thirty times as long to make.
            (home / _LIVE).symlink_to(root.resolve())
            _build(tree, home / _LIVE, _grow(puts, deletes), f"../{_LIVE}")
        except OSError as error:
            raise folder_problem(error) from None
        yield tree
    finally:
        shutil.rmtree(home, ignore_errors=True)
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


def _build(shadow: Path, live: Path, node: _Node, way: str) -> None:
    """`way` leads from `shadow` to `live`."""
    shadow.mkdir()
    if live.is_dir():
        with os.scandir(live) as entries:
            for entry in entries:
                if entry.name not in node and entry.name not in _LEFT_OUT:
                    _show(entry, f"{shadow}/{entry.name}", f"{way}/{entry.name}")
    for name, below in node.items():
        if isinstance(below, dict):
            _build(shadow / name, live / name, below, f"../{way}/{name}")
        elif below is not None:
            # With the mode of a new file of the DAG folder, as it may become one.
            handle = os.open(shadow / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            with os.fdopen(handle, "wb") as file:
                file.write(below)


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


def _claim(area: Path) -> tuple[Path, int]:
    """A fresh folder, and the descriptor whose lock says that its owner is alive."""
    while True:
        home = area / uuid.uuid4().hex
        home.mkdir(mode=0o700)
        try:
            lock = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # swept by another process between the two calls
        fcntl.flock(lock, fcntl.LOCK_EX)
        if home.exists():
            return home, lock
        os.close(lock)


def _sweep(area: Path) -> None:
    """Remove what processes that were killed left behind."""
    for home in area.iterdir():
        try:
            lock = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(home, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(lock)
