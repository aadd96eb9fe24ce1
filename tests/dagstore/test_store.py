"""A change set is applied as a whole or not at all, and readers never see half of a file."""

from __future__ import annotations

import hashlib
import io
import os
import random
import shutil
import stat
import threading
import zipfile
from contextlib import ExitStack
from pathlib import Path

import filelock
import pytest

from dagstore.test_history import content
from xtended.dagstore import ChangeSet, DagStore
from xtended.problems import (
    BadName,
    ChangedMeanwhile,
    Conflict,
    FileExists,
    FolderBusy,
    FolderNotOurs,
    FolderUnavailable,
    Misconfigured,
    NotFound,
)


def snapshot(root: Path) -> dict[str, tuple[str, int, int]]:
    """Everything below `root`: content, mode, mtime."""
    found = {}
    for path in sorted(root.rglob("*")):
        state = path.lstat()
        content = "" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
        mtime = 0 if path.is_dir() else state.st_mtime_ns
        found[path.relative_to(root).as_posix()] = (content, state.st_mode, mtime)
    return found


def test_files_are_put_changed_and_deleted(root, store, deploy):
    deploy({"a.py": "1", "team/b.py": "1", "c.py": "1"})
    deploy({"a.py": "2", "team/x/d.py": "1"}, ["c.py"])
    assert store.list() == ["a.py", "team/b.py", "team/x/d.py"]
    assert store.read("a.py") == b"2"
    assert not store.exists("c.py")
    assert store.exists("team/x/d.py")


def test_the_staged_tree_is_the_folder_after_the_change(root, store):
    for path in ["a.py", "b.py", "team/a.py", "team/b.py", "team/deep/c.py", "other/d.py"]:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("old")
    (root / "__pycache__").mkdir()
    changes = ChangeSet(
        {"team/a.py": b"new", "fresh/x/y.py": b"y", "b.py": b"old"}, frozenset({"a.py", "team/deep/c.py"})
    )
    before = snapshot(root)
    with store.stage(changes, force=True) as staged:
        tree = staged.tree_root
        assert {path.relative_to(tree).as_posix() for path in tree.rglob("*.py")} >= {
            "b.py",
            "team/a.py",
            "team/b.py",
        }
        assert (tree / "team/a.py").read_text() == "new"
        assert (tree / "fresh/x/y.py").read_text() == "y"
        assert (tree / "team/b.py").read_text() == "old"
        assert (tree / "other/d.py").read_text() == "old"
        assert not (tree / "a.py").exists()
        assert not (tree / "team/deep/c.py").exists()
        assert not (tree / "__pycache__").exists()
        # What no change concerns costs no inode: folders are linked to, files have a second name.
        own = {
            path.relative_to(tree).as_posix()
            for path in [tree, *tree.rglob("*")]
            if not path.is_symlink() and (path.is_dir() or path.stat().st_nlink == 1)
        }
        assert own == {".", "team", "team/a.py", "team/deep", "fresh", "fresh/x", "fresh/x/y.py"}
        assert (staged.added, staged.changed) == (("fresh/x/y.py",), ("team/a.py",))
        assert (staged.deleted, staged.unchanged) == (("a.py", "team/deep/c.py"), ("b.py",))
        assert staged.old_sha256["team/a.py"] == hashlib.sha256(b"old").hexdigest()
        assert not tree.is_relative_to(root)
    assert snapshot(root) == before


def test_few_trees_stay_however_many_were_needed_at_a_time(store):
    with ExitStack() as stack:
        trees = [
            stack.enter_context(store.stage(ChangeSet({f"{number}.py": b"1"}), force=False)).tree_root
            for number in range(5)
        ]
        assert len(set(trees)) == 5
    area = trees[0].parent.parent
    assert len(list(area.iterdir())) == 2
    with store.stage(ChangeSet({"a.py": b"1"}), force=False) as staged:
        assert staged.tree_root in trees
        assert (staged.tree_root / "a.py").read_bytes() == b"1"
        assert not (staged.tree_root / "0.py").exists()


def test_nothing_of_a_refused_change_set_stays(root, store, tmp_path):
    (root / "team").mkdir()
    (root / "team/a.py").write_text("live")
    with store.stage(ChangeSet({"team/a.py": b"refused"}), force=True):
        pass
    with store.stage(ChangeSet({"team/a.py": b"refused"}), force=True) as staged:
        # As DAG code might, to have a live file removed in place of the staged one.
        shutil.rmtree(staged.tree_root / "team")
        (staged.tree_root / "team").symlink_to(root / "team")
    assert content(root) == {"team/a.py": b"live"}
    kept = [path for path in (tmp_path / "history").rglob("*") if path.is_file() and not path.is_symlink()]
    assert not any(b"refused" in path.read_bytes() for path in kept)


