"""`backfill`: runs for the dates of a range in the past, of all tasks or of some."""

from __future__ import annotations

from typing import Any

from contract.checks import problem, success
from contract.recording import A_MATTER_OF_TIME
from contract.runs.conftest import Control


def _backfill(control: Control, first: str, last: str, **more: Any) -> dict[str, Any]:
    fields = {"dag_id": "daily", "start_date": first, "end_date": last, **more}
    body: dict[str, Any] = success(
        control.api.post("/backfill", files={name: (None, text) for name, text in fields.items()})
    )
    return body


def _state(control: Control, backfill_id: str) -> dict[str, Any]:
    answer = control.api.get("/backfill_state", params={"dag_id": "daily", "backfill_id": backfill_id})
    body: dict[str, Any] = success(answer)
    return body


def _ended(control: Control, made: dict[str, Any]) -> list[str]:
    """Wait for the end of the backfill's runs; answers their states."""
    states = [control.finished("daily", run_id) for run_id in _run_ids(made)]
    # Airflow sees only every half minute that a backfill has come to its end.
    answer = control.api.post(
        "/cancel_backfill", params={"dag_id": "daily"}, extensions={A_MATTER_OF_TIME: True}
    )
    assert answer.status_code in (200, 409), answer.text
    assert [run["state"] for run in _state(control, made["backfill_id"])["runs"]] == states
    return states


def _run_ids(body: dict[str, Any]) -> list[str]:
    return [run["run_id"] for run in body["runs"]]


def test_there_is_a_run_for_each_date_and_none_twice(control: Control) -> None:
    plan = _backfill(control, "2020-05-01", "2020-05-02", dry_run="y")
    assert plan["backfill_id"] is None
    made = _backfill(control, "2020-05-01", "2020-05-02")
    dates = ["2020-05-01T00:00:00.000000+0000", "2020-05-02T00:00:00.000000+0000"]
    for body in (plan, made):
        assert [run["execution_date"] for run in body["runs"]] == dates
        assert body["tasks"] == ["one", "three", "two"]
    assert _ended(control, made) == ["success", "success"]
    for run_id in _run_ids(made):
        assert control.marks(run_id) == ["one", "two", "three"]
    again = _backfill(control, "2020-05-01", "2020-05-03", dry_run="y")
    assert [run["reason"] for run in again["runs"]] == ["already exists", "already exists", None]
    # The latest one is meant where none is named.
    body = success(control.api.get("/backfill_state?dag_id=daily"))
    assert body["backfill_id"] == made["backfill_id"]


def test_a_date_that_has_a_run_is_run_again_where_asked_for(control: Control) -> None:
    made = _backfill(control, "2020-06-01", "2020-06-01")
    assert _ended(control, made) == ["success"]
    if not control.server.airflow.keeps_backfills:
        fields = {
            "dag_id": (None, "daily"),
            "start_date": (None, "2020-06-01"),
            "reprocess": (None, "failed"),
        }
        problem(control.api.post("/backfill", files=fields), 409, "conflict")
        return
    again = _backfill(control, "2020-06-01", "2020-06-02", reprocess="completed", reverse="y")
    assert [run["execution_date"][:10] for run in again["runs"]] == ["2020-06-02", "2020-06-01"]
    assert _ended(control, again) == ["success", "success"]
    (run_id,) = _run_ids(made)
    assert control.marks(run_id) == ["one", "two", "three", "one", "two", "three"]


def test_chosen_tasks_run_with_or_without_what_they_depend_on(control: Control) -> None:
    with_upstream = _backfill(control, "2020-07-01", "2020-07-01", task_regex="^two$")
    assert with_upstream["tasks"] == ["one", "two"]
    assert _ended(control, with_upstream) == ["success"]
    alone = _backfill(control, "2020-07-02", "2020-07-02", task_regex="^two$", ignore_dependencies="y")
    assert alone["tasks"] == ["two"]
    assert _ended(control, alone) == ["success"]
    assert control.marks(_run_ids(with_upstream)[0]) == ["one", "two"]
    assert control.marks(_run_ids(alone)[0]) == ["two"]


