"""Control whole runs of a DAG."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xtended import running
from xtended.api import Call
from xtended.naming_runs import date_text
from xtended.running import RunRef, Selection


def restart_failed_task(
    call: Call, dag_id: str, run_id: str | None = None, execution_date: str | None = None
) -> Mapping[str, Any]:
    failed, cleared = running.restart_failed(call, RunRef(dag_id, run_id, execution_date))
    counts = {"failed_task_count": failed, "clear_task_count": cleared}
    return {"status": "success", "message": counts, **counts}


def run_task_instance(call: Call, body: Mapping[str, Any]) -> Mapping[str, Any]:
    selection = Selection(
        dag_id=body["dag_id"],
        run_id=body.get("run_id"),
        tasks=[name.strip() for name in body.get("tasks", "").split(",") if name.strip()],
        regex=body.get("regex"),
        conf=body.get("conf"),
        execution_date=body.get("execution_date"),
    )
    run, tasks = running.run_selected(call, selection)
    return {
        "status": "success",
        "message": f"run {run.run_id} of {run.dag_id} runs {len(tasks)} task(s)",
        "execution_date": date_text(run.logical_date),
        "run_id": run.run_id,
        "tasks": tasks,
    }


# The older GET form differs in the spec alone: deprecated, and without the session cookie.
restart_failed_task_by_get = restart_failed_task
