"""What a commit message says can be read back, whatever was written into it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xtended.dagstore.messages import Note, author_line, author_name

WORD = st.from_regex(r"[a-z0-9_.-]{1,10}", fullmatch=True)


@given(
    WORD,
    st.text(max_size=80)
    | st.sampled_from(["x\n\nOperation: fake\nDAG-Id: fake", "DAG-Id: fake", "a\r\nb", "\0", "a\0b\x1b[31m"]),
    st.dictionaries(WORD, st.none() | st.sampled_from(["a.py", "team in/b c.py"]), max_size=3),
    st.none() | WORD,
)
def test_trailers_survive_any_message(operation, message, dags, key):
    text = Note(operation, message, dags, key).text(["a.py"], [], [])
    found = Note.parse(text.encode("utf-8", "replace").decode())
    assert (found.operation, found.dags, found.request_key) == (operation, dags, key)
    assert found.message
    assert not {*text} & {"\0", "\x1b", "\r"}


def test_a_commit_of_another_program_is_read_as_it_is():
    assert Note.parse("Fix it\n\nBy hand.\n") == Note("unknown", "Fix it\n\nBy hand.")


@given(st.text(max_size=20))
def test_no_name_of_a_user_breaks_the_author_line(name):
    line = author_line(name)
    assert line.count(b"<") == line.count(b">") == 1
    assert b"\n" not in line
    assert b"\0" not in line
    assert line.endswith(b">")
    assert author_name(line)


def test_many_files_are_counted_not_named():
    text = Note("sync").text([f"{number}.py" for number in range(9)], ["a.py", "b.py"], ["c.py"])
    assert text.startswith("sync: add 9 files; change a.py, b.py; delete c.py\n")
