"""A client learns what is wrong with a file and where, and nothing about the server."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from xtended.airflow_host.import_problems import MAX_MESSAGE, ProblemReader
from xtended.airflow_host.relocation import Relocation

LIVE = Path("/srv/airflow/dags")
PACKAGES = sysconfig.get_path("purelib")


@pytest.fixture
def reader() -> ProblemReader:
    return ProblemReader(LIVE, 512 * 2**20, [LIVE.parent])


def traceback(*frames: str, ending: str) -> str:
    shown = "".join(f"  File {frame}, in <module>\n    some code\n" for frame in frames)
    return f"Traceback (most recent call last):\n{shown}{ending}\n"


def test_the_last_exception_of_a_chain_is_the_message(reader: ProblemReader) -> None:
    first = traceback(f'"{LIVE}/a.py", line 1', ending="KeyError: 'x'")
    second = traceback(f'"{LIVE}/a.py", line 2', f'"{PACKAGES}/x.py", line 9', ending="ValueError: y")
    chain = f"{first}\nDuring handling of the above exception, another exception occurred:\n\n{second}"
    problem = reader.read("a.py", chain)
    assert problem.public() == {"file": "a.py", "line": 2, "message": "ValueError: y"}
    assert problem.stacktrace == chain


def test_a_message_of_many_lines_is_kept(reader: ProblemReader) -> None:
    text = traceback(f'"{LIVE}/a.py", line 1', ending="ValueError: first\n  second\nthird")
    assert reader.read("a.py", text).message == "ValueError: first\n  second\nthird"


def test_a_message_without_traceback_is_the_message(reader: ProblemReader) -> None:
    problem = reader.read("a.py", f"AirflowDagDuplicatedIdException: in {LIVE}/a.py and {LIVE}/b.py")
    assert (problem.line, problem.message) == (None, "AirflowDagDuplicatedIdException: in a.py and b.py")


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (f"{LIVE}/a.py", "a.py"),
        (f"{LIVE}", "."),
        (f"{LIVE}-old/a.py", ".../dags-old/a.py"),
        (f"{LIVE.parent}/airflow.cfg", ".../airflow.cfg"),
        (f"{PACKAGES}/airflow/x.py", "site-packages/airflow/x.py"),
        (f"{Path.home()}/secrets.txt", "~/secrets.txt"),
        ("/data/input.csv", "/data/input.csv"),
    ],
)
def test_directories_of_the_server_are_not_shown(reader: ProblemReader, path: str, shown: str) -> None:
    text = traceback(f'"{LIVE}/a.py", line 1', ending=f"FileNotFoundError: '{path}'")
    assert reader.read("a.py", text).message == f"FileNotFoundError: '{shown}'"


def test_an_endless_message_is_cut(reader: ProblemReader) -> None:
    problem = reader.read("a.py", traceback(ending="ValueError: " + "x" * 10 * MAX_MESSAGE))
    assert len(problem.message) < MAX_MESSAGE + 10


def test_names_are_replaced_whole_and_everywhere() -> None:
    relocation = Relocation({"/tmp/shadow": "/live", "mod_1": "mod_2"})
    value = {
        "/tmp/shadow/a": ["x:/tmp/shadow.", 1, None, {"mod_1": "mod_1.Op"}],
        "b": "/tmp/shadow2/c /tmp/shadow.old mod_12",
    }
    assert relocation.apply(value) == {
        "/live/a": ["x:/live.", 1, None, {"mod_2": "mod_2.Op"}],
        "b": "/tmp/shadow2/c /tmp/shadow.old mod_12",
    }
