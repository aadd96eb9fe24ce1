"""A full or broken disk, or a right that is missing midway: a problem, no change, and the next one works."""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from disks import small_disk

from dagstore.processes import FAULTS, at_system_call, failing, run
from dagstore.test_crash import change, die
from dagstore.test_history import check_git, content
from dagstore.test_store import snapshot
from xtended.dagstore import ChangeSet, DagStore
from xtended.problems import FolderUnavailable

TMPFS_BYTES = 1024 * 1024


def test_a_fault_at_each_system_call(root, tmp_path):
    """Exhaustive. A fault after the point of no return is swallowed: what was asked for is done."""
    history = tmp_path / "history"
    old = {"a.py": "1", "b.py": "1", "team/c.py": "1", "gone/d.py": "1"}
    change(DagStore(root, history), old)
    puts, deletes = {"a.py": "2", "team/e.py": "2", "new/deep/f.py": "2"}, ["b.py", "gone/d.py"]
    after = {"a.py": b"2", "team/c.py": b"1", "team/e.py": b"2", "new/deep/f.py": b"2"}
    done = undone = 0
    for limit in itertools.count(1):
        before = snapshot(root)
        outcome = tmp_path / "outcome"
        outcome.unlink(missing_ok=True)

        def work(limit=limit, outcome=outcome):
            store = DagStore(root, history)
            descriptor = os.open(outcome, os.O_CREAT | os.O_WRONLY)
            met = []
            at_system_call(limit, lambda: (met.append(limit), failing(FAULTS[limit % len(FAULTS)])()))
            try:
                change(store, puts, deletes)
            except FolderUnavailable as problem:
                leaks = "secret" in problem.detail or str(tmp_path) in problem.detail
                os.write(descriptor, b"leak" if leaks else b"problem")
            else:
                os.write(descriptor, b"done, past a fault" if met else b"done")

        assert run(work) == 0
        told = outcome.read_text()
        assert told != "leak"
        store = DagStore(root, history)
        if told == "problem":
            assert snapshot(root) == before
            undone += 1
        else:
            assert content(root) == after
            done += 1
        change(store, {"next.py": "works"})
        assert not any(revision.outside for revision in store.revisions(limit=2).revisions)
        assert store.rollback(store.head()) == ChangeSet()
        if told == "done":
            break
        change(store, old, [path for path in store.list() if path not in old])
        assert set(content(root)) == set(old)
    assert undone > 15
    assert done > 5
    check_git(store, tmp_path)


def fill(folder: Path, leave: int) -> Path:
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    os.truncate(ballast, max(0, ballast.stat().st_size - leave))
    return ballast


def on_a_small_disk(folder: Path) -> None:
    """The folder and its history on one disk, with a little more room each time."""
    root, history = folder / "dags", folder / "history"
    root.mkdir()
    store = DagStore(root, history)
    noise = os.urandom(8 * 1024).hex()
    change(store, {"a.py": noise, "b.py": "1"})
    before, head = snapshot(root), store.head()
    refused, told = 0, set()
    for leave in range(0, 96 * 1024, 4096):
        ballast = fill(folder, leave)
        try:
            change(store, {"a.py": noise[::-1], "new/c.py": noise}, ["b.py"])
        except FolderUnavailable as problem:
            told.add("no space" in problem.detail)
            assert snapshot(root) == before
            refused += 1
            ballast.unlink()
        else:
            ballast.unlink()
            break
    assert refused > 3
    assert told == {True}
    assert content(root) == {"a.py": noise[::-1].encode(), "new/c.py": noise.encode()}
    change(store, {"next.py": "works"})
    newest = store.revisions(limit=3).revisions
    assert [revision.outside for revision in newest[:2]] == [False, False]
    assert newest[1].parent == head
    check_git(store, folder)


def with_a_file_limit(folder: Path) -> None:
    """What can be had without the right to mount: no file may grow beyond a few bytes."""
    root, history = folder / "dags", folder / "history"
    root.mkdir()
    store = DagStore(root, history)
    change(store, {"a.py": "1", "b.py": "1"})
    before, head = snapshot(root), store.head()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, usual[1]))
    with pytest.raises(FolderUnavailable):
        change(store, {"a.py": os.urandom(200_000).hex()}, ["b.py"])
    resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert snapshot(root) == before
    change(store, {"next.py": "works"})
    assert store.revision(store.head()).parent == head


