"""Many writers at once: a linear history, no lost update, no deadlock, and each loser is told."""

from __future__ import annotations

import json
import threading

import pytest

from dagstore.processes import ended, forked
from dagstore.test_crash import change, history_is_linear
from dagstore.test_history import check_git, content
from xtended.dagstore import ChangeSet, DagStore
from xtended.problems import ChangedMeanwhile, FileExists, RevisionMoved

ROUNDS = 12


def add_one(store) -> None:
    """An update that would be lost if two took place at once; tried until it holds."""
    while True:
        head = store.head()
        number = int(store.read("counter.py")) + 1
        change_set = ChangeSet({"counter.py": f"{number}".encode()})
        try:
            with (
                store.stage(change_set, force=True, if_match=head) as staged,
                store.apply(staged, author="ada", operation="count", message=""),
            ):
                return
        except (RevisionMoved, ChangedMeanwhile):
            continue


@pytest.mark.parametrize("writers", [2, 8])
def test_writers_in_several_processes(root, tmp_path, writers):
    history = tmp_path / "history"
    store = DagStore(root, history, lock_timeout=120)
    change(store, {"counter.py": "0"})

    def work(number):
        mine = DagStore(root, history, lock_timeout=120)
        for turn in range(ROUNDS):
            add_one(mine)
            change(mine, {f"own/{number}/{turn}.py": "1", f"own/{number}/same.py": f"{turn}"})

    children = [forked(lambda number=number: work(number)) for number in range(writers)]
    assert [ended(child) for child in children] == [0] * writers
    assert store.read("counter.py") == b"%d" % (writers * ROUNDS)
    assert len(store.list("own")) == writers * (ROUNDS + 1)
    history_is_linear(store)
    assert sum(1 for _ in store.revisions(path="counter.py", limit=1000).revisions) == writers * ROUNDS + 1
    assert not any(revision.outside for revision in store.revisions(limit=1000).revisions[:-1])
    check_git(store, tmp_path)


def test_writers_in_several_threads_of_one_process(root, store, tmp_path):
    change(store, {"counter.py": "0"})
    failed = []

    def work():
        try:
            for _ in range(ROUNDS):
                add_one(store)
                store.revisions(path="counter.py")
                list(store.files())
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert store.read("counter.py") == b"%d" % (6 * ROUNDS)
    history_is_linear(store)


def test_of_many_that_match_one_revision_one_wins(root, tmp_path):
    history = tmp_path / "history"
    store = DagStore(root, history, lock_timeout=120)
    change(store, {"a.py": "0"})
    head = store.head()

    def work(number):
        mine = DagStore(root, history, lock_timeout=120)
        told = tmp_path / f"told-{number}"
        try:
            with (
                mine.stage(ChangeSet({f"{number}.py": b"1"}), force=False, if_match=head) as staged,
                mine.apply(staged, author=f"{number}", operation="deploy_dag", message="") as revision,
            ):
                pass
            told.write_text(json.dumps(["won", revision]))
        except RevisionMoved as problem:
            told.write_text(json.dumps(["lost", problem.extra["revision"]]))

    children = [forked(lambda number=number: work(number)) for number in range(8)]
    assert [ended(child) for child in children] == [0] * 8
    told = [json.loads((tmp_path / f"told-{number}").read_text()) for number in range(8)]
    assert sorted(outcome for outcome, _ in told) == ["lost"] * 7 + ["won"]
    assert {revision for _, revision in told} == {store.head()}
    assert len(content(root)) == 2


def test_of_many_that_create_one_file_one_wins(root, tmp_path):
    history = tmp_path / "history"
    DagStore(root, history).recover()

    def work(number):
        mine = DagStore(root, history, lock_timeout=120)
        change_set = ChangeSet({"same.py": f"{number}".encode()})
        try:
            with (
                mine.stage(change_set, force=False) as staged,
                mine.apply(staged, author=f"{number}", operation="deploy_dag", message=""),
            ):
                (tmp_path / f"won-{number}").touch()
        except FileExists:
            pass

    children = [forked(lambda number=number: work(number)) for number in range(8)]
    assert [ended(child) for child in children] == [0] * 8
    (winner,) = tmp_path.glob("won-*")
    assert (root / "same.py").read_text() == winner.name.removeprefix("won-")


def test_the_folder_and_its_first_revision_are_begun_once(root, tmp_path):
    for number in range(30):
        (root / f"{number}.py").write_text("")
    history = tmp_path / "history"
    children = [forked(lambda: DagStore(root, history, lock_timeout=120).recover()) for _ in range(6)]
    assert [ended(child) for child in children] == [0] * 6
    (only,) = DagStore(root, history).revisions().revisions
    assert len(only.added) == 30
