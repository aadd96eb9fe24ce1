"""Trees changed as bytes are the trees that git would make."""

from __future__ import annotations

import hashlib

from dulwich.index import commit_tree
from dulwich.object_store import MemoryObjectStore
from dulwich.objects import Blob, Tree
from hypothesis import given
from hypothesis import strategies as st

from xtended.dagstore.trees import BLOB, EXECUTABLE, PLAIN, TREE, Leaf, compare, edit, leaves, object_id

NAMES = st.sampled_from(["a", "a.py", "a-b", "a0", "b", "é", "100644 a", "b c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
LEAVES = st.builds(
    Leaf,
    st.integers(0, 5).map(lambda number: hashlib.sha1(b"%d" % number).hexdigest()),
    st.sampled_from([PLAIN, EXECUTABLE]),
)


def consistent(files):
    """A file is never a folder as well."""
    return {
        path: leaf for path, leaf in files.items() if not any(other.startswith(f"{path}/") for other in files)
    }


FOLDERS = st.dictionaries(PATHS, LEAVES, max_size=8).map(consistent)


def by_git(files):
    store = MemoryObjectStore()
    entries = [(path.encode(), leaf.blob.encode(), leaf.mode) for path, leaf in files.items()]
    return commit_tree(store, entries).decode()


@given(FOLDERS, FOLDERS)
def test_an_edited_tree_is_the_one_git_would_make(before, after):
    trees: dict[str, bytes] = {}

    def apply(root, changes):
        identity, raws = edit(trees.__getitem__, root, changes)
        trees.update((object_id(TREE, raw), raw) for raw in raws)
        return identity

    old = apply(None, before)
    assert old == by_git(before)
    changes = {**dict.fromkeys(before.keys() - after.keys()), **after}
    new = apply(old, changes)
    assert new == by_git(after)
    for raw in trees.values():
        Tree.from_string(raw).check()

    found = {each.path: (each.old, each.new) for each in compare(trees.__getitem__, old, new)}
    expected = {
        path: (before.get(path), after.get(path))
        for path in before.keys() | after.keys()
        if before.get(path) != after.get(path)
    }
    assert found == expected
    assert dict(leaves(trees.__getitem__, new)) == after


@given(st.binary())
def test_ids_are_those_of_git(content):
    assert object_id(BLOB, content) == Blob.from_string(content).id.decode()
