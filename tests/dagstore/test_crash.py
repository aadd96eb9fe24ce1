"""Killed at any moment, the folder is the old revision or the new one, byte for byte, as the history says."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from pathlib import Path

import pytest

from dagstore.processes import at_system_call, ended, forked, run
from dagstore.test_history import check_git, content
from xtended.dagstore import LIVE, ChangeSet, DagStore

KILLS = int(os.environ.get("XTENDED_KILLS", "12"))
"""How often a process is killed at a random moment; a soak asks for 200, and for 1,000 files at once."""


LARGE = int(os.environ.get("XTENDED_KILL_FILES", "300"))


def change(store, puts=None, deletes=(), *, body=lambda: None):
    change_set = ChangeSet({path: text.encode() for path, text in (puts or {}).items()}, frozenset(deletes))
    with (
        store.stage(change_set, force=True) as staged,
        store.apply(staged, author="ada", operation="deploy_dag", message="") as revision,
    ):
        body()
    return revision


def recorded(store, revision) -> dict[str, bytes]:
    """What a revision says the folder holds: what a rollback to it would leave there."""
    live = content(store.root)
    back = store.rollback(revision)
    return {path: text for path, text in {**live, **back.puts}.items() if path not in back.deletes}


def check_whole(root, history, tmp_path, allowed):
    """After a restart: one of the allowed states, recorded as the newest revision, by no other hands."""
    store = DagStore(root, history)
    store.recover()
    assert content(root) in allowed
    newest = store.revisions(limit=1).revisions[0]
    assert not newest.outside or newest.parent is None
    assert store.rollback(newest.id) == ChangeSet()
    check_git(store, tmp_path)
    assert not (history / "refs/xtended/pending").exists()
    assert [path.name for path in root.rglob(".*")] == []
    head = newest.id
    change(store, {"next.py": "works"})
    assert store.revision(store.head()).parent == head
    return store


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail() -> None:
    raise RuntimeError("the database refuses")


@pytest.mark.parametrize("taken_back", [False, True], ids=["applied", "taken back"])
def test_killed_at_each_system_call(root, tmp_path, taken_back):
    """Exhaustive, for one change set with additions, changes, deletions, new folders and emptied ones."""
    history = tmp_path / "history"
    old = {"a.py": "1", "b.py": "1", "team/c.py": "1", "gone/d.py": "1"}
    change(DagStore(root, history), old)
    before = content(root)
    puts, deletes = {"a.py": "2", "team/e.py": "2", "new/deep/f.py": "2"}, ["b.py", "gone/d.py"]
    after = {"a.py": b"2", "team/c.py": b"1", "team/e.py": b"2", "new/deep/f.py": b"2"}
    states = set()
    for limit in itertools.count(1):

        def work(limit=limit):
            store = DagStore(root, history)
            at_system_call(limit, die)
            try:
                change(store, puts, deletes, body=fail if taken_back else lambda: None)
            except RuntimeError:
                assert taken_back

        status = run(work)
        assert status in {0, -signal.SIGKILL}
        if status == 0:
            break
        # Taken back, the new state may still win: until it is marked that it does not.
        store = check_whole(root, history, tmp_path, [before, after])
        states.add(content(root) == {**after, "next.py": b"works"})
        change(store, old, [path for path in store.list() if path not in old])
        assert content(root) == before
    assert limit > 30
    assert states == {True, False}
    assert content(root) == (before if taken_back else after)


def test_a_reader_finishes_what_a_killed_process_began(root, tmp_path):
    history = tmp_path / "history"
    first = change(DagStore(root, history), {"a.py": "1", "b.py": "1"})
    assert run(lambda: change(DagStore(root, history), {"a.py": "2"}, ["b.py"], body=die)) < 0
    store = DagStore(root, history)
    newest = store.revisions(limit=1).revisions[0]
    assert newest.parent == first
    assert store.diff(newest.id, against=LIVE) == ""


def test_a_reader_does_not_wait_for_a_change_that_is_being_made(root, tmp_path):
    store = DagStore(root, tmp_path / "history")
    first = change(store, {"a.py": "1"})
    seen = []
    change(store, {"a.py": "2"}, body=lambda: seen.append(store.revisions(limit=1).revisions[0].id))
    assert seen == [first]


def test_who_finishes_a_change_tells_of_it_once(root, tmp_path):
    """The killed process may not have come to tell Airflow's database, or whoever else is to know."""
    history = tmp_path / "history"
    told = []
    change(DagStore(root, history), {"a.py": "1", "b.py": "1"})
    assert run(lambda: change(DagStore(root, history), {"a.py": "2", "c.py": "2"}, ["b.py"], body=die)) < 0
    for _ in range(2):
        DagStore(root, history, finished=lambda put, deleted: told.append((put, deleted))).recover()
    assert told == [(["c.py", "a.py"], ["b.py"])]
    assert content(root) == {"a.py": b"2", "c.py": b"2"}


def test_killed_at_random_moments(root, tmp_path):
    """Single deploys, rollbacks, purges and change sets of hundreds of files, one after the other."""
    history = tmp_path / "history"
    rng = random.Random(int(os.environ.get("XTENDED_SEED", "1")))
    change(DagStore(root, history), {"start.py": "0"})
    killed = 0
    while killed < KILLS:
        seed = rng.random()
        pid = forked(lambda seed=seed: work_on(root, history, random.Random(seed)))
        time.sleep(rng.uniform(0.02, 0.4))
        os.kill(pid, signal.SIGKILL)
        assert ended(pid) == -signal.SIGKILL
        killed += 1

        before = content(root)
        store = DagStore(root, history)
        store.recover()
        newest = store.revisions(limit=1).revisions[0]
        assert not newest.outside, (before.keys(), content(root).keys())
        assert store.rollback(newest.id) == ChangeSet()
        # Each set of files was written as a whole: no version of it is mixed with another.
        for folder in root.iterdir():
            if folder.is_dir():
                assert len({path.read_bytes() for path in folder.iterdir()}) <= 1, folder
        history_is_linear(store)
    check_git(DagStore(root, history), tmp_path)


def work_on(root: Path, history: Path, rng: random.Random) -> None:
    store = DagStore(root, history)
    for number in itertools.count():
        text = f"{rng.random()}"
        kind = rng.choice(["one", "one", "many", "rollback", "purge"])
        if kind == "one":
            change(store, {f"dag{rng.randrange(5)}.py": text})
        elif kind == "many":
            size = rng.choice([20, 300, LARGE])
            change(store, {f"set{size}/{n}.py": text for n in range(size)})
        elif kind == "purge":
            change(
                store, {f"dag{number}.py": text}, [path for path in store.list() if path != f"dag{number}.py"]
            )
        else:
            target = rng.choice(store.revisions(limit=20).revisions)
            with store.stage(store.rollback(target.id), force=True) as staged:
                if not staged.empty:
                    with store.apply(staged, author="ada", operation="rollback", message=""):
                        pass


def history_is_linear(store) -> None:
    cursor, expected = None, store.head()
    while True:
        page = store.revisions(cursor=cursor, limit=100)
        for revision in page.revisions:
            assert revision.id == expected
            expected = revision.parent
        cursor = page.next_cursor
        if cursor is None:
            break
    assert expected is None