def test_tasks_are_marked_without_running(control: Control) -> None:
    answer = control.api.get("/backfill?dag_id=daily&start_date=2020-08-01&mark_success=y&local=y&subdir=x")
    made = success(answer)
    assert "deprecation" in answer.headers
    assert made["tasks"] == []
    assert _ended(control, made) == ["success"]
    (run_id,) = _run_ids(made)
    assert control.states("daily", run_id) == {"one": "success", "two": "success", "three": "success"}
    assert control.marks(run_id) == []


def test_a_pool_of_its_own_is_taken(control: Control) -> None:
    made = _backfill(control, "2020-09-01", "2020-09-01", pool="default_pool", mark_success="y")
    assert _ended(control, made) == ["success"]
    assert {task["pool"] for task in control.tasks("daily", _run_ids(made)[0])} == {"default_pool"}
    fields = {"dag_id": "daily", "start_date": "2020-09-02", "pool": "nowhere"}
    answer = control.api.post("/backfill", files={name: (None, text) for name, text in fields.items()})
    problem(answer, 404, "not-found")


def test_a_cancelled_backfill_starts_no_more_runs(control: Control) -> None:
    success(control.api.post("/pause?dag_id=daily"))
    made = _backfill(control, "2020-10-01", "2020-10-02")
    assert _state(control, made["backfill_id"])["state"] == "running"
    fields = {"dag_id": (None, "daily"), "start_date": (None, "2020-11-01")}
    answer = control.api.post("/backfill", files=fields)
    assert made["backfill_id"] in problem(answer, 409, "conflict")["detail"]
    cancelled = success(control.api.post("/cancel_backfill?dag_id=daily"))
    assert cancelled["state"] == "completed"
    assert [run["state"] for run in cancelled["runs"]] == ["failed", "failed"]
    problem(control.api.post("/cancel_backfill?dag_id=daily"), 409, "conflict")
    success(control.api.post("/unpause?dag_id=daily"))
    # By then the scheduler has looked at every run that it could start.
    assert _ended(control, _backfill(control, "2020-10-03", "2020-10-03")) == ["success"]
    for run_id in _run_ids(made):
        assert control.marks(run_id) == []


def test_bad_backfills_are_refused(control: Control) -> None:
    for fields, status in (
        ({"dag_id": "nowhere", "start_date": "2020-01-01"}, 404),
        ({"dag_id": "daily"}, 400),
        ({"dag_id": "daily", "start_date": "soon"}, 400),
        ({"dag_id": "daily", "start_date": "2020-02-01", "end_date": "2020-01-01"}, 400),
        ({"dag_id": "daily", "start_date": "2120-02-01"}, 400),
        ({"dag_id": "daily", "start_date": "2016-01-01", "end_date": "2019-12-31"}, 400),
        ({"dag_id": "daily", "start_date": "2020-01-01", "conf": "["}, 400),
        ({"dag_id": "daily", "start_date": "2020-01-01", "task_regex": "("}, 400),
        ({"dag_id": "daily", "start_date": "2020-01-01", "task_regex": "zzz"}, 404),
        ({"dag_id": "daily", "start_date": "2020-01-01", "task_regex": "one", "reprocess": "failed"}, 400),
        ({"dag_id": "daily", "start_date": "2020-01-01T01:00", "end_date": "2020-01-01T02:00"}, 409),
        ({"dag_id": "chain", "start_date": "2020-01-01"}, 409),
    ):
        for dry_run in ("n", "y"):
            sent = {**fields, "dry_run": dry_run}
            answer = control.api.post("/backfill", files={name: (None, text) for name, text in sent.items()})
            if (status, dry_run) == (409, "y") and fields["dag_id"] == "daily":
                assert success(answer)["runs"] == []
            else:
                problem(answer, status, {400: "bad-request", 404: "not-found", 409: "conflict"}[status])
    sent = {"dag_id": (None, "daily"), "start_date": (None, "2020-01-01")}
    problem(control.server.client("viewer").post("/backfill", files=sent), 403, "forbidden")
    problem(control.api.get("/backfill_state?dag_id=chain"), 404, "not-found")
    problem(control.api.get("/backfill_state?dag_id=daily&backfill_id=none"), 404, "not-found")
