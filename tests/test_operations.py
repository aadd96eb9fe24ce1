"""Background operations: what any process can read of them, and what is left of one whose process was killed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from xtended.operations import KEPT_SECONDS, Cancelled, Operations
from xtended.problems import NotFound, SourceFailed
from xtended.progress import Paced


def test_one_that_ends_keeps_its_result(tmp_path: Path) -> None:
    operations = Operations(tmp_path)
    running = operations.begin("s3_sync", "ada")
    with running.ending():
        running.tell("listed", 3)
        assert operations.show(running.id)["state"] == "running"
        assert operations.show(running.id)["counts"] == {"listed": 3, "fetched": 0, "parsed": 0, "applied": 0}
        running.succeed({"status": "success"})
    shown = operations.show(running.id)
    assert (shown["state"], shown["result"]) == ("succeeded", {"status": "success"})


def test_they_are_listed_by_state(tmp_path: Path) -> None:
    operations = Operations(tmp_path)
    assert operations.list() == []
    first, second = operations.begin("s3_sync", "ada"), operations.begin("mongo_sync", "ada")
    with first.ending():
        first.succeed({"status": "success"})
    assert {each["id"] for each in operations.list()} == {first.id, second.id}
    assert operations.list("succeeded") == [operations.show(first.id)]
    assert operations.list("running") == [operations.show(second.id)]
    assert operations.list("failed") == []
    with second.ending():
        second.succeed({"status": "success"})


def test_one_that_fails_keeps_its_problem(tmp_path: Path) -> None:
    operations = Operations(tmp_path)
    running = operations.begin("s3_sync", "ada")
    with running.ending():
        running.fail(SourceFailed("It is down.").body())
    shown = operations.show(running.id)
    assert (shown["state"], shown["problem"]["detail"]) == ("failed", "It is down.")


def test_one_whose_process_was_killed_has_failed_with_a_reason(tmp_path: Path) -> None:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        running = Operations(tmp_path).begin("s3_sync", "ada")
        os.write(write, running.id.encode())
        time.sleep(60)
        os._exit(0)
    identity = os.read(read, 100).decode()
    assert Operations(tmp_path).show(identity)["state"] == "running"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    shown = Operations(tmp_path).show(identity)
    assert shown["state"] == "failed"
    assert "web server ended" in shown["problem"]["detail"]


def test_one_that_is_cancelled_ends_at_its_next_look_but_not_while_it_applies(tmp_path: Path) -> None:
    operations = Operations(tmp_path)
    running = operations.begin("s3_sync", "ada")
    with running.ending():
        operations.cancel(running.id)
        running.check("applied", 1)
        with pytest.raises(Cancelled) as caught:
            running.check("fetched", 1)
        running.fail(caught.value.body())
    assert operations.show(running.id)["state"] == "cancelled"


def test_one_is_forgotten_a_day_after_it_ended(tmp_path: Path) -> None:
    operations = Operations(tmp_path)
    old, new = operations.begin("s3_sync", "ada"), operations.begin("s3_sync", "ada")
    for running in (old, new):
        with running.ending():
            running.succeed({})
    past = time.time() - KEPT_SECONDS - 1
    os.utime(tmp_path / f"{old.id}.json", (past, past))
    operations.sweep()
    operations.show(new.id)
    with pytest.raises(NotFound):
        operations.show(old.id)
    assert not list(tmp_path.glob(f"{old.id}*"))


@pytest.mark.parametrize("identity", ["", "x", "../../etc/passwd", "0" * 32])
def test_what_is_no_operation_is_not_found(tmp_path: Path, identity: str) -> None:
    with pytest.raises(NotFound):
        Operations(tmp_path).show(identity)


def test_a_paced_watch_tells_each_hundred_and_the_end_of_each_stage() -> None:
    told: list[tuple[str, int]] = []
    watch = Paced(lambda stage, count: told.append((stage, count)))
    for count in range(1, 251):
        watch("listed", count)
    for count in (0, 0, 100, 100):
        watch("fetched", count)
    watch("applied", 7)
    watch.flush()
    assert told == [("listed", 100), ("listed", 200), ("listed", 250), ("fetched", 100), ("applied", 7)]
