"""Every change is a revision: with its author, readable by git, and a way back."""

from __future__ import annotations

import os
import re
import stat
import time

import pytest
from dulwich.repo import Repo

from xtended.dagstore import LIVE, ChangeSet, DagStore
from xtended.problems import BadRequest, ChangedOutside, NotFound, RevisionMoved


def content(root) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def check_git(store, tmp_path):
    """Git has every object that the history needs, each as its id says."""
    with Repo(str(tmp_path / "history")) as repo:
        seen = set()
        shallow = repo.get_shallow()

        def check(identity):
            if identity in seen:
                return
            seen.add(identity)
            found = repo[identity]
            found.check()
            assert found.id == identity
            if found.type_name == b"commit":
                check(found.tree)
                for parent in found.parents if identity not in shallow else ():
                    check(parent)
            elif found.type_name == b"tree":
                for entry in found.items():
                    check(entry.sha)

        check(repo.refs[b"refs/heads/main"])
        assert repo.refs.read_ref(b"HEAD") == b"ref: refs/heads/main"
        assert store.head().encode() == repo.refs[b"refs/heads/main"]


def test_the_beginning_of_an_id_is_enough_where_it_is_one_revisions(store, deploy, monkeypatch):
    first = deploy({"a.py": "1"})
    second = deploy({"a.py": "2"})
    short = first[:7]
    assert store.revision(short).id == first
    assert store.diff(second[:12], against=short) == store.diff(second)
    assert store.rollback(short).puts == {"a.py": b"1"}
    for unknown in (first[:6], first.upper()[:8], f"{first[:7]}%", f"{first}0"):
        with pytest.raises(NotFound, match="There is no revision"):
            store.revision(unknown)
    # With seventeen revisions, two at least begin with the same digit.
    monkeypatch.setattr("xtended.dagstore.reading._ABBREVIATED", re.compile("[0-9a-f]"))
    for number in range(15):
        deploy({"b.py": str(number)})
    digits = [each.id[0] for each in store.revisions(limit=50).revisions]
    twice = next(digit for digit in digits if digits.count(digit) > 1)
    with pytest.raises(NotFound, match="More than one revision begins"):
        store.revision(twice)


def test_git_log_reads_well(store, deploy, tmp_path):
    deploy({"a.py": "1"}, author="Ada <b>", message="From the pipeline\n\nRun 7", dag_ids={"sales": "a.py"})
    revision = deploy({"a.py": "2", "b.py": "1"}, author="bob", message="", dag_ids=["sales", "stock"])
    with Repo(str(tmp_path / "history")) as repo:
        newest = repo[repo.head()]
        older = repo[newest.parents[0]]
    assert newest.id.decode() == revision
    assert newest.author == b"bob <bob@airflow>"
    assert older.author == b"Ada b <Ada.b@airflow>"
    assert newest.message.decode() == (
        "deploy_dag: add b.py; change a.py\n\nOperation: deploy_dag\nDAG-Id: sales\nDAG-Id: stock\n"
    )
    assert older.message.decode() == (
        "deploy_dag: From the pipeline\n\nRun 7\n\nOperation: deploy_dag\nDAG-Id: sales in a.py\n"
    )
    check_git(store, tmp_path)


def test_a_revision_says_what_it_did(store, deploy):
    first = deploy({"a.py": "1", "team/b.py": "1"})
    second = deploy({"a.py": "2", "c.py": "1"}, ["team/b.py"], author="bob", dag_ids={"x": "c.py"})
    found = store.revision(second)
    assert (found.id, found.parent, found.author, found.operation) == (second, first, "bob", "deploy_dag")
    assert (found.added, found.changed, found.deleted) == (("c.py",), ("a.py",), ("team/b.py",))
    assert found.dags == {"x": "c.py"}
    assert found.message == "test"
    assert abs(found.time - time.time()) < 60
    assert store.head() == second


def test_what_changes_nothing_makes_no_revision(deploy):
    first = deploy({"a.py": "1"})
    assert deploy({"a.py": "1"}) == first


