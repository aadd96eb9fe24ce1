"""What run control refuses: callers without the right, and runs, tasks, dates and DAGs that are not there."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from contract.checks import problem, success
from contract.runs.conftest import Control

PARAMETERS = ("restart_failed_task", "kill_running_tasks", "skip_task_instance")


def _call(control: Control, user: str | None, operation: str, **query: Any) -> httpx.Response:
    client = control.server.client(user)
    if operation == "run_task_instance":
        return client.post("/run_task_instance", files={k: (None, v) for k, v in query.items()})
    if operation == "skip_task_instance":
        query = {"task_id": "a", **query}
    return client.post(f"/{operation}", params=query)


@pytest.mark.parametrize("operation", [*PARAMETERS, "run_task_instance"])
def test_reading_rights_are_not_enough(control: Control, operation: str) -> None:
    query = {"dag_id": "chain", "run_id": "refused"}
    if operation == "run_task_instance":
        query["tasks"] = "a"
    problem(_call(control, "viewer", operation, **query), 403, "forbidden")
    problem(_call(control, None, operation, **query), 401, "unauthenticated")
    assert control.server.airflow.api.get("/dags/chain/dagRuns/refused").status_code == 404


@pytest.mark.parametrize("operation", PARAMETERS)
def test_what_is_not_there_is_named(control: Control, operation: str) -> None:
    detail = problem(_call(control, "admin", operation, dag_id="nowhere", run_id="x"), 404, "not-found")[
        "detail"
    ]
    assert "'nowhere'" in detail
    detail = problem(_call(control, "admin", operation, dag_id="chain", run_id="never"), 404, "not-found")[
        "detail"
    ]
    assert "'never'" in detail
    date = {"dag_id": "chain", "execution_date": "2001-01-02T03:04:05"}
    assert (
        "2001-01-02T03:04:05"
        in problem(_call(control, "admin", operation, **date), 404, "not-found")["detail"]
    )
    problem(_call(control, "admin", operation, dag_id="chain"), 400, "bad-request")
    wrong = {"dag_id": "chain", "execution_date": "yesterday"}
    assert "'yesterday'" in problem(_call(control, "admin", operation, **wrong), 400, "bad-request")["detail"]


def test_a_run_is_found_by_its_date_however_it_is_written(control: Control) -> None:
    body = success(control.run_selected("chain", "dated", "a", execution_date="2026-01-02T03:04:05"))
    assert body["execution_date"] == "2026-01-02T03:04:05.000000+0000"
    assert control.finished("chain", "dated") == "success"
    for date in ("2026-01-02T03:04:05", "2026-01-02T03:04:05+00:00", "2026-01-02T04:04:05+01:00"):
        # As a client sends it that does not encode its plus sign.
        url = f"/skip_task_instance?dag_id=chain&task_id=b&execution_date={date}"
        assert success(control.api.get(url))["run_id"] == "dated"
    again = control.run_selected("chain", "dated2", "a", execution_date="2026-01-02T03:04:05")
    problem(again, 409, "conflict")


def test_an_unknown_task_is_named(control: Control) -> None:
    success(control.run_selected("chain", "known", "a"))
    query = {"dag_id": "chain", "run_id": "known", "task_id": "zzz"}
    for operation in ("kill_running_tasks", "skip_task_instance"):
        assert problem(_call(control, "admin", operation, **query), 404, "not-found")["task_ids"] == ["zzz"]
    assert control.finished("chain", "known") == "success"


def test_a_paused_dag_does_not_start_tasks(control: Control) -> None:
    paused = control.server.airflow.api.patch("/dags/grouped", json={"is_paused": True})
    assert paused.is_success
    try:
        assert (
            "paused" in problem(control.run_selected("grouped", "held", "report"), 409, "conflict")["detail"]
        )
    finally:
        control.server.airflow.api.patch("/dags/grouped", json={"is_paused": False})


def test_each_change_is_in_the_audit_log(control: Control) -> None:
    success(control.run_selected("chain", "audited", "a"))
    assert control.finished("chain", "audited") == "success"
    query = {"dag_id": "chain", "run_id": "audited", "task_id": "b"}
    success(_call(control, "op", "kill_running_tasks", **query))
    success(_call(control, "op", "skip_task_instance", **query))
    for event, user in (
        ("run_task_instance", "admin"),
        ("kill_running_tasks", "op"),
        ("skip_task_instance", "op"),
    ):
        line = next(
            line for line in control.server.airflow.audit(f"xtended.{event}") if "audited" in line.extra
        )
        assert (line.dag_id, line.user) == ("chain", user)
