"""Control whole runs of a DAG."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xtended import listing, looking, running, starting
from xtended.api import Call
from xtended.listing import FileReport
from xtended.naming_runs import RunRef, date_text
from xtended.problems import BadRequest
from xtended.running import Selection
from xtended.starting import Trigger


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


def dag_state(
    call: Call, dag_id: str, run_id: str | None = None, execution_date: str | None = None
) -> Mapping[str, Any]:
    run = looking.run_of(call, RunRef(dag_id, run_id, execution_date))
    return {
        "status": "success",
        "message": f"run {run.run_id} of {dag_id} is {run.state}",
        "state": run.state,
        "startDate": date_text(run.start_date),
        "endDate": date_text(run.end_date),
        "run_id": run.run_id,
        "execution_date": date_text(run.logical_date),
    }


def list_runs(call: Call, dag_id: str, state: str | None = None, limit: int = 25) -> Mapping[str, Any]:
    runs = looking.newest_runs(call, dag_id, state, limit)
    return {
        "status": "success",
        "message": f"{len(runs)} run(s) of {dag_id}",
        "runs": [
            {
                "run_id": run.run_id,
                "state": run.state,
                "execution_date": date_text(run.logical_date),
                "start_date": date_text(run.start_date),
                "end_date": date_text(run.end_date),
            }
            for run in runs
        ],
    }


def list_dags(call: Call, subdir: str | None = None, *, report: bool = False) -> Mapping[str, Any]:
    dags = listing.readable_dags(call, subdir)
    answer = {
        "status": "success",
        "message": "\n".join(dag.dag_id for dag in dags),
        "dags": [
            {
                "dag_id": dag.dag_id,
                "file": dag.path,
                "bundle": dag.bundle,
                "paused": dag.paused,
                "owners": list(dag.owners),
            }
            for dag in dags
        ],
    }
    if report:
        answer["report"] = [_file_report(file) for file in listing.parse_report(call, subdir)]
    return answer


def _file_report(file: FileReport) -> dict[str, Any]:
    return {
        "file": file.path,
        "bundle": file.bundle,
        "parse_seconds": file.parse_seconds,
        "parsed_at": date_text(file.parsed_at),
        "dag_count": len(file.dag_ids),
        "dag_ids": list(file.dag_ids),
        "import_errors": [problem.public() for problem in file.import_problems],
    }


def trigger_dag(call: Call, body: Mapping[str, Any]) -> Mapping[str, Any]:
    date, older = body.get("logical_date"), body.get("exec_date")
    if date is not None and older is not None and date != older:
        raise BadRequest("logical_date and exec_date are the same thing, and differ here: give one of them.")
    wanted = Trigger(
        body["dag_id"], body.get("run_id"), body.get("conf"), date or older, wait=body.get("wait", False)
    )
    run = starting.trigger(call, wanted)
    return {
        "status": "success",
        "message": f"Created <DagRun {run.dag_id} @ {run.logical_date}: {run.run_id}>",
        "run_id": run.run_id,
        "execution_date": date_text(run.logical_date),
        "state": run.state,
    }


def trigger_dag_by_get(call: Call, **query: Any) -> Mapping[str, Any]:
    return trigger_dag(call, query)


def pause(call: Call, dag_id: str) -> Mapping[str, Any]:
    return _paused(dag_id, now=True, before=starting.set_paused(call, dag_id, paused=True))


def unpause(call: Call, dag_id: str) -> Mapping[str, Any]:
    return _paused(dag_id, now=False, before=starting.set_paused(call, dag_id, paused=False))


def _paused(dag_id: str, *, now: bool, before: bool) -> Mapping[str, Any]:
    message = f"Dag: {dag_id}, paused: {now}"
    return {"status": "success", "message": message, "dag_id": dag_id, "paused": now, "paused_before": before}


# The older GET forms differ in the spec alone: deprecated, and without the session cookie.
restart_failed_task_by_get = restart_failed_task
pause_by_get = pause
unpause_by_get = unpause
