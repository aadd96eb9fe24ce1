"""The git repository that holds every revision of the DAG folder."""

from __future__ import annotations

import os
import shutil
import time
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dulwich.errors import NotGitRepository
from dulwich.file import FileLocked
from dulwich.objects import Commit, ObjectID
from dulwich.refs import Ref

from xtended.dagstore.messages import author_line
from xtended.dagstore.packs import Record, write_pack
from xtended.dagstore.trees import BLOB, COMMIT, TREE, Leaf, edit, header, object_id

if TYPE_CHECKING:
    from dulwich.repo import Repo

__all__ = ["ABANDONED", "HEAD", "PENDING", "CommitInfo", "History", "HistoryDamaged", "Repository"]

HEAD = Ref(b"refs/heads/main")
"""The revision that the folder holds: the last one that was applied."""

PENDING = Ref(b"refs/xtended/pending")
"""The revision that the folder is on its way to."""

ABANDONED = Ref(b"refs/xtended/abandoned")
"""The pending revision, once the folder is on its way back from it."""

_COMMITTER = b"Airflow Xtended <xtended@airflow>"
_FEW = 16
"""So many objects are written one by one; more become a pack, which is flushed once."""

_UNCOMPRESSED_TREE = 4096
"""Trees are mostly hashes: compressing a large one takes time and saves nothing."""

_T = TypeVar("_T")


class HistoryDamaged(Exception):
    """The repository lacks an object that it must have, or is not a repository."""


@dataclass(frozen=True)
class CommitInfo:
    """What a commit says; `parent` is None for the first."""

    id: str
    tree: str
    parent: str | None
    author: bytes
    time: int
    message: str


