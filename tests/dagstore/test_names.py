"""No name from a client ever lands outside of the DAG folder."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xtended.dagstore.names import MAX_PART_BYTES, MAX_PATH_BYTES, check_path, join_folder
from xtended.problems import BadName, UnsupportedType

NASTY = st.lists(
    st.one_of(
        st.sampled_from(
            ["..", ".", "", "/", "\\", "a", "C:", "~", "%2e%2e", "\x00", "\n", "\u202e", "é", " ", "a.py"]
        ),
        st.text(max_size=12),
    ),
    max_size=8,
).flatmap(lambda parts: st.sampled_from(["/", "", "\\"]).map(lambda glue: glue.join(parts)))


@given(NASTY)
@example("../x.py")
@example("a/../../x.py")
@example("e\u0301.py")
@example("\u2024\u2024/x.py")
@example("\uff0e\uff0e/x.py")
def test_what_is_accepted_stays_below_the_root_and_round_trips(name):
    root = Path("/srv/dags")
    try:
        path = check_path(name)
    except BadName:
        return
    joined = os.path.normpath(root / path)
    assert joined.startswith("/srv/dags/")
    assert Path(joined) == root / path
    assert check_path(path) == path
    assert unicodedata.is_normalized("NFC", path)
    path.encode()


@given(NASTY, NASTY)
def test_a_folder_and_a_name_stay_below_the_root(folder, name):
    try:
        path = join_folder(folder, name)
    except BadName:
        return
    assert check_path(path) == path


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "empty"),
        ("/etc/passwd", "absolute"),
        ("../x.py", "'..'"),
        ("a/../x.py", "'..'"),
        ("./x.py", "'.'"),
        ("a//x.py", "empty part"),
        ("a/", "empty part"),
        ("a\\x.py", "backslash"),
        ("C:/x.py", "drive letter"),
        ("c:x.py", "drive letter"),
        ("a\x00.py", "control"),
        ("a\n.py", "control"),
        ("a\u202eyp.exe", "invisible"),
        ("a\ud800.py", "invisible"),
        (".hidden.py", "hidden"),
        ("a/.git/config", "hidden"),
        ("...", "hidden"),
        ("a /x.py", "space or a dot"),
        ("x.py.", "space or a dot"),
        ("__pycache__/x.pyc", "Python"),
        ("a" * (MAX_PART_BYTES + 1), "longer"),
        ("é" * (MAX_PART_BYTES // 2 + 1), "longer"),
        ("/".join(["abcdefghi"] * (MAX_PATH_BYTES // 10 + 1)), "longer"),
    ],
)
def test_a_refusal_quotes_the_name_and_says_why(name, reason):
    with pytest.raises(BadName) as caught:
        check_path(name)
    assert reason in caught.value.detail
    assert ascii(name)[:20] in caught.value.detail
    caught.value.detail.encode("ascii")


@pytest.mark.parametrize(
    "name", ["a.py", "team/a.py", "a b.py", "ünïcode.py", "ab:c.py", "x" * MAX_PART_BYTES, "_a.py"]
)
def test_ordinary_names_pass(name):
    assert check_path(name) == name


def test_a_decomposed_name_is_the_composed_one():
    assert check_path("e\u0301.py") == "é.py"


def test_a_wrong_ending_is_another_problem_than_a_wrong_name():
    assert check_path("a.py", suffixes={".py", ".zip"}) == "a.py"
    for name in ["a.txt", "a", "a.PY", "a.py/b"]:
        with pytest.raises(UnsupportedType, match=r"\.py, \.zip"):
            check_path(name, suffixes={".py", ".zip"})


def test_no_folder_is_the_dag_folder():
    assert join_folder(None, "a.py") == "a.py"
    assert join_folder("", "a.py") == "a.py"
    assert join_folder("team/x/", "a.py") == "team/x/a.py"
    with pytest.raises(BadName):
        join_folder("/etc", "a.py")
    with pytest.raises(BadName):
        join_folder("/", "a.py")
