"""Keeping the history small: old revisions go, what stays is packed, all of it has an upper bound."""

from __future__ import annotations

import fcntl
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from xtended.dagstore.history import HEAD, CommitInfo, History, Repository
from xtended.dagstore.index import Index
from xtended.dagstore.packs import Record, delta, write_pack
from xtended.dagstore.trees import BLOB, COMMIT, TREE, entries_of, parts_of

__all__ = ["Keeper"]

_DAY_SECONDS = 24 * 3600.0
_LEFTOVER_SECONDS = 3600.0
_REVISIONS_BETWEEN = 256
_PACKS = 32
_CHAIN = 40
"""How many differences in a row stand between an object and one that is whole; git's own limit is 50."""

_DELTA_BYTES = 4 * 1024 * 1024
"""Larger objects are kept whole: the memory to compare two of them is not worth it."""

_CACHE_BYTES = 16 * 1024 * 1024

Exclusive = Callable[[], AbstractContextManager[Repository]]
"""The repository under the store's lock, with nothing unfinished."""


@dataclass(frozen=True)
class _Item:
    """An object to pack; `base` is a newer one that it probably differs little from."""

    kind: int
    id: str
    base: str | None = None


class Keeper:
    """`max_bytes` bounds what the repository takes on disk, down to one last revision."""

    def __init__(
        self,
        history: History,
        index: Index,
        exclusive: Exclusive,
        home: Path,
        *,
        keep_days: int,
        keep_revisions: int,
        max_bytes: int,
    ) -> None:
        self._history = history
        self._index = index
        self._exclusive = exclusive
        self._marker = home / "tended"
        self._keep_seconds = keep_days * _DAY_SECONDS
        self._keep_revisions = keep_revisions
        self._max_bytes = max_bytes

    def due(self, repository: Repository) -> bool:
        """Whether a day has gone by, or so much has come, that `tend` is worth its while. Cheap."""
        newest = self._index.newest()
        try:
            seen, age = int(self._marker.read_text()), time.time() - self._marker.stat().st_mtime
        except (FileNotFoundError, ValueError):
            self._marker.write_text(f"{newest}")
            return False
        return age > _DAY_SECONDS or newest - seen >= _REVISIONS_BETWEEN or len(repository.packs()) > _PACKS

    def tend(self) -> None:
        """Drop what is too old or too much, and pack the rest.

        The lock is held at the beginning and at the end; changes go on in between. Does nothing where another
        process is at it. Raises what the disk and the history raise.
        """
        with self._alone() as alone:
            if not alone:
                return
            self._marker.write_text(f"{self._index.newest()}")
            young = self._index.count_since(time.time() - self._keep_seconds)
            keep = min(young, self._keep_revisions)
            while True:
                keep = max(1, keep)
                if self._pack(keep) <= self._max_bytes or keep == 1:
                    return
                keep //= 2

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        handle = os.open(self._marker, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield True
        except BlockingIOError:
            yield False
        finally:
            os.close(handle)

    def _pack(self, keep: int) -> int:
        """The bytes that the repository takes once it has only the `keep` newest revisions, in one pack."""
        with self._exclusive() as repository:
            self._trim(repository, keep)
            old = repository.stored()
            head = repository.ref(HEAD)
        if head is None:
            return 0
        with self._history.open() as repository:
            items = list(_reachable(repository, repository.lineage(head, None)))
            records = _records(repository, items)
            name = write_pack(repository.pack_folder, len(items), records)
        with self._exclusive() as repository:
            kept = _rescued(repository, head, {item.id for item in items}, old)
            for path in sorted(old, key=lambda path: path.suffix != ".idx"):
                if path not in kept and path.stem != name:
                    path.unlink()
            repository.remove_leftovers(_LEFTOVER_SECONDS)
            return sum(path.stat().st_size for path in repository.stored())

    def _trim(self, repository: Repository, keep: int) -> None:
        first = self._index.nth_newest(keep)
        if first is None or first.parent is None:
            return
        # The parent stays in the commit, so its id stays the same; `shallow` tells git not to look for it.
        repository.cut_off(first.id)
        self._index.forget_before(first.id)


def _reachable(repository: Repository, commits: Iterable[CommitInfo]) -> Iterator[_Item]:
    """All objects of these commits, newest first, each after the one that it may be a difference from."""
    depths: dict[str, int] = {}

    def item(kind: int, identity: str, newer: str | None) -> _Item:
        base = newer if newer is not None and depths.get(newer, _CHAIN) < _CHAIN else None
        depths[identity] = 0 if base is None else depths[base] + 1
        return _Item(kind, identity, base)

    def walk(tree: str, newer: str | None) -> Iterator[_Item]:
        if tree in depths:
            return
        yield item(TREE, tree, newer)
        known = set(entries_of(repository.tree(newer))) if newer is not None else set()
        names = {(name, is_folder): identity for name, is_folder, identity in map(parts_of, known)}
        for entry in entries_of(repository.tree(tree)):
            if entry in known:
                continue
            name, is_folder, identity = parts_of(entry)
            if is_folder:
                yield from walk(identity, names.get((name, True)))
            elif identity not in depths:
                yield item(BLOB, identity, names.get((name, False)))

    newer = None
    for commit in commits:
        yield _Item(COMMIT, commit.id)
        yield from walk(commit.tree, newer)
        newer = commit.tree


def _records(repository: Repository, items: Iterable[_Item]) -> Iterator[Record]:
    recent: OrderedDict[str, bytes] = OrderedDict()
    size = 0

    def read(identity: str) -> bytes:
        nonlocal size
        if identity in recent:
            recent.move_to_end(identity)
            return recent[identity]
        raw = recent[identity] = repository.read(identity)
        size += len(raw)
        while size > _CACHE_BYTES and len(recent) > 1:
            size -= len(recent.popitem(last=False)[1])
        return raw

    for item in items:
        raw = read(item.id)
        if item.base is not None and len(raw) <= _DELTA_BYTES:
            base = read(item.base)
            difference = delta(base, raw)
            if len(difference) < len(raw) // 2:
                yield Record(item.id, item.kind, difference, item.base)
                continue
        yield Record(item.id, item.kind, raw)


def _rescued(repository: Repository, head: str, packed: set[str], old: set[Path]) -> set[Path]:
    """The files among `old` that must stay: of revisions that came while the pack was written.

    An object that was there already was not written again for them. What is in an old pack only is copied.
    """
    kept = set()
    now = repository.ref(HEAD)
    newer = repository.lineage(now, head) if now is not None else iter(())
    for item in _reachable(repository, newer):
        if item.id in packed:
            continue
        loose = repository.loose(item.id)
        if loose in old:
            kept.add(loose)
        elif not loose.exists() and not repository.in_pack(item.id, without=old):
            repository.write_loose(item.id, item.kind, repository.read(item.id))
    return kept
