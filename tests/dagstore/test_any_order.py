"""Whatever is done in whatever order, the folder is what was asked for, and every revision what it was."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dagstore.test_crash import change, history_is_linear, recorded
from dagstore.test_history import content, roll_back
from xtended.dagstore import DagStore
from xtended.problems import ChangedOutside

PATHS = st.sampled_from(["a.py", "b.py", "team/a.py", "team/deep/c.py", "other/a.py"])
TEXTS = st.sampled_from(["1", "2", "three\nlines\nlong\n"])


class Store(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.root = self.home / "dags"
        self.root.mkdir()
        self.store = DagStore(self.root, self.home / "history")
        self.folder: dict[str, bytes] = {}
        self.unrecorded: set[str] = set()
        self.revisions: list[tuple[str, dict[str, bytes]]] = []

    def teardown(self):
        shutil.rmtree(self.home)

    def know(self, revision):
        if not self.unrecorded:
            self.revisions.append((revision, dict(self.folder)))

    @rule(puts=st.dictionaries(PATHS, TEXTS, min_size=1, max_size=3))
    def deploy(self, puts):
        revision = change(self.store, puts)
        self.folder.update((path, text.encode()) for path, text in puts.items())
        self.unrecorded -= puts.keys()
        self.know(revision)

    @rule(data=st.data())
    def delete(self, data):
        if self.folder:
            paths = data.draw(st.sets(st.sampled_from(sorted(self.folder)), min_size=1))
            revision = change(self.store, {}, paths)
            for path in paths:
                del self.folder[path]
            self.unrecorded -= paths
            self.know(revision)

    @rule(path=PATHS, text=TEXTS)
    def edit_by_hand(self, path, text):
        if self.folder.get(path) != text.encode():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text(text)
            self.folder[path] = text.encode()
            self.unrecorded.add(path)

    @rule(data=st.data())
    def delete_by_hand(self, data):
        if self.folder:
            path = data.draw(st.sampled_from(sorted(self.folder)))
            (self.root / path).unlink()
            del self.folder[path]
            self.unrecorded.add(path)

    @rule(data=st.data())
    def roll_back(self, data):
        if self.revisions:
            revision, folder = data.draw(st.sampled_from(self.revisions))
            try:
                roll_back(self.store, revision)
            except ChangedOutside as problem:
                theirs = problem.extra["changed_files"]
                roll_back(self.store, revision, force=True)
                for path in theirs:
                    assert folder.get(path) != self.folder.get(path)
            self.folder = dict(folder)
            self.store.recover()
            self.unrecorded.clear()
            self.know(self.store.head())

    @rule()
    def look_around(self):
        self.store.recover()
        self.unrecorded.clear()
        self.know(self.store.head())

    @rule(index=st.booleans(), pack=st.booleans())
    def restart(self, index, pack):
        if pack:
            self.store.tend()
        if index:
            self.store._index._database.close()
            for path in (self.home / "history/xtended").glob("index.sqlite*"):
                path.unlink()
        self.store = DagStore(self.root, self.home / "history")

    @invariant()
    def the_folder_is_what_was_asked_for(self):
        assert content(self.root) == self.folder

    @invariant()
    def files_in_the_history_are_told_from_others(self):
        if self.store.revisions(limit=1).revisions:
            known = {file.path for file in self.store.files() if file.revision is not None}
            assert self.folder.keys() - self.unrecorded <= known

    @invariant()
    def every_revision_is_what_it_was(self):
        for revision, folder in self.revisions[-3:]:
            assert recorded(self.store, revision) == folder

    @invariant()
    def the_history_is_a_line(self):
        if self.revisions:
            with self.store.locked():
                pass
            history_is_linear(self.store)


Store.TestCase.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
TestAnyOrder = pytest.mark.filterwarnings("error")(Store.TestCase)