class Repository:
    """The repository, opened by one thread. Writing takes the store's lock."""

    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self._objects = Path(os.fsdecode(repo.object_store.path))
        self.pack_folder = self._objects / "pack"

    def ref(self, name: Ref) -> str | None:
        """The id of the commit that a ref points at."""
        found = self._repo.refs.read_ref(name)
        return found.decode() if found else None

    def set_ref(self, name: Ref, identity: str) -> None:
        """Flushed to disk when this returns."""
        _past_stale_lock(lambda: self._repo.refs.set_if_equals(name, None, ObjectID(identity.encode())))

    def remove_ref(self, name: Ref) -> None:
        """By its file alone, as a full disk may have no room for dulwich's lock file."""
        (Path(os.fsdecode(self._repo.controldir())) / os.fsdecode(name)).unlink(missing_ok=True)
        if self.ref(name) is not None:  # another program has moved it into packed-refs
            _past_stale_lock(lambda: self._repo.refs.remove_if_equals(name, None))

    def commit(self, identity: str) -> CommitInfo:
        """Raises HistoryDamaged where there is no such commit."""
        commit = Commit.from_string(self.read(identity))
        parent = commit.parents[0].decode() if commit.parents else None
        if identity.encode() in self._repo.get_shallow():
            parent = None
        return CommitInfo(
            identity,
            commit.tree.decode(),
            parent,
            commit.author,
            int(commit.author_time),
            commit.message.decode("utf-8", "replace"),
        )

    def tree(self, identity: str) -> bytes:
        """The raw bytes of a tree."""
        return self.read(identity)

    def blob(self, identity: str) -> bytes:
        """The content of a file."""
        return self.read(identity)

    def has(self, identity: str) -> bool:
        """Whether there is an object of this id."""
        return ObjectID(identity.encode()) in self._repo.object_store

    def cut_off(self, identity: str) -> None:
        """Make this commit the first: its parent is no longer looked for."""
        earlier = self._repo.get_shallow()
        _past_stale_lock(lambda: self._repo.update_shallow({ObjectID(identity.encode())}, earlier))

    def packs(self) -> list[Path]:
        return list(self.pack_folder.glob("*.pack"))

    def stored(self) -> set[Path]:
        """The files that objects are in."""
        loose = self._objects.glob("[0-9a-f][0-9a-f]/" + "[0-9a-f]" * 38)
        return {*loose, *self.pack_folder.glob("pack-*")}

    def in_pack(self, identity: str, *, without: set[Path]) -> bool:
        """Whether a pack has the object, those of `without` left out."""
        packs = (pack for pack in self._repo.object_store.packs if Path(pack.data.path) not in without)
        return any(ObjectID(identity.encode()) in pack for pack in packs)

    def remove_leftovers(self, age: float) -> None:
        """Temporary files, and packs without an index, that killed processes left over `age` seconds ago."""
        indexed = {path.stem for path in self.pack_folder.glob("*.idx")}
        halves = (path for path in self.pack_folder.glob("pack-*.pack") if path.stem not in indexed)
        for path in [*self._objects.glob("*/tmp_*"), *halves]:
            if path.stat().st_mtime < time.time() - age:
                path.unlink(missing_ok=True)

    def write_blobs(self, contents: Iterable[bytes]) -> None:
        """Keep these contents, flushed to disk."""
        self._write([(BLOB, content) for content in contents])

    def write_commit(
        self,
        parent: str | None,
        changes: Mapping[str, Leaf | None],
        contents: Iterable[bytes],
        *,
        author: str,
        text: str,
    ) -> CommitInfo:
        """A commit on top of `parent` with `changes` (None: removed), whose new blobs are `contents`."""
        base = self.commit(parent).tree if parent is not None else None
        tree, trees = edit(self.tree, base, changes)
        commit = Commit()
        commit.tree = ObjectID(tree.encode())
        commit.parents = [ObjectID(parent.encode())] if parent is not None else []
        commit.author, commit.committer = author_line(author), _COMMITTER
        commit.author_time = commit.commit_time = int(time.time())
        commit.author_timezone = commit.commit_timezone = 0
        commit.encoding = b"UTF-8"
        commit.message = text.encode("utf-8", "replace")
        raw = commit.as_raw_string()
        blobs = [(BLOB, content) for content in contents]
        self._write([*blobs, *((TREE, tree) for tree in trees), (COMMIT, raw)])
        return self.commit(object_id(COMMIT, raw))

    def lineage(self, identity: str, until: str | None) -> Iterator[CommitInfo]:
        """The commits from `identity` back to, and without, `until`; newest first."""
        here: str | None = identity
        while here is not None and here != until:
            commit = self.commit(here)
            yield commit
            here = commit.parent

    def read(self, identity: str) -> bytes:
        """The raw bytes of any object. Raises HistoryDamaged where it is missing."""
        # A loose object is read here, as dulwich would parse it and write it out again.
        try:
            data = zlib.decompress(self.loose(identity).read_bytes())
            return data[data.index(b"\0") + 1 :]
        except FileNotFoundError:
            pass
        except (zlib.error, ValueError):
            raise HistoryDamaged(f"The object {identity} is damaged.") from None
        try:
            return self._repo.object_store.get_raw(ObjectID(identity.encode()))[1]
        except KeyError:
            raise HistoryDamaged(f"The object {identity} is missing.") from None

    def _write(self, objects: Sequence[tuple[int, bytes]]) -> None:
        new = {object_id(kind, raw): (kind, raw) for kind, raw in objects}
        missing = [(identity, kind, raw) for identity, (kind, raw) in new.items() if not self.has(identity)]
        if len(missing) <= _FEW:
            # At the same time, as a disk flushes several files about as fast as one.
            with ThreadPoolExecutor(max(1, len(missing))) as writers:
                list(writers.map(lambda each: self.write_loose(*each), missing))
            return
        write_pack(self.pack_folder, len(missing), (Record(*each) for each in missing))

    def write_loose(self, identity: str, kind: int, raw: bytes) -> None:
        """An object in a file of its own, flushed."""
        target = self.loose(identity)
        target.parent.mkdir(exist_ok=True)
        level = 0 if kind == TREE and len(raw) > _UNCOMPRESSED_TREE else 1
        temporary = target.with_name(f"tmp_obj_{uuid.uuid4().hex}")
        try:
            with temporary.open("xb") as file:
                file.write(zlib.compress(header(kind, raw) + raw, level))
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o444)
            temporary.rename(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def loose(self, identity: str) -> Path:
        """Where an object is, unless it is in a pack."""
        return self._objects / identity[:2] / identity[2:]


class History:
    """Where the repository is. A plain bare one: `git log` in it reads well."""

    def __init__(self, path: Path, workshop: Path) -> None:
        """`workshop`: an existing folder in the same file system, where a new repository is put together."""
        self._path = path
        self._workshop = workshop

    @contextmanager
    def open(self) -> Iterator[Repository]:
        """For one thread. Raises HistoryDamaged, where it is not there yet, too."""
        from dulwich.repo import Repo  # half of what this package would add to the start of the web server

        try:
            repo = Repo(str(self._path))
        except (NotGitRepository, FileNotFoundError):
            raise HistoryDamaged("There is no history yet.") from None
        try:
            yield Repository(repo)
        finally:
            repo.close()

    @property
    def exists(self) -> bool:
        return (self._path / "HEAD").exists()

    def create(self) -> None:
        """Make an empty repository, under the store's lock; completes what a killed process left of one."""
        from dulwich.repo import Repo

        new = self._workshop / "new-history"
        shutil.rmtree(new, ignore_errors=True)
        repo = Repo.init_bare(str(new), mkdir=True, default_branch=b"main")
        repo.close()
        # HEAD last: it is what makes a folder a repository.
        for entry in sorted(new.iterdir(), key=lambda entry: entry.name == "HEAD"):
            if not (self._path / entry.name).exists():
                entry.rename(self._path / entry.name)
        shutil.rmtree(new)


def _past_stale_lock(action: Callable[[], _T]) -> _T:
    """Do it, past the lock file that a killed process has left: no one else is at work under our lock."""
    try:
        return action()
    except FileLocked as error:
        Path(os.fsdecode(error.lockfilename)).unlink(missing_ok=True)
        return action()
