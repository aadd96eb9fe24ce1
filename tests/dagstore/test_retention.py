"""History goes when it is old or too much, and what stays is as it was."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from dagstore.test_history import check_git, content, roll_back
from xtended.dagstore import DagStore, retention
from xtended.problems import NotFound


def stored(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "history/objects").rglob("*") if path.is_file()]


def age(tmp_path, revisions, days):
    """Make revisions look older: their time is in the index."""
    with sqlite3.connect(tmp_path / "history/xtended/index.sqlite") as index:
        for revision in revisions:
            index.execute("UPDATE revisions SET time = time - ? WHERE id = ?", (days * 86400, revision))
    index.close()


def test_old_revisions_go_and_others_keep_their_ids(root, store, deploy, tmp_path):
    deploy({"a.py": "secret of long ago"})
    made = [deploy({"a.py": f"{number}", f"team/{number}.py": "1"}) for number in range(6)]
    start = [revision.id for revision in store.revisions().revisions[6:]]
    age(tmp_path, [*start, *made[:3]], 91)
    before = content(root)
    store.tend()
    assert [revision.id for revision in store.revisions().revisions] == made[:2:-1]
    for gone in [*start, *made[:3]]:
        with pytest.raises(NotFound):
            store.revision(gone)
    assert "+4" in store.diff(made[4])
    with pytest.raises(NotFound, match="no longer kept"):
        store.diff(made[3])
    assert content(root) == before
    check_git(store, tmp_path)
    assert {path.suffix for path in stored(tmp_path)} == {".pack", ".idx"}
    assert not any(b"secret of long ago" in path.read_bytes() for path in stored(tmp_path))
    roll_back(store, made[3])
    assert store.read("a.py") == b"3"
    assert {file.path: file.revision for file in store.files()}["team/0.py"] == made[3]
    check_git(store, tmp_path)
    again = DagStore(root, tmp_path / "history")
    (tmp_path / "history/xtended/index.sqlite").unlink()
    again.recover()
    assert [revision.id for revision in again.revisions().revisions[1:]] == made[:2:-1]


def test_the_newest_revision_always_stays(store, deploy, tmp_path):
    last = deploy({"a.py": "1"})
    age(tmp_path, [revision.id for revision in store.revisions().revisions], 1000)
    store.tend()
    assert [revision.id for revision in store.revisions().revisions] == [last]
    check_git(store, tmp_path)


def test_the_history_has_an_upper_bound(root, tmp_path, deploy):
    import random

    rng = random.Random(7)
    for _ in range(12):
        last = deploy({"data.bin": rng.randbytes(50_000)})
    small = DagStore(root, tmp_path / "history", max_bytes=200_000)
    small.tend()
    assert sum(path.stat().st_size for path in stored(tmp_path)) <= 200_000
    kept = [revision.id for revision in small.revisions().revisions]
    assert kept[0] == last
    assert 1 <= len(kept) < 12
    check_git(small, tmp_path)


def test_so_many_revisions_are_kept_and_no_more(root, store, deploy, tmp_path):
    made = [deploy({"a.py": f"{number}"}) for number in range(9)]
    few = DagStore(root, tmp_path / "history", keep_revisions=4)
    few.tend()
    assert [revision.id for revision in few.revisions().revisions] == made[:-5:-1]
    assert few.rollback(made[-4]).puts == {"a.py": b"5"}
    check_git(few, tmp_path)


def test_many_versions_of_a_large_folder_take_little_space(root, store, deploy, tmp_path):
    for number in range(300):
        (root / f"dag_{number:04}.py").write_text(f"# {number}\n")
    for number in range(40):
        deploy({f"dag_{number * 7:04}.py": f"# changed {number}\n"})
    loose = sum(path.stat().st_size for path in stored(tmp_path))
    store.tend()
    assert sum(path.stat().st_size for path in stored(tmp_path)) < loose / 10
    check_git(store, tmp_path)


def test_changes_go_on_while_the_history_is_packed(root, store, deploy, tmp_path, monkeypatch):
    """Also one that brings back content of a revision that is just being dropped."""
    deploy({"a.py": "brought back", "b.py": "1"})
    old = store.head()
    recent = deploy({"a.py": "2"})
    age(tmp_path, [revision.id for revision in store.revisions().revisions if revision.id != recent], 91)
    write_pack, meanwhile = retention.write_pack, []

    def slow(*arguments):
        worker = threading.Thread(
            target=lambda: meanwhile.append(
                deploy({"a.py": "brought back", **{f"n/{n}.py": f"{n}" for n in range(40)}})
            )
        )
        worker.start()
        worker.join()
        return write_pack(*arguments)

    monkeypatch.setattr(retention, "write_pack", slow)
    store.tend()
    assert [revision.id for revision in store.revisions().revisions] == [*meanwhile, recent]
    with pytest.raises(NotFound):
        store.revision(old)
    check_git(store, tmp_path)
    assert store.read("a.py") == b"brought back"


def test_packing_comes_when_it_is_due(store, deploy, tmp_path, monkeypatch):
    monkeypatch.setattr(retention, "_REVISIONS_BETWEEN", 5)
    for number in range(12):
        deploy({"a.py": f"{number}"})
        for thread in threading.enumerate():
            if thread.name == "xtended-history":
                thread.join()
    assert any(path.suffix == ".pack" for path in stored(tmp_path))
    check_git(store, tmp_path)


def test_what_killed_processes_left_is_swept(store, deploy, tmp_path):
    import os

    deploy({"a.py": "1"})
    objects = tmp_path / "history/objects"
    for name in ["pack/tmp_pack_x", "pack/tmp_pack_x.idx", "pack/pack-0a.pack", "0a/tmp_obj_x"]:
        (objects / name).parent.mkdir(exist_ok=True)
        (objects / name).write_text("")
        os.utime(objects / name, (0, 0))
    (objects / "pack/tmp_pack_fresh").write_text("")
    store.tend()
    left = {path.name for path in stored(tmp_path) if "tmp" in path.name or path.name == "pack-0a.pack"}
    assert left == {"tmp_pack_fresh"}
    check_git(store, tmp_path)


def test_readers_are_not_disturbed_while_the_history_is_packed(store, deploy):
    revisions = [deploy({"a.py": f"{number}\n"}) for number in range(5)]
    failed, done = [], threading.Event()

    def read():
        try:
            while not done.is_set():
                for number, revision in enumerate(revisions):
                    assert f"+{number}" in store.diff(revision)
        except BaseException as error:
            failed.append(error)
            raise

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for number in range(25):
            deploy({"b.py": f"{number}"})
            store.tend()
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert failed == []
