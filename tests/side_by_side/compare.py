"""Both hosts answer every contract case alike; `make test HOST=all` runs this once both suites have run.

What failed in them is said here once more, as what a long run has said first is often cut off.

Its name keeps it out of a run on one host, which has nothing to compare with.
"""

from __future__ import annotations

import functools

import pytest

from side_by_side.answers import DIFFERENCES, HOSTS, cases, failures

both = functools.cache(lambda: tuple(cases(host) for host in HOSTS))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", sorted({case for answers in both() for case in answers}))


def test_every_difference_is_a_case() -> None:
    assert DIFFERENCES.keys() <= {case for answers in both() for case in answers}


def test_a_case_is_answered_alike(case: str) -> None:
    on_3, on_2 = (answers.get(case, []) for answers in both())
    if case in DIFFERENCES:
        assert on_3 != on_2, "the hosts agree here: it is no longer a difference"
    else:
        assert on_3 == on_2


@pytest.mark.parametrize("host", HOSTS)
def test_each_test_passed_on(host: str) -> None:
    failed = failures(host)
    if failed:
        pytest.fail("\n\n".join(failed), pytrace=False)
