"""Airflow 3 has runs without a logical date, and starts a task at once that was cleared while it ran."""

from __future__ import annotations

from contract.checks import success
from contract.runs.conftest import Control, until


def test_a_run_may_have_no_logical_date(control: Control) -> None:
    control.trigger("chain", "undated")
    assert control.finished("chain", "undated") == "success"
    assert success(control.api.get("/dag_state?dag_id=chain&run_id=undated"))["execution_date"] is None


def test_a_task_that_is_cleared_while_it_runs_starts_again_at_once(control: Control) -> None:
    control.trigger("patient", "patient", {"sleep": 60})
    until(lambda: control.marks("patient"), lambda marks: marks == ["waits"], lambda: None)
    success(control.api.post("/clear?dag_id=patient&run_id=patient"))
    until(lambda: control.marks("patient"), lambda marks: marks == ["waits", "waits"], lambda: None)
    success(control.api.post("/kill_running_tasks?dag_id=patient&run_id=patient"))