def test_revisions_are_paged_and_filtered(store, deploy):
    made = [
        deploy({f"team/{number % 2}.py": f"{number}"}, dag_ids=[f"dag{number % 3}"]) for number in range(7)
    ]
    seen, cursor = [], None
    while True:
        page = store.revisions(cursor=cursor, limit=3)
        seen += page.revisions
        cursor = page.next_cursor
        if cursor is None:
            break
        assert len(page.revisions) == 3
    assert [revision.id for revision in seen[:7]] == made[::-1]
    assert len(seen) == 8
    assert seen[7].outside
    assert [revision.id for revision in store.revisions(path="team/1.py").revisions] == [
        made[5],
        made[3],
        made[1],
    ]
    assert len(store.revisions(path="team").revisions) == 7
    assert len(store.revisions(path="tea").revisions) == 0
    assert [revision.id for revision in store.revisions(dag_id="dag0").revisions] == [
        made[6],
        made[3],
        made[0],
    ]
    assert [revision.id for revision in store.revisions(dag_id="dag0", path="team/1.py").revisions] == [
        made[3]
    ]
    for cursor in ["x", "-1", "1" * 30, "²"]:
        with pytest.raises(BadRequest):
            store.revisions(cursor=cursor)
    with pytest.raises(NotFound):
        store.revision("0" * 40)


def test_a_diff_is_unified_text(root, store, deploy):
    first = deploy({"a.py": "one\ntwo\n", "b.bin": b"\x00\x01", "team/c.py": "c\n"})
    second = deploy({"a.py": "one\n2\n", "b.bin": b"\x00\x02"}, ["team/c.py"])
    text = store.diff(second)
    assert "--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n" in text
    assert "Binary files a/b.bin and b/b.bin differ\n" in text
    assert "deleted file mode 100644" in text
    assert store.diff(second, path="team") == store.diff(second, path="team/c.py")
    assert "a.py" not in store.diff(second, path="team")
    assert store.diff(second, against=second) == ""
    assert "+two" in store.diff(first, against=second)
    assert "+one\n+two" in store.diff(first, path="a.py")
    assert store.diff(second, against=LIVE) == ""
    (root / "a.py").write_text("by hand\n")
    (root / "new.py").write_text("new\n")
    live = store.diff(second, against=LIVE)
    assert "-by hand\n+one\n+2\n" in live
    assert "-new\n" in live
    with pytest.raises(NotFound):
        store.diff(second, against="0" * 40)


def test_files_are_listed_with_revision_and_digest(root, store, deploy):
    first = deploy({"a.py": "1"})
    second = deploy({"b.py": "22"})
    (root / "c.py").write_text("by hand")
    (root / "b.py").write_text("33")
    found = {file.path: file for file in store.files()}
    assert list(found) == ["a.py", "b.py", "c.py"]
    assert found["a.py"].revision == first
    assert found["a.py"].sha256 == "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
    assert found["b.py"].size == 2
    assert found["b.py"].revision is None
    assert found["c.py"].revision is None
    (root / "b.py").write_text("22")
    assert {file.path: file.revision for file in store.files()}["b.py"] == second


def roll_back(store, revision, *, force=False, **choice):
    with (
        store.stage(store.rollback(revision, **choice), force=force, replace=True) as staged,
        store.apply(staged, author="ada", operation="rollback", message="") as made,
    ):
        return made


def test_the_whole_folder_can_be_rolled_back(root, store, deploy):
    first = deploy({"a.py": "1", "team/b.py": "1"})
    before = content(root)
    deploy({"a.py": "2", "c.py": "1", "team": "now a file"}, ["team/b.py"])
    after = content(root)
    second = store.head()
    roll_back(store, first)
    assert content(root) == before
    roll_back(store, second)
    assert content(root) == after


def test_a_purge_can_be_undone(root, store, deploy):
    (root / "by-hand").mkdir()
    (root / "by-hand/run.sh").write_text("#!/bin/sh\n")
    (root / "by-hand/run.sh").chmod(0o755)
    deploy({"a.py": "1", "team/deep/b.py": "1"})
    full = store.head()
    before = content(root)
    deploy({}, store.list(), operation="purge_dags")
    assert content(root) == {}
    roll_back(store, full)
    assert content(root) == before
    assert stat.S_IMODE((root / "by-hand/run.sh").stat().st_mode) == 0o755
    assert stat.S_IMODE((root / "a.py").stat().st_mode) == 0o644


def test_one_path_or_one_dag_can_be_rolled_back(store, deploy):
    first = deploy({"a.py": "1", "b.py": "1"}, dag_ids={"x": "a.py", "y": "b.py"})
    deploy({"a.py": "2", "b.py": "2", "moved/a.py": "1"}, dag_ids={"x": "moved/a.py", "y": "b.py"})
    roll_back(store, first, path="b.py")
    assert (store.read("a.py"), store.read("b.py")) == (b"2", b"1")
    roll_back(store, first, dag_id="x")
    assert store.read("a.py") == b"1"
    assert not store.exists("moved/a.py")
    with pytest.raises(NotFound):
        store.rollback(first, path="nowhere.py")
    with pytest.raises(NotFound):
        store.rollback(first, dag_id="nobody")
    with pytest.raises(NotFound):
        store.rollback("0" * 40)
    assert store.rollback(first, path="b.py") == ChangeSet()