def test_a_tree_shows_the_folder_whatever_it_showed_before(root, store):
    """Other change sets, other hands in the folder, and DAG code that wrote into the tree."""
    rng = random.Random(7)
    names = ["a.py", "b", "b/a.py", "b/c/d.py", "c", "c/a.py"]

    def write(folder):
        path = folder / rng.choice(names)
        for above in [path, *path.relative_to(folder).parents]:
            here = folder / above
            if here.is_symlink() or (here != folder and here.is_file()):
                here.unlink()
        if path.is_dir():
            shutil.rmtree(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{rng.random()}")

    seen = set()
    for _ in range(150):
        for _ in range(rng.randrange(3)):
            write(root)
        live = content(root)
        put = rng.choice(["new.py", "b/new.py", "n/e/w.py"])
        deletes = frozenset(rng.sample(sorted(live), min(1, len(live))))
        if any(path in put.split("/")[:-1] for path in live):
            continue
        with store.stage(ChangeSet({put: b"put"}, deletes), force=True) as staged:
            tree = staged.tree_root
            seen.add(tree)
            shown = {
                Path(folder, name).relative_to(tree).as_posix(): Path(folder, name).read_bytes()
                for folder, _, files in os.walk(tree, followlinks=True)
                for name in files
            }
            assert shown == {**{path: live[path] for path in live.keys() - deletes}, put: b"put"}
            (tree / "left.py").write_text("by code that was parsed")
            if rng.random() < 0.3:
                shutil.rmtree(tree)
        assert content(root) == live
    assert len(seen) == 1


def test_without_force_nothing_is_replaced(store, deploy):
    deploy({"a.py": "1"})
    with pytest.raises(FileExists) as caught:
        deploy({"b.py": "1", "a.py": "2"}, force=False)
    assert caught.value.extra["existing_file"] == "a.py"
    assert store.list() == ["a.py"]
    with pytest.raises(FileExists):
        deploy({"a.py": "1"}, force=False)


def test_deleting_what_is_not_there_is_not_found(deploy):
    with pytest.raises(NotFound, match=r"'gone\.py'"):
        deploy(deletes=["gone.py"])


def test_a_failure_inside_the_context_puts_everything_back(root, store, deploy):
    deploy({"a.py": "1", "team/b.py": "1", "c.py": "1"})
    (root / "a.py").chmod(0o640)
    os.utime(root / "c.py", ns=(1, 1))
    before = snapshot(root)
    changes = ChangeSet({"a.py": b"2", "new/deep/x.py": b"x"}, frozenset({"c.py", "team/b.py"}))

    def fail():
        assert (root / "a.py").read_text() == "2"
        assert (root / "new/deep/x.py").exists()
        assert not (root / "c.py").exists()
        raise RuntimeError("database")

    with store.stage(changes, force=True) as staged, pytest.raises(RuntimeError, match="database"):  # noqa: SIM117
        with store.apply(staged, author="ada", operation="deploy_dag", message="m"):
            fail()
    assert snapshot(root) == before


def test_a_failure_in_the_middle_of_applying_puts_everything_back(root, store, deploy, monkeypatch):
    deploy({"a.py": "1", "b.py": "1", "c.py": "1"})
    before = snapshot(root)
    real, calls = os.rename, []

    def failing(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError(5, "Input/output error", "/secret/path")
        return real(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", failing)
        with pytest.raises(FolderUnavailable) as caught:
            deploy({"a.py": "2", "b.py": "2", "d.py": "1"}, ["c.py"])
    assert "Input/output error" in caught.value.detail
    assert "secret" not in caught.value.detail
    assert snapshot(root) == before
    deploy({"a.py": "2"})
    assert store.read("a.py") == b"2"


def test_modes_are_kept_and_new_files_are_readable(root, deploy):
    umask = os.umask(0o027)
    try:
        (root / "old.py").write_text("1")
        (root / "old.py").chmod(0o664)
        deploy({"old.py": "2", "team/new.py": "1"})
    finally:
        os.umask(umask)
    assert stat.S_IMODE((root / "old.py").stat().st_mode) == 0o664
    assert stat.S_IMODE((root / "team/new.py").stat().st_mode) == 0o640
    assert stat.S_IMODE((root / "team").stat().st_mode) == 0o750


def test_stale_bytecode_is_removed(root, deploy):
    deploy({"team/a.py": "1", "team/ab.py": "1"})
    cache = root / "team/__pycache__"
    cache.mkdir()
    for name in ["a.cpython-311.pyc", "a.cpython-311.opt-1.pyc", "ab.cpython-311.pyc"]:
        (cache / name).write_bytes(b"")
    deploy({"team/a.py": "2"})
    assert [path.name for path in cache.iterdir()] == ["ab.cpython-311.pyc"]


def test_two_versions_of_one_size_never_share_bytecode(root, deploy):
    """Python tells versions apart by size and whole second."""
    seen = set()
    for version in range(5):
        deploy({"a.py": f"{version}"})
        seen.add(int((root / "a.py").stat().st_mtime))
        assert len(seen) == version + 1


def test_a_file_put_there_meanwhile_is_not_overwritten(root, store):
    with store.stage(ChangeSet({"a.py": b"mine"}), force=False) as staged:
        (root / "a.py").write_text("theirs")
        with pytest.raises(FileExists), store.apply(staged, author="a", operation="o", message="m"):
            pass
    assert (root / "a.py").read_text() == "theirs"


@pytest.mark.parametrize(
    "change", [ChangeSet({"a.py": b"mine"}), ChangeSet({"a.py": b"old"}), ChangeSet({}, frozenset({"a.py"}))]
)
def test_a_file_changed_meanwhile_is_not_lost_even_with_force(root, store, change):
    (root / "a.py").write_text("old")
    with store.stage(change, force=True) as staged:
        (root / "a.py").write_text("theirs")
        with pytest.raises(ChangedMeanwhile), store.apply(staged, author="a", operation="o", message="m"):
            pass
    assert (root / "a.py").read_text() == "theirs"


def test_a_wait_for_the_lock_is_bounded(root, tmp_path, deploy):
    deploy({"a.py": "1"})
    impatient = DagStore(root, tmp_path / "history", lock_timeout=0.05)
    (lock,) = (tmp_path / "history").rglob("lock")
    with (
        filelock.FileLock(lock),
        pytest.raises(FolderBusy) as caught,
        impatient.stage(ChangeSet({"b.py": b"1"}), force=False) as staged,
        impatient.apply(staged, author="a", operation="o", message="m"),
    ):
        pass
    assert int(caught.value.headers["Retry-After"]) > 0


def test_a_reader_never_sees_half_a_file(root, store, deploy):
    versions = [bytes([65 + number]) * 300_000 for number in range(3)]
    deploy({"a.py": versions[0]})
    torn, done = [], threading.Event()

    def read():
        while not done.is_set():
            content = (root / "a.py").read_bytes()
            if content not in versions:
                torn.append(len(content))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(60):
            deploy({"a.py": versions[number % 3]})
    finally:
        done.set()
        reader.join()
    assert torn == []


def test_links_are_never_followed_out_of_the_folder(root, store, deploy, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.py").write_text("secret")
    (root / "link").symlink_to(outside)
    (root / "file.py").symlink_to(outside / "secret.py")
    (root / "inner.py").write_text("inner")
    (root / "alias.py").symlink_to(root / "inner.py")
    for changes in [
        {"link/new.py": "x"},
        {"file.py": "x"},
        {"alias.py": "x"},
        {"link": "x"},
        {"inner.py/x.py": "x"},
    ]:
        with pytest.raises(Conflict):
            deploy(changes)
    for path in ["link/secret.py", "file.py", "link"]:
        with pytest.raises(Conflict):
            deploy(deletes=[path])
    for path in ["link/secret.py", "file.py"]:
        with pytest.raises(BadName, match="leads out"):
            store.read(path)
        assert not store.exists(path)
    assert store.read("alias.py") == b"inner"
    assert store.list() == ["inner.py"]
    assert [path.name for path in outside.iterdir()] == ["secret.py"]


def test_a_folder_is_not_replaced_by_a_file(deploy):
    deploy({"team/a.py": "1"})
    with pytest.raises(Conflict):
        deploy({"team": "1"})
    with pytest.raises(NotFound):
        deploy(deletes=["team/b.py"])


def test_a_file_can_make_way_for_a_folder_of_its_name_and_back(root, store, deploy):
    deploy({"thing": "1"})
    deploy({"thing/deep/a.py": "1", "thing/b.py": "1"}, ["thing"])
    assert store.list() == ["thing/b.py", "thing/deep/a.py"]
    (root / "thing").chmod(0o750)
    before = snapshot(root)
    change = ChangeSet({"thing": b"2"}, frozenset({"thing/deep/a.py", "thing/b.py"}))
    with store.stage(change, force=False) as staged:
        assert (staged.tree_root / "thing").read_text() == "2"
        with pytest.raises(RuntimeError), store.apply(staged, author="a", operation="o", message="m"):
            raise RuntimeError
        assert snapshot(root) == before
        with store.apply(staged, author="a", operation="o", message="m"):
            pass
    assert store.list() == ["thing"]


def test_a_folder_with_other_files_does_not_make_way(root, store, deploy):
    deploy({"thing/a.py": "1"})
    (root / "thing/.theirs").write_text("")
    before = snapshot(root)
    with pytest.raises(Conflict, match="other files"):
        deploy({"thing": "2"}, ["thing/a.py"])
    assert snapshot(root) == before


def test_one_name_is_not_both_a_file_and_a_folder():
    """As an S3 bucket can have it."""
    with pytest.raises(BadName, match="both a file and a folder"):
        ChangeSet({"a": b"", "a/b.py": b""})


def test_reading_what_is_not_there_is_not_found(root, store):
    (root / "folder").mkdir()
    (root / "loop").symlink_to(root / "loop")
    for path in ["a.py", "folder", "folder/a.py", "loop"]:
        with pytest.raises(NotFound):
            store.read(path)
        assert not store.exists(path)


def test_listing_leaves_out_what_no_client_can_name(root, store, deploy):
    for path in [
        ".hidden/a.py",
        "__pycache__/a.cpython-311.pyc",
        "team/.x.py",
        "bad .py",
        "a.py ",
        "team/a.py",
    ]:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("")
    assert store.list() == ["bad .py", "team/a.py"]
    assert store.list("team") == ["team/a.py"]
    assert store.list("missing") == []


@pytest.mark.parametrize(
    ("spoil", "problem", "words"),
    [
        (lambda root: root.rmdir(), FolderUnavailable, "does not exist"),
        (lambda root: (root.rmdir(), root.write_text("")), FolderUnavailable, "not a folder"),
    ],
)
def test_a_folder_that_cannot_be_used_says_why(root, store, deploy, spoil, problem, words):
    spoil(root)
    with pytest.raises(problem, match=words) as caught:
        store.check_writable()
    assert str(root) not in caught.value.detail
    with pytest.raises(problem, match=words):
        deploy({"a.py": "1"})


@pytest.mark.parametrize("target", [f"{'0a' * 20}", f".worktrees/{'0a' * 20}", f"rev-{'0a' * 20}"])
def test_a_folder_that_git_sync_swaps_is_recognised(tmp_path, target):
    (tmp_path / "git" / target / "dags").mkdir(parents=True)
    (tmp_path / "git" / "repo").symlink_to(target)
    store = DagStore(tmp_path / "git" / "repo" / "dags", tmp_path / "history")
    with pytest.raises(FolderNotOurs, match="git-sync"):
        store.check_writable()


def test_an_ordinary_link_to_the_folder_is_fine(tmp_path, root):
    (tmp_path / "link").symlink_to(root)
    store = DagStore(tmp_path / "link", tmp_path / "history")
    with (
        store.stage(ChangeSet({"a.py": b"1"}), force=False) as staged,
        store.apply(staged, author="a", operation="o", message="m"),
    ):
        pass
    assert (root / "a.py").read_text() == "1"


def test_a_history_inside_of_the_dag_folder_is_refused(root):
    with pytest.raises(Misconfigured):
        DagStore(root, root / "history")


def test_what_parsed_code_does_to_the_staged_tree_does_not_get_in(root, store):
    """DAG code that is parsed can write to the tree that it is parsed in."""
    outside = root.parent / "outside.py"
    outside.write_text("evil")
    names = ["written.py", "linked.py", "gone.py", "folder.py", "fine.py"]
    with store.stage(ChangeSet(dict.fromkeys(names, b"good")), force=False) as staged:
        tree = staged.tree_root
        (tree / "written.py").write_text("evil")
        for name in names[1:4]:
            (tree / name).unlink()
        (tree / "linked.py").symlink_to(outside)
        (tree / "folder.py").mkdir()
        (tree / "fine.py").chmod(0o777)
        (tree / "more.py").write_text("evil")
        with store.apply(staged, author="a", operation="o", message="m"):
            pass
    assert {path.name: path.read_text() for path in root.iterdir()} == dict.fromkeys(names, "good")
    assert not any(path.is_symlink() for path in root.iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in root.iterdir()} == {0o644}


def test_a_zip_is_never_a_mix_of_two_versions(root, deploy):
    """All its modules come with one rename: who opens it has all of one version."""

    def packed(version):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for number in range(20):
                archive.writestr(f"pkg/m{number}.py", f"version = {version}" + "#" * 5000)
        return buffer.getvalue()

    deploy({"dags.zip": packed(0)})
    seen, done = set(), threading.Event()

    def read():
        while not done.is_set():
            with zipfile.ZipFile(root / "dags.zip") as archive:
                seen.add(frozenset(archive.read(name) for name in archive.namelist()))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for version in range(1, 30):
            deploy({"dags.zip": packed(version)})
    finally:
        done.set()
        reader.join()
    assert {len(contents) for contents in seen} == {1}
