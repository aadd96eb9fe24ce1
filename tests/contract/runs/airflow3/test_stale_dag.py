"""Airflow 3 keeps the tasks of a DAG that its file no longer defines."""

from __future__ import annotations

from contract import dag_files
from contract.checks import success
from contract.runs.conftest import Control


def test_the_tasks_of_a_stale_dag_are_kept(control: Control) -> None:
    for dag_id in ("leaves", "comes"):
        sent = {"dag_file": ("changing.py", dag_files.dag(dag_id))}
        success(control.api.post("/deploy_dag", files=sent, data={"otf_sync": "y", "force": "y"}))
    answer = control.api.get("/list_tasks?dag_id=leaves")
    assert success(answer)["message"] == "hello"