def test_what_other_hands_did_is_recorded_first(root, store, deploy):
    first = deploy({"a.py": "1", "b.py": "1"})
    (root / "a.py").write_text("by hand")
    deploy({"a.py": "2"}, author="bob")
    newest, theirs, before = store.revisions(limit=3).revisions
    assert before.id == first
    assert theirs.outside
    assert theirs.changed == ("a.py",)
    assert theirs.author == "outside of the API"
    assert newest.author == "bob"
    assert "+by hand" in store.diff(theirs.id)
    assert "-by hand" in store.diff(newest.id)


def test_it_is_recorded_even_where_the_change_is_refused(root, store, deploy):
    revision = deploy({"a.py": "1"})
    with store.stage(ChangeSet({"a.py": b"2"}), force=True, if_match=revision) as staged:
        (root / "a.py").write_text("by hand")
        with pytest.raises(RevisionMoved), store.apply(staged, author="a", operation="o", message=""):
            pass
    assert (root / "a.py").read_text() == "by hand"
    assert store.revisions(limit=1).revisions[0].outside


def test_a_rollback_or_sync_does_not_overwrite_other_hands_work(root, store, deploy):
    first = deploy({"a.py": "1", "b.py": "1"})
    deploy({"a.py": "2", "b.py": "2"})
    (root / "a.py").write_text("by hand")
    (root / "theirs.py").write_text("by hand")
    with pytest.raises(ChangedOutside) as caught:
        roll_back(store, first)
    assert caught.value.extra["changed_files"] == ["a.py", "theirs.py"]
    store.recover()
    assert store.revisions(limit=1).revisions[0].changed == ("a.py",)
    with pytest.raises(ChangedOutside):  # that it is recorded does not make it ours
        roll_back(store, first)
    assert content(root) == {"a.py": b"by hand", "b.py": b"2", "theirs.py": b"by hand"}
    roll_back(store, first, force=True)
    assert content(root) == {"a.py": b"1", "b.py": b"1"}
    roll_back(store, store.revisions(limit=2).revisions[1].id)
    assert content(root) == {"a.py": b"by hand", "b.py": b"2", "theirs.py": b"by hand"}


def test_a_change_right_after_a_look_is_noticed(root, store, deploy):
    """As fast as the clock that stamps files, and of the same size."""
    deploy({"a.py": "1"})
    store.recover()
    for text in "23456789":
        (root / "a.py").write_text(text)
        store.recover()
        assert store.revisions(limit=1).revisions[0].changed == ("a.py",)
        assert f"+{text}" in store.diff(store.head())


def test_a_file_about_to_be_replaced_is_read_whatever_its_times_say(root, store, deploy):
    deploy({"a.py": "1"})
    store.recover()
    state = (root / "a.py").stat()
    (root / "a.py").write_text("2")
    os.utime(root / "a.py", ns=(state.st_atime_ns, state.st_mtime_ns))
    deploy({"a.py": "3"})
    assert "+2" in store.diff(store.revisions(limit=2).revisions[1].id)


def test_an_unchanged_folder_makes_no_revision(root, store, deploy):
    deploy({"a.py": "1"})
    (root / ".airflowignore").write_text("x")
    (root / "__pycache__").mkdir()
    (root / "__pycache__/a.cpython-311.pyc").write_text("x")
    head = store.head()
    store.recover()
    store.recover()
    assert store.head() == head


def test_what_is_there_when_the_history_begins_is_its_first_revision(root, store):
    for number in range(40):
        (root / f"{number}.py").write_text(f"{number}")
    store.recover()
    (only,) = store.revisions().revisions
    assert only.outside
    assert len(only.added) == 40
    assert only.parent is None
    assert "+7" in store.diff(only.id, path="7.py")


