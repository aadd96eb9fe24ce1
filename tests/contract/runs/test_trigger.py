"""`trigger_dag`, `pause` and `unpause`."""

from __future__ import annotations

import httpx

from contract.checks import problem, success
from contract.runs.conftest import Control


def _trigger(control: Control, user: str = "admin", **fields: str) -> httpx.Response:
    return control.server.client(user).post("/trigger_dag", files={k: (None, v) for k, v in fields.items()})


def test_a_run_is_created_with_its_conf(control: Control) -> None:
    body = success(
        _trigger(control, dag_id="diamond", run_id="trigger1", conf='{"size": 3, "fail": ["top"]}')
    )
    assert body["run_id"] == "trigger1"
    assert control.finished("diamond", "trigger1") == "failed"
    assert control.runs_of("diamond", "/trigger1")["conf"] == {"size": 3, "fail": ["top"]}


def test_waiting_answers_the_end_of_the_run(control: Control) -> None:
    body = success(_trigger(control, dag_id="chain", wait="y", exec_date="2026-03-01T00:00:00"))
    assert (body["state"], body["execution_date"]) == ("success", "2026-03-01T00:00:00.000000+0000")
    again = success(control.api.get("/dag_state?dag_id=chain&execution_date=2026-03-01T00:00:00"))
    assert again["run_id"] == body["run_id"]


def test_the_older_get_form_takes_conf_in_the_url(control: Control) -> None:
    url = "/trigger_dag?dag_id=chain&run_id=run_id_2016_01_01&conf=%7B%22key%22%3A%22value%22%7D"
    success(control.api.get(url))
    assert control.finished("chain", "run_id_2016_01_01") == "success"
    assert control.runs_of("chain", "/run_id_2016_01_01")["conf"] == {"key": "value"}


def test_what_is_wrong_is_told_and_no_run_is_left(control: Control) -> None:
    problem(_trigger(control, dag_id="nowhere"), 404, "not-found")
    problem(_trigger(control, dag_id="diamond", run_id="no", conf="{"), 400, "bad-request")
    problem(_trigger(control, dag_id="diamond", run_id="no", conf='{"size": "wide"}'), 400, "bad-request")
    problem(_trigger(control, dag_id="diamond", run_id="no", exec_date="soon"), 400, "bad-request")
    dates = {"exec_date": "2026-01-01", "logical_date": "2026-01-02"}
    problem(_trigger(control, dag_id="diamond", run_id="no", **dates), 400, "bad-request")
    problem(_trigger(control, "viewer", dag_id="diamond", run_id="no"), 403, "forbidden")
    assert control.server.airflow.api.get("/dags/diamond/dagRuns/no").status_code == 404


def test_a_paused_dag_starts_nothing_until_it_is_unpaused(control: Control) -> None:
    body = success(control.api.get("/pause?dag_id=grouped"))
    assert (body["message"], body["paused_before"]) == ("Dag: grouped, paused: True", False)
    success(_trigger(control, dag_id="grouped", run_id="held"))
    assert "paused" in problem(_trigger(control, dag_id="grouped", wait="y"), 409, "conflict")["detail"]
    assert success(control.api.get("/dag_state?dag_id=grouped&run_id=held"))["state"] == "queued"
    assert success(control.api.post("/unpause?dag_id=grouped"))["paused_before"] is True
    assert control.finished("grouped", "held") == "success"
    problem(control.api.post("/pause?dag_id=nowhere"), 404, "not-found")
    problem(control.server.client("viewer").post("/pause?dag_id=grouped"), 403, "forbidden")
