"""Airflow 2 gives every run a logical date, and lets a task wait for its retry that was cleared while it ran."""

from __future__ import annotations

from contract.checks import success
from contract.runs.conftest import Control


def test_every_run_has_a_logical_date(control: Control) -> None:
    control.trigger("chain", "dated-anyway")
    assert control.finished("chain", "dated-anyway") == "success"
    assert (
        success(control.api.get("/dag_state?dag_id=chain&run_id=dated-anyway"))["execution_date"] is not None
    )


def test_a_task_that_is_cleared_while_it_runs_waits_for_its_retry_delay(control: Control) -> None:
    control.trigger("patient", "patient", {"sleep": 60})
    control.reach("patient", "patient", waits="running")
    success(control.api.post("/clear?dag_id=patient&run_id=patient"))
    control.reach("patient", "patient", waits="up_for_retry")
    success(control.api.post("/kill_running_tasks?dag_id=patient&run_id=patient"))
    assert control.marks("patient") == ["waits"]