def test_the_loser_of_a_race_is_told_which_revision_won(store, deploy):
    first = deploy({"a.py": "1"})
    second = deploy({"b.py": "1"})
    with (
        pytest.raises(RevisionMoved) as caught,
        store.stage(ChangeSet({"c.py": b"1"}), force=False, if_match=first),
    ):
        pass
    assert caught.value.extra["revision"] == second
    with store.stage(ChangeSet({"c.py": b"1"}), force=False, if_match=second) as staged:
        third = deploy({"d.py": "1"})
        with (
            pytest.raises(RevisionMoved) as caught,
            store.apply(staged, author="a", operation="o", message=""),
        ):
            pass
    assert caught.value.extra["revision"] == third
    assert not store.exists("c.py")


@pytest.mark.parametrize("spoil", ["missing", "garbage", "behind", "foreign"])
def test_the_index_is_made_anew_from_git(root, store, deploy, tmp_path, spoil):
    deploy({"a.py": "1", "team/b.py": "1"}, dag_ids={"x": "a.py"})
    index = tmp_path / "history/xtended/index.sqlite"
    old = index.read_bytes() if spoil == "behind" else b""
    deploy({"a.py": "2"}, ["team/b.py"], author="bob", message="why", request_key="key")
    (root / "c.py").write_text("by hand")
    store.recover()
    expected = [revision.__dict__ | {"seq": 0} for revision in store.revisions().revisions]
    files = list(store.files())
    store._index._database.close()
    for path in index.parent.glob("index.sqlite*"):
        path.unlink()
    if spoil in {"garbage", "behind"}:
        index.write_bytes(old or b"garbage" * 1000)
    if spoil == "foreign":
        other = tmp_path / "other"
        other.mkdir()
        DagStore(other, tmp_path / "elsewhere").recover()
        (tmp_path / "elsewhere/xtended/index.sqlite").rename(index)
    again = DagStore(root, tmp_path / "history")
    again.recover()
    assert [revision.__dict__ | {"seq": 0} for revision in again.revisions().revisions] == expected
    assert list(again.files()) == files


def test_the_first_reader_after_the_index_was_lost_has_its_answer(root, store, deploy, tmp_path):
    revision = deploy({"a.py": "1"})
    store._index._database.close()
    for path in (tmp_path / "history/xtended").glob("index.sqlite*"):
        path.unlink()
    again = DagStore(root, tmp_path / "history")
    assert again.revision(revision).added == ("a.py",)
    assert [file.revision for file in again.files()] == [revision]


def test_there_are_answers_before_there_is_a_history(root, store):
    (root / "a.py").write_text("1")
    assert store.head() is None
    assert store.revisions().revisions == []
    assert [(file.path, file.revision) for file in store.files()] == [("a.py", None)]
    with pytest.raises(NotFound):
        store.rollback("0" * 40)


def test_folders_that_deploys_made_go_with_their_last_file(root, deploy):
    (root / "theirs").mkdir()
    deploy({"ours/deep/a.py": "1", "theirs/a.py": "1"})
    (root / "ours/deep/__pycache__").mkdir()
    (root / "ours/deep/__pycache__/a.cpython-311.pyc").write_text("")
    deploy({}, ["ours/deep/a.py", "theirs/a.py"])
    assert [path.name for path in root.iterdir()] == ["theirs"]


def test_a_lock_that_a_killed_process_left_in_git_does_not_stay_in_the_way(store, deploy, tmp_path):
    deploy({"a.py": "1"})
    (tmp_path / "history/refs/heads/main.lock").write_text("")
    (tmp_path / "history/refs/xtended").mkdir(parents=True, exist_ok=True)
    (tmp_path / "history/refs/xtended/pending.lock").write_text("")
    deploy({"a.py": "2"})
    check_git(store, tmp_path)


def test_refs_that_git_has_packed_are_understood(store, deploy, tmp_path):
    """`git gc` moves refs into one file."""
    deploy({"a.py": "1"})
    head = store.head()
    (tmp_path / "history/packed-refs").write_text(
        f"# pack-refs with: peeled fully-peeled sorted \n{head} refs/heads/main\n"
    )
    (tmp_path / "history/refs/heads/main").unlink()
    assert store.head() == head
    deploy({"a.py": "2"})
    assert store.revision(store.head()).parent == head


def test_a_damaged_history_is_a_problem_and_changes_nothing(root, store, deploy, tmp_path):
    from xtended.problems import FolderUnavailable

    deploy({"a.py": "1"})
    head = store.head()
    loose = tmp_path / "history/objects" / head[:2] / head[2:]
    loose.chmod(0o644)
    loose.write_bytes(b"garbage")
    with pytest.raises(FolderUnavailable, match="damaged") as caught:
        deploy({"a.py": "2"})
    assert "/" not in caught.value.detail
    assert (root / "a.py").read_text() == "1"
