"""`test`, `run` and `render`: the code of one task is executed apart from the scheduler, or by its executor alone."""

from __future__ import annotations

import json
from typing import Any

import httpx
import psutil

from contract.checks import problem, silent_about, success
from contract.runs.conftest import Control, until
from contract.server import Server


def _send(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    return client.post(path, files={name: (None, text) for name, text in fields.items()})


def _try(control: Control, task_id: str, **more: str) -> dict[str, Any]:
    return _tried(_send(control.api, "/test", dag_id="tried", task_id=task_id, **more))


def _tried(answer: httpx.Response) -> dict[str, Any]:
    """The answer of `test`, whose log may name places on the server, as the logs of tasks do."""
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert body["status"] == "success"
    return body


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _no_runs(control: Control, dag_id: str = "tried") -> None:
    assert control.runs_of(dag_id)["dag_runs"] == []


def test_a_task_is_tried_and_nothing_of_it_stays(control: Control) -> None:
    body = _try(control, "hello", task_params='{"word": "given"}', subdir="x")
    assert (body["exit_code"], body["timed_out"], body["rendered"]) == (0, False, None)
    assert " given" in body["log"]
    assert body["duration"] > 0
    answer = control.api.get("/test?dag_id=tried&task_id=hello&execution_date=2020-01-02T03:04:05")
    assert "deprecation" in answer.headers
    body = _tried(answer)
    assert body["exit_code"] == 0
    assert "hello 2020-01-02 plain" in body["log"]
    _no_runs(control)


def test_a_task_that_fails_is_told_by_its_exit_code(control: Control) -> None:
    body = _try(control, "fails")
    assert body["exit_code"] not in (0, None)
    assert "going wrong" in body["log"]
    _no_runs(control)


def test_a_date_that_has_a_run_keeps_it(control: Control) -> None:
    fields = {"dag_id": "tried", "run_id": "tried1", "logical_date": "2021-01-02T00:00:00Z"}
    success(_send(control.api, "/trigger_dag", **fields))
    success(control.api.post("/kill_running_tasks?dag_id=tried&run_id=tried1"))
    before = {task["task_id"]: task["state"] for task in control.tasks("tried", "tried1")}
    body = _try(control, "hello", run_id="tried1", execution_date="2021-01-02")
    assert "hello 2021-01-02 plain" in body["log"]
    assert {task["task_id"]: task["state"] for task in control.tasks("tried", "tried1")} == before
    control.server.airflow.delete_runs("tried")


def test_a_dry_run_renders_and_runs_nothing(control: Control) -> None:
    body = _try(control, "hello", execution_date="2020-01-02", dryrun="y")
    assert body["rendered"]["bash_command"] == 'echo "hello 2020-01-02 plain"'
    assert "hunter2" not in json.dumps(body)
    _no_runs(control)


def test_a_followed_task_is_ended_when_nobody_follows_any_more(control: Control) -> None:
    marks = control.started / "slow"
    fields = {"dag_id": "tried", "task_id": "slow", "stream": "y"}
    files = {name: (None, text) for name, text in fields.items()}
    with control.api.stream("POST", "/test", files=files) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/x-ndjson"
        for line in answer.iter_lines():
            if line and "begun" in json.loads(line)["line"]:
                # The command is in the log too, before it runs.
                pid = int(until(lambda: marks.exists() and marks.read_text(), bool, lambda: "not begun"))
                break
    until(lambda: _alive(pid), lambda alive: not alive, lambda: "the task goes on")
    until(
        lambda: control.runs_of("tried")["dag_runs"],
        lambda runs: runs == [],
        lambda: "its run is still there",
    )


def test_a_followed_task_tells_its_end_last(control: Control) -> None:
    files = {"dag_id": (None, "tried"), "task_id": (None, "hello"), "stream": (None, "y")}
    with control.api.stream("POST", "/test", files=files) as answer:
        lines = [json.loads(line) for line in answer.iter_lines() if line]
    assert any("hello" in line["line"] for line in lines[:-1])
    assert lines[-1]["exit_code"] == 0
    assert "log" not in lines[-1]


def test_rendered_fields_are_those_of_the_last_try_or_made_now(control: Control) -> None:
    fields = {"dag_id": "tried", "run_id": "tried2", "logical_date": "2022-01-02T00:00:00Z"}
    success(_send(control.api, "/trigger_dag", **fields))
    control.reach("tried", "tried2", hello="success")
    success(control.api.post("/kill_running_tasks?dag_id=tried&run_id=tried2"))
    answer = control.api.get("/render?dag_id=tried&task_id=hello&execution_date=2022-01-02T00:00:00")
    body = success(answer)
    silent_about(answer, "hunter2")
    (kept,) = body["instances"]
    assert kept["from_try"] is True
    assert kept["fields"]["bash_command"] == 'echo "hello 2022-01-02 plain"'
    assert "# property: bash_command" in body["message"]

    success(_send(control.api, "/run_task_instance", dag_id="tried", run_id="tried3", tasks="never"))
    answer = control.api.get("/render?dag_id=tried&run_id=tried3&task_id=hello")
    (made,) = success(answer)["instances"]
    silent_about(answer, "hunter2")
    assert made["from_try"] is False
    assert made["fields"]["bash_command"].endswith(' plain"')
    assert control.states("tried", "tried3")["hello"] == "skipped"
    answer = control.api.get("/render?dag_id=tried&run_id=tried3&task_id=bad_template")
    body = problem(answer, 422, "render-failed")
    assert "nothing_of" in body["detail"]
    silent_about(answer, str(control.server.home))
    control.server.airflow.delete_runs("tried")


def test_one_task_of_a_finished_run_runs_again_alone(control: Control) -> None:
    control.trigger("chain", "again1")
    assert control.finished("chain", "again1") == "success"
    answer = _send(control.api, "/run", dag_id="chain", run_id="again1", task_id="b")
    assert "force" in problem(answer, 409, "conflict")["detail"]
    body = success(
        _send(control.api, "/run", dag_id="chain", run_id="again1", task_id="b", force="y", local="y")
    )
    assert (body["state_before"], body["state"]) == ("success", "scheduled")
    until(
        lambda: control.marks("again1"),
        lambda marks: marks == ["a", "b", "c", "b"],
        lambda: control.states("chain", "again1"),
    )
    assert control.finished("chain", "again1") == "success"
    assert control.marks("again1") == ["a", "b", "c", "b"]
    tries = {task["task_id"]: task["try_number"] for task in control.tasks("chain", "again1")}
    assert tries == {"a": 1, "b": 2, "c": 1}


def test_a_task_that_waits_to_be_tried_again_is_tried_now(control: Control) -> None:
    control.trigger("retried", "again2", {"fail": ["stubborn"]})
    control.reach("retried", "again2", stubborn="up_for_retry")
    (control.started / "again2.mended").touch()
    fields = {"dag_id": "retried", "run_id": "again2", "task_id": "stubborn"}
    answer = _send(control.api, "/run", **fields)
    body = problem(answer, 409, "conflict")
    assert [unmet["name"] for unmet in body["dependencies"]] == ["Not In Retry Period"]
    success(_send(control.api, "/run", **fields, ignore_dependencies="y"))
    assert control.finished("retried", "again2") == "success"
    (task,) = control.tasks("retried", "again2")
    assert task["try_number"] == 2


def test_a_task_whose_trigger_rule_is_not_met_is_refused(control: Control) -> None:
    control.trigger("chain", "again3", {"fail": ["a"]})
    assert control.finished("chain", "again3") == "failed"
    before = control.states("chain", "again3")
    for ignoring in ({}, {"ignore_dependencies": "y"}, {"ignore_all_dependencies": "y"}):
        answer = _send(
            control.api, "/run", dag_id="chain", run_id="again3", task_id="b", force="y", **ignoring
        )
        body = problem(answer, 409, "conflict")
        assert "Trigger Rule" in [unmet["name"] for unmet in body["dependencies"]]
    assert control.states("chain", "again3") == before
    answer = control.api.get("/run?dag_id=chain&run_id=again3&task_id=a&mark_success=y")
    assert success(answer)["state"] == "success"
    assert "deprecation" in answer.headers
    assert control.finished("chain", "again3") == "success"
    assert control.marks("again3") == ["a", "b", "c"]


def test_bad_requests_are_refused_and_leave_nothing(control: Control) -> None:
    for fields, status in (
        ({"dag_id": "nowhere", "task_id": "x"}, 404),
        ({"dag_id": "tried", "task_id": "nothing"}, 404),
        ({"dag_id": "tried", "task_id": "hello", "run_id": "never"}, 404),
        ({"dag_id": "tried", "task_id": "hello", "execution_date": "soon"}, 400),
        ({"dag_id": "tried", "task_id": "hello", "task_params": "["}, 400),
        ({"dag_id": "tried", "task_id": "hello", "map_index": "0"}, 400),
        ({"dag_id": "mapping", "task_id": "each"}, 400),
        ({"dag_id": "tried"}, 400),
    ):
        answer = _send(control.api, "/test", **fields)
        problem(answer, status, {400: "bad-request", 404: "not-found"}[status])
    _no_runs(control)
    sent = {"dag_id": "tried", "task_id": "hello"}
    problem(_send(control.api, "/run", **sent), 400, "bad-request")
    problem(_send(control.api, "/run", **sent, run_id="never"), 404, "not-found")
    viewer = control.server.client("viewer")
    problem(_send(viewer, "/test", **sent), 403, "forbidden")
    problem(_send(viewer, "/run", **sent, run_id="never"), 403, "forbidden")


def test_nothing_is_executed_where_the_setting_does_not_allow_it(server: Server) -> None:
    for path, fields in (
        ("/test", {"dag_id": "any", "task_id": "any"}),
        ("/run", {"dag_id": "any", "task_id": "any", "run_id": "any"}),
    ):
        body = problem(_send(server.admin, path, **fields), 403, "task-execution-off")
        assert "[xtended_api] allow_task_execution" in body["detail"]
