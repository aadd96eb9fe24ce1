"""A task's process is followed, kept to its time, and leaves nothing behind, whoever stops listening."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from xtended import task_processes
from xtended.airflow_host.task_orders import TaskOrder
from xtended.problems import Unavailable
from xtended.task_processes import MOST_AT_A_TIME, TaskProcess

ORDER = TaskOrder("test", "dag", "run", "task", -1)
PROGRAM = """
import os, subprocess, sys, time
from xtended.airflow_host.task_orders import carry_out

def work(order):
{body}

carry_out(work)
"""
Start = Callable[..., TaskProcess]


@pytest.fixture
def cleaned() -> list[str]:
    """What was cleaned up."""
    return []


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cleaned: list[str]) -> Start:
    """Start a program whose work has this body."""

    def started(body: str, timeout: float = 30) -> TaskProcess:
        program = PROGRAM.format(body="\n".join(f"    {line}" for line in body.splitlines()))
        (tmp_path / "tried_program.py").write_text(program)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return TaskProcess("tried_program", ORDER, tmp_path, timeout, lambda: cleaned.append("run"))

    return started


def _gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_lines_come_in_order_and_the_result_at_the_end(start: Start, cleaned: list[str]) -> None:
    process = start(
        "print('one')\nprint('', flush=True)\nos.write(2, b'two')\nreturn {'state': order.dag_id}"
    )
    assert [line for line in process.lines() if line is not None] == ["one", "", "two"]
    assert process.ending is not None
    assert process.ending.exit_code == 1
    assert process.ending.result == {"state": "dag"}
    assert cleaned == ["run"]


def test_a_result_may_be_larger_than_a_pipe(start: Start) -> None:
    process = start("return {'fields': 'x' * 5_000_000}")
    list(process.lines())
    assert process.ending is not None
    assert process.ending.exit_code == 0
    assert len(process.ending.result["fields"]) == 5_000_000


def test_a_program_that_does_not_start_is_told_by_its_exit_code(tmp_path: Path, cleaned: list[str]) -> None:
    process = TaskProcess("no_such_program", ORDER, tmp_path, 30, lambda: cleaned.append("run"))
    assert any("no_such_program" in line for line in [*process.lines()] if line)
    assert process.ending is not None
    assert process.ending.exit_code == 1
    assert process.ending.result == {}
    assert cleaned == ["run"]


def test_an_exception_is_a_result(start: Start) -> None:
    process = start("raise ValueError('no')")
    log = [line for line in process.lines() if line is not None]
    assert "ValueError: no" in log
    assert process.ending is not None
    assert process.ending.exit_code == 1
    assert process.ending.result["error"].rstrip().endswith("ValueError: no")


def test_time_runs_out_for_it_and_all_that_it_started(start: Start, cleaned: list[str]) -> None:
    process = start(
        "child = subprocess.Popen(['sleep', '300'], start_new_session=True)\n"
        "print(os.getpid(), child.pid, flush=True)\ntime.sleep(300)",
        timeout=5,
    )
    (line,) = [line for line in process.lines() if line is not None]
    assert process.ending is not None
    assert process.ending.timed_out
    assert process.ending.exit_code is None
    _until(lambda: all(_gone(int(pid)) for pid in line.split()))
    assert cleaned == ["run"]


def test_a_process_that_nobody_follows_any_more_is_ended(start: Start, cleaned: list[str]) -> None:
    process = start("print(os.getpid(), flush=True)\ntime.sleep(300)")
    lines = process.lines()
    line = None
    while not line:
        line = next(lines)
    del lines
    gc.collect()
    _until(lambda: _gone(int(line)))
    _until(lambda: cleaned == ["run"])


def test_a_process_whose_lines_nobody_takes_is_ended(
    start: Start, cleaned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_processes, "PATIENCE_SECONDS", 2)
    process = start("print(os.getpid(), flush=True)\ntime.sleep(300)")
    lines = process.lines()
    line = None
    while not line:
        line = next(lines)
    _until(lambda: _gone(int(line)))
    _until(lambda: cleaned == ["run"])
    assert list(lines) == []
    assert cleaned == ["run"]


def test_a_process_ends_with_whoever_started_it(start: Start) -> None:
    process = start("print(os.getpid(), flush=True)\ntime.sleep(300)")
    lines = process.lines()
    line = None
    while not line:
        line = next(lines)
    assert process._process.stdin is not None
    os.close(process._process.stdin.fileno())
    _until(lambda: _gone(int(line)))
    process._process.stdin = None


def test_only_so_many_run_at_a_time(start: Start, cleaned: list[str]) -> None:
    taken = 0
    try:
        for _ in range(MOST_AT_A_TIME):
            # That of a process that another test let go of comes back a moment later.
            assert task_processes._slots.acquire(timeout=20)
            taken += 1
        with pytest.raises(Unavailable):
            start("return {}")
        # What was made for it is taken away, and the slot of nobody is given back.
        assert cleaned == ["run"]
        assert not task_processes._slots.acquire(blocking=False)
    finally:
        for _ in range(taken):
            task_processes._slots.release()
