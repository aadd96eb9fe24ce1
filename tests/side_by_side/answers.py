"""What two hosts were seen to answer in the contract suite, and the differences that are meant to be."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ANSWERS = Path(__file__).parents[2] / ".answers"
HOSTS = ("airflow3", "airflow2")
# Lines of what a failed test says.
LAST = 12

# Where the web server is killed, and what it has answered by then, is left to chance.
RANDOM = (
    "tests/contract/test_killed.py::",
    "tests/contract/test_recorded.py::test_of_many_that_match_one_revision_one_wins",
)
_RUN_SELECTED = "tests/contract/runs/test_run_selected.py"
DIFFERENCES: Mapping[str, str] = {
    "tests/contract/runs/test_backfill.py::test_a_date_that_has_a_run_is_run_again_where_asked_for": (
        "Airflow 2 keeps no backfills, by which runs that are there would be run again"
    ),
    "tests/contract/test_gate.py::test_a_bearer_token_is_accepted_where_airflow_has_them": (
        "Airflow 2 has no tokens: the document that it serves names no bearer scheme"
    ),
    "tests/contract/test_dag_rights.py::test_a_password_a_token_and_a_session_are_the_same_user": (
        "Airflow 2 has no tokens, so there is one proof less"
    ),
    "tests/contract/test_history.py::test_no_other_file_can_be_read[%2Fetc%2Fpasswd]": (
        "Airflow 2's web server takes two slashes for one before the contract sees the path"
    ),
    "tests/contract/test_atomic.py::test_a_database_that_lets_nobody_read_is_a_503_for_readers": (
        "Airflow 3 keeps SQLite's write-ahead log, beside which everybody may read"
    ),
    f"{_RUN_SELECTED}::test_a_chosen_task_runs_whatever_its_trigger_rule[all_done_min_one_success]": (
        "Airflow 2 has no such trigger rule"
    ),
}
"""Tests in which the hosts answer differently, and why: the operation's description in the contract says so."""


def cases(host: str) -> Mapping[str, list[dict[str, Any]]]:
    """The answers of each test that both hosts have, in order.

    An answer that is the same as the one before it is left out: how often a client asks until something has happened
    is a matter of time.
    """
    place = ANSWERS / f"{host}.jsonl"
    assert place.exists(), f"No answers of {host} are written down: run make test HOST=all"
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in place.read_text().splitlines():
        answer = json.loads(line)
        test = answer.pop("test")
        if test.startswith(RANDOM) or any(f"/{kind}/" in test for kind in HOSTS):
            continue
        answers = found[test]
        if answers[-1:] != [answer]:
            answers.append(answer)
    return found


def failures(host: str) -> list[str]:
    """Each test that did not pass on that host: its name, and the last lines of why."""
    place = ANSWERS / f"{host}.xml"
    assert place.exists(), f"The tests of {host} did not come to their end"
    failed = [
        (test, problem)
        for test in ElementTree.parse(place).iter("testcase")
        for problem in (*test.iter("failure"), *test.iter("error"))
    ]
    return [
        "\n".join(
            [
                f"{host}: {test.get('classname')}::{test.get('name')}",
                *(problem.text or "").splitlines()[-LAST:],
            ]
        )
        for test, problem in failed
    ]
