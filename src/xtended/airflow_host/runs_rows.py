"""Rows of runs and task instances, as the seam's records and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from airflow.models.taskinstance import TaskInstance
from sqlalchemy.engine import Row

from xtended.airflow_host.runs import Instance, Run
from xtended.airflow_host.runs_tries import which

INSTANCE = (
    TaskInstance.task_id,
    TaskInstance.map_index,
    TaskInstance.state,
    TaskInstance.try_number,
    TaskInstance.max_tries,
    TaskInstance.start_date,
    TaskInstance.end_date,
    TaskInstance.duration,
    TaskInstance.operator,
    TaskInstance.hostname,
    TaskInstance.pid,
)


def run_of(row: Row[Any]) -> Run:
    return Run(
        row.dag_id, row.run_id, row.logical_date, str(row.state), row.start_date, row.end_date, native=row.id
    )


def instance_of(row: Row[Any]) -> Instance:
    return Instance(
        task_id=row.task_id,
        map_index=row.map_index,
        state=None if row.state is None else str(row.state),
        try_number=row.try_number,
        max_tries=row.max_tries,
        start_date=row.start_date,
        end_date=row.end_date,
        duration=row.duration,
        operator=row.operator,
        hostname=row.hostname,
        pid=row.pid,
        native=row.native,
    )


def ending(instance: Instance, state: str, now: datetime) -> Mapping[str, Any]:
    started = instance.start_date or now
    ended = instance.end_date if instance.state in ("success", "failed", "skipped") else now
    ended = max(ended or now, started)
    return {
        **which(instance),
        "new_state": state,
        "new_start_date": started,
        "new_end_date": ended,
        "new_duration": (ended - started) / timedelta(seconds=1),
    }
