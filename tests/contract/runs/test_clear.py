"""`clear`: tasks of one run or many, as if they had never run; and `task_failed_deps`, why one does not start."""

from __future__ import annotations

from typing import Any

from contract.checks import problem, success
from contract.runs.conftest import Control, until


def _clear(control: Control, dag_id: str, **more: Any) -> set[tuple[str, str]]:
    body = success(control.api.post("/clear", params={"dag_id": dag_id, **more}))
    assert body["clear_task_count"] == len(body["tasks"])
    return {(task["run_id"], task["task_id"]) for task in body["tasks"]}


def _dated(control: Control, dag_id: str, day: int) -> str:
    fields = {"dag_id": dag_id, "run_id": f"{dag_id}-{day}", "logical_date": f"2020-02-{day:02}T00:00:00Z"}
    success(control.api.post("/trigger_dag", files={name: (None, text) for name, text in fields.items()}))
    assert control.finished(dag_id, f"{dag_id}-{day}") == "success"
    return f"{dag_id}-{day}"


def test_tasks_of_the_runs_in_a_range_run_again(control: Control) -> None:
    first, second, third = (_dated(control, "chain", day) for day in (1, 2, 3))
    wanted = {"task_regex": "^b$", "downstream": "y", "start_date": "2020-02-01", "end_date": "2020-02-02"}
    expected = {(run, task) for run in (first, second) for task in ("b", "c")}
    assert _clear(control, "chain", dry_run="y", **wanted) == expected
    assert control.marks(first) == ["a", "b", "c"]
    assert _clear(control, "chain", **wanted) == expected
    for run in (first, second):
        assert control.finished("chain", run) == "success"
        assert control.marks(run) == ["a", "b", "c", "b", "c"]
    assert control.marks(third) == ["a", "b", "c"]


def test_failed_tasks_alone_are_cleared_where_asked_for(control: Control) -> None:
    control.trigger("chain", "clear1", {"fail": ["b"]})
    assert control.finished("chain", "clear1") == "failed"
    (control.started / "clear1.mended").touch()
    answer = control.api.get("/clear?dag_id=chain&run_id=clear1&only_failed=true&no_confirm=true")
    assert success(answer)["clear_task_count"] == 2
    assert control.finished("chain", "clear1") == "success"
    assert control.marks("clear1") == ["a", "b", "b", "c"]


def test_a_running_task_is_ended_and_runs_again(control: Control) -> None:
    control.trigger("chain", "clear2", {"sleep": 8})
    until(
        lambda: control.marks("clear2"),
        lambda marks: marks == ["a"],
        lambda: control.states("chain", "clear2"),
    )
    assert _clear(control, "chain", run_id="clear2", only_running="y") == {("clear2", "a")}
    assert control.finished("chain", "clear2") == "success"
    assert control.marks("clear2") == ["a", "a", "b", "c"]


def test_upstream_tasks_are_cleared_where_asked_for(control: Control) -> None:
    control.trigger("diamond", "clear3")
    assert control.finished("diamond", "clear3") == "success"
    cleared = _clear(control, "diamond", run_id="clear3", task_regex="left", upstream="y", dry_run="y")
    assert cleared == {("clear3", "left"), ("clear3", "top")}


def test_bad_clearings_are_refused(control: Control) -> None:
    problem(control.api.post("/clear?dag_id=nowhere"), 404, "not-found")
    problem(control.api.post("/clear?dag_id=chain&run_id=never"), 404, "not-found")
    problem(control.api.post("/clear?dag_id=chain&start_date=soon"), 400, "bad-request")
    control.trigger("chain", "clear4")
    assert control.finished("chain", "clear4") == "success"
    problem(control.api.post("/clear?dag_id=chain&run_id=clear4&task_regex=("), 400, "bad-request")
    problem(control.api.post("/clear?dag_id=chain&run_id=clear4&task_regex=zzz"), 404, "not-found")
    problem(control.server.client("viewer").post("/clear?dag_id=chain"), 403, "forbidden")


def test_what_keeps_a_task_from_starting_is_told(control: Control) -> None:
    control.trigger("deferred", "deps1")
    control.reach("deferred", "deps1", sleeper="deferred")
    body = success(control.api.get("/task_failed_deps?dag_id=deferred&run_id=deps1&task_id=later"))
    reasons = {dependency["name"]: dependency["reason"] for dependency in body["dependencies"]}
    assert "all_success" in reasons["Trigger Rule"]
    success(control.api.post("/kill_running_tasks?dag_id=deferred&run_id=deps1"))
