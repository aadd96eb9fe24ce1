"""Execute the code of one task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from xtended import executing, queueing
from xtended.api import Call, Lines
from xtended.executing import TestRequest
from xtended.naming_runs import RunRef, TaskRef
from xtended.queueing import RunRequest
from xtended.task_processes import Ending, TaskProcess

MOST_LOG_CHARACTERS = 4 * 1024 * 1024
"""What one answer holds of a log; who wants more follows it, with `stream`."""


def test(call: Call, body: Mapping[str, Any]) -> Mapping[str, Any] | Lines:
    options = {key: value for key, value in body.items() if key not in ("subdir", "stream")}
    process = executing.start_test(call, TestRequest(**options))
    if body.get("stream", False) or call.wants_lines:
        lines = process.lines()
        # From here on the process is taken care of, even if nobody takes a line.
        next(lines)
        return Lines(_followed(process, lines))
    log: list[str] = []
    size = 0
    for line in process.lines():
        if line is not None and size < MOST_LOG_CHARACTERS:
            log.append(line)
            size += len(line) + 1
    return {"status": "success", **_ending(process), "log": "\n".join(log)}


def test_by_get(call: Call, **query: Any) -> Mapping[str, Any] | Lines:
    return test(call, query)


def _followed(process: TaskProcess, lines: Iterator[str | None]) -> Iterator[Mapping[str, Any] | None]:
    for line in lines:
        yield None if line is None else {"line": line}
    if process.ending is not None:
        yield _ending(process)


def _ending(process: TaskProcess) -> dict[str, Any]:
    ending = process.ending
    assert ending is not None  # noqa: S101 - its lines have ended
    return {
        "message": _how(ending),
        "exit_code": ending.exit_code,
        "state": ending.result.get("state"),
        "duration": round(ending.seconds, 3),
        "timed_out": ending.timed_out,
        "rendered": ending.result.get("fields"),
    }


def _how(ending: Ending) -> str:
    if ending.timed_out:
        return f"the task was ended after {ending.seconds:.1f} s"
    return f"the task ended with exit code {ending.exit_code} after {ending.seconds:.1f} s"


def run(call: Call, body: Mapping[str, Any]) -> Mapping[str, Any]:
    ref = RunRef(body["dag_id"], body.get("run_id"), body.get("execution_date"))
    task = TaskRef(body["task_id"], body.get("map_index"))
    named = ("mark_success", "force", "pool", *_IGNORED)
    options = {key: value for key, value in body.items() if key in named}
    held, instance = queueing.run(call, RunRequest(ref, task, **options))
    state = "success" if options.get("mark_success") else "scheduled"
    return {
        "status": "success",
        "message": f"{ref.dag_id}.{task.task_id} of {held.run_id} is {state}",
        "run_id": held.run_id,
        "task_id": task.task_id,
        "map_index": instance.map_index,
        "state": state,
        "state_before": instance.state,
    }


_IGNORED = ("ignore_all_dependencies", "ignore_dependencies", "ignore_depends_on_past")


def run_by_get(call: Call, **query: Any) -> Mapping[str, Any]:
    return run(call, query)
