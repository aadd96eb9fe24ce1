"""Each wrong password past the free ones costs twice the time, and a right one ends that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xtended.attempts import FORGOTTEN_AFTER, FREE_FOR_A_USER, LONGEST_WAIT, MOST_KNOWN, Attempts
from xtended.problems import TooManyAttempts


class Clock:
    def __init__(self) -> None:
        self.seconds = 1e9

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def attempts(tmp_path: Path, clock: Clock) -> Attempts:
    return Attempts(tmp_path / "run" / "attempts.json", clock)


def fail(attempts: Attempts, times: int, user: str = "ada", address: str = "here") -> None:
    for _ in range(times):
        with attempts.attempt(user, address):
            pass


def wait(attempts: Attempts, user: str = "ada", address: str = "here") -> int:
    with pytest.raises(TooManyAttempts) as caught, attempts.attempt(user, address):
        pass
    return int(caught.value.headers["Retry-After"])


def test_the_wait_doubles_up_to_a_minute(attempts: Attempts, clock: Clock) -> None:
    fail(attempts, FREE_FOR_A_USER)
    waits = []
    for _ in range(9):
        waits.append(wait(attempts))
        clock.seconds += waits[-1]
        fail(attempts, 1)
    assert waits == sorted(waits)
    assert waits[:4] == [2, 3, 5, 9]
    assert waits[-1] == LONGEST_WAIT + 1


def test_a_refused_attempt_does_not_count(attempts: Attempts, clock: Clock) -> None:
    fail(attempts, FREE_FOR_A_USER)
    assert {wait(attempts) for _ in range(10)} == {2}


def test_a_right_password_starts_anew(attempts: Attempts) -> None:
    for _ in range(3):
        fail(attempts, FREE_FOR_A_USER - 1)
        with attempts.attempt("ada", "elsewhere") as succeed:
            succeed()


def test_attempts_count_from_their_start(attempts: Attempts) -> None:
    begun = [attempts.attempt("ada", "here") for _ in range(FREE_FOR_A_USER)]
    for each in begun:
        each.__enter__()
    assert wait(attempts) == 2


def test_others_do_not_wait(attempts: Attempts) -> None:
    fail(attempts, FREE_FOR_A_USER)
    fail(attempts, 1, user="bob")


def test_an_address_waits_whatever_user_it_tries(attempts: Attempts) -> None:
    for number in range(20):
        fail(attempts, 1, user=f"user {number}")
    assert wait(attempts, user="one more") == 2
    fail(attempts, 1, user="one more", address="elsewhere")


def test_failures_are_forgotten(attempts: Attempts, clock: Clock) -> None:
    fail(attempts, FREE_FOR_A_USER)
    clock.seconds += FORGOTTEN_AFTER + 1
    fail(attempts, FREE_FOR_A_USER)


def test_what_is_kept_is_bounded(tmp_path: Path, attempts: Attempts) -> None:
    fail(attempts, FREE_FOR_A_USER)
    file = tmp_path / "run" / "attempts.json"
    kept = json.loads(file.read_text())
    others = {f"user-{number}": (1, 1e9) for number in range(MOST_KNOWN)}
    file.write_text(json.dumps({**kept, **others}))
    fail(attempts, 1, user="bob", address="elsewhere")
    kept = json.loads(file.read_text())
    assert len(kept) == MOST_KNOWN
    # The oldest are the first to be forgotten.
    fail(attempts, FREE_FOR_A_USER)


def test_nothing_is_forgotten_before_there_is_too_much(tmp_path: Path, attempts: Attempts) -> None:
    fail(attempts, FREE_FOR_A_USER)
    file = tmp_path / "run" / "attempts.json"
    others = {f"user-{number}": (1, 1e9) for number in range(MOST_KNOWN * 9 // 10)}
    file.write_text(json.dumps({**json.loads(file.read_text()), **others}))
    assert wait(attempts) == 2


def test_processes_count_together(tmp_path: Path, attempts: Attempts, clock: Clock) -> None:
    fail(Attempts(tmp_path / "run" / "attempts.json", clock), FREE_FOR_A_USER)
    assert wait(attempts) == 2


def test_a_name_that_was_tried_is_not_on_the_disk(tmp_path: Path, attempts: Attempts) -> None:
    fail(attempts, 1, user="my-secret-password")
    assert "my-secret-password" not in (tmp_path / "run" / "attempts.json").read_text()


def test_a_file_that_is_damaged_keeps_nobody_out(tmp_path: Path, attempts: Attempts) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "attempts.json").write_text("{")
    fail(attempts, 1)