def test_a_full_disk(tmp_path):
    disk = tmp_path / "disk"
    with small_disk(disk, TMPFS_BYTES) as mounted:
        assert run(lambda: (on_a_small_disk if mounted else with_a_file_limit)(disk)) == 0


def test_a_missing_right_in_the_middle():
    """One of three folders may not be written: none of them is. As a user who is not root."""
    home = Path(tempfile.mkdtemp())
    try:
        home.chmod(0o777)

        def work():
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            root = home / "dags"
            root.mkdir()
            store = DagStore(root, home / "history")
            change(store, {"a/x.py": "1", "b/x.py": "1", "c/x.py": "1"})
            (root / "b").chmod(0o555)
            before, head = snapshot(root), store.head()
            with pytest.raises(FolderUnavailable, match="Permission denied") as caught:
                change(store, {"a/x.py": "2", "b/x.py": "2", "c/new.py": "2"})
            assert str(home) not in caught.value.detail
            assert snapshot(root) == before
            change(store, {"a/x.py": "2"})
            assert store.revision(store.head()).parent == head
            root.chmod(0o555)
            with pytest.raises(FolderUnavailable, match="no permission"):
                store.check_writable()
            root.chmod(0o755)
            (root / "b").chmod(0o755)
            (home / "history/objects").chmod(0o555)
            for folder in (home / "history/objects").iterdir():
                folder.chmod(0o555)
            with pytest.raises(FolderUnavailable):
                change(store, {"a/x.py": "3"})
            assert (root / "a/x.py").read_text() == "2"
            (home / "history/objects").chmod(0o755)
            for folder in (home / "history/objects").iterdir():
                folder.chmod(0o755)

        assert run(work) == 0
    finally:
        shutil.rmtree(home)


def test_a_folder_that_is_a_mount_of_its_own(tmp_path):
    """Renaming does not cross mounts: files wait inside of the folder then, where Airflow does not look."""
    disk = tmp_path / "dags"
    with small_disk(disk, TMPFS_BYTES) as mounted:
        (disk / "theirs").mkdir()
        store = DagStore(disk, tmp_path / "history")
        (disk / "theirs/a.py").write_text("1")
        (disk / "theirs/a.py").chmod(0o640)
        change(store, {"a.py": "1", "team/b.py": "1", "c.py": "1"})
        change(store, {"a.py": "2", "theirs/a.py": "2"}, ["c.py"])
        assert content(disk) == {"a.py": b"2", "team/b.py": b"1", "theirs/a.py": b"2"}
        assert (disk / "theirs/a.py").stat().st_mode & 0o777 == 0o640
        before = snapshot(disk)

        def refuse():
            if mounted:
                (spool,) = disk.glob(".airflow-xtended")
                assert {path.name for path in spool.iterdir() if not path.name.isdigit()} == {
                    ".airflowignore"
                }
                assert store.list() == ["a.py", "new.py", "team/b.py", "theirs/a.py"]
            raise RuntimeError

        with pytest.raises(RuntimeError):
            change(store, {"a.py": "3", "new.py": "3"}, body=refuse)
        assert snapshot(disk) == before
        assert list(disk.glob(".*")) == []


def test_what_waited_in_a_mount_of_its_own_is_swept_after_a_kill(tmp_path):
    root, history = tmp_path / "dags", tmp_path / "history"
    root.mkdir()
    disk = root / "team"
    with small_disk(disk, TMPFS_BYTES):
        change(DagStore(root, history), {"a.py": "1", "team/b.py": "1"})

        def work():
            change(DagStore(root, history), {"a.py": "2", "team/b.py": "2"}, body=die)

        assert run(work) == -signal.SIGKILL
        store = DagStore(root, history)
        store.recover()
        assert content(root) == {"a.py": b"2", "team/b.py": b"2"}
        assert list(root.rglob(".*")) == []
