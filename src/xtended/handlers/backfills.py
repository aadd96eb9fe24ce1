"""Run a DAG for the logical dates of a range in the past."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xtended import backfilling
from xtended.airflow_host.backfills import Backfill, BackfillRun
from xtended.api import Call
from xtended.backfilling import BackfillRequest
from xtended.naming_runs import date_text

# Of the older command line; nothing here depends on them.
_WITHOUT_EFFECT = ("subdir", "local", "donot_pickle", "include_adhoc", "ignore_first_depends_on_past")


def backfill(call: Call, body: Mapping[str, Any]) -> Mapping[str, Any]:
    options = {name: value for name, value in body.items() if name not in _WITHOUT_EFFECT}
    wanted = BackfillRequest(**options)
    made, runs, tasks = backfilling.start(call, wanted)
    created = sum(1 for run in runs if run.reason is None)
    verb = "would be created" if made is None else "created"
    return {
        "status": "success",
        "message": f"{created} run(s) of {wanted.dag_id} {verb}",
        "dry_run": wanted.dry_run,
        "backfill_id": None if made is None else made.id,
        "tasks": tasks,
        "runs": [_run(run) for run in runs],
    }


def backfill_by_get(call: Call, **query: Any) -> Mapping[str, Any]:
    return backfill(call, query)


def backfill_state(call: Call, dag_id: str, backfill_id: str | None = None) -> Mapping[str, Any]:
    return _state(backfilling.state_of(call, dag_id, backfill_id))


def cancel_backfill(call: Call, dag_id: str, backfill_id: str | None = None) -> Mapping[str, Any]:
    return _state(backfilling.cancel(call, dag_id, backfill_id))


def _state(found: Backfill) -> Mapping[str, Any]:
    return {
        "status": "success",
        "message": f"backfill {found.id} of {found.dag_id} is {found.state}",
        "backfill_id": found.id,
        "dag_id": found.dag_id,
        "state": found.state,
        "startDate": date_text(found.created_at),
        "endDate": date_text(found.completed_at),
        "runs": [_run(run) for run in found.runs],
    }


def _run(run: BackfillRun) -> dict[str, Any]:
    return {
        "execution_date": date_text(run.logical_date),
        "run_id": run.run_id,
        "state": run.state,
        "reason": run.reason,
    }
