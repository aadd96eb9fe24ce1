"""`.airflowignore` hides from us exactly what it hides from Airflow."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xtended.dagstore import DagStore
from xtended.dagstore.ignoring import Syntax

try:
    from airflow._shared.module_loading.file_discovery import find_path_from_directory

    GLOB: Syntax = "glob"
except ImportError:
    from airflow.utils.file import find_path_from_directory

    GLOB = "glob_first"

FILES = ["a.py", "b.py", "team/a.py", "team/b.py", "team/deep/a.py", "test/a.py", "test/x.zip"]
GLOBS = [
    "a.py",
    "*.py",
    "/a.py",
    "team/",
    "team",
    "team/*",
    "!a.py",
    "!team/a.py",
    "**/a.py",
    "deep/a.py",
    "/",
    "# x",
    "",
    "!*",
    "x.zip  # c",
    "/team/deep/",
]
REGEXPS = ["a", r"a\.py$", "team/", "^team", "deep", "(", "# x", "", ".*", "test/x # c"]


@pytest.mark.parametrize("syntax", ["glob", "regexp"])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_same_files_are_hidden_as_from_airflow(tmp_path_factory, syntax, data):
    home = tmp_path_factory.mktemp("ignore")
    root = home / "dags"
    for path in FILES:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("")
    for folder in ["", "team", "team/deep"]:
        known = st.sampled_from(GLOBS if syntax == "glob" else REGEXPS)
        lines = data.draw(st.lists(known, max_size=3))
        if lines:
            (root / folder / ".airflowignore").write_text("\n".join(lines))
    store = DagStore(root, home / "history", ignore_syntax=GLOB if syntax == "glob" else syntax)
    expected = sorted(
        path.removeprefix(f"{root}/") for path in find_path_from_directory(root, ".airflowignore", syntax)
    )
    assert store.list() == expected
    assert [path for path in sorted(FILES) if not store.ignored(path)] == expected
    assert store.list("team") == [path for path in expected if path.startswith("team/")]


def test_listing_can_include_what_is_ignored(root, store):
    (root / ".airflowignore").write_text("a.py")
    (root / "a.py").write_text("")
    assert store.list() == []
    assert store.list(ignore=False) == ["a.py"]
