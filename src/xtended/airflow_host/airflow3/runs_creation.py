"""A new run in Airflow 3, with the tasks that must not run already in their end states."""

from __future__ import annotations

from typing import Any

from airflow._shared.timezones import timezone
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance, TaskInstanceNote
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from xtended.airflow_host.runs import NewRun
from xtended.airflow_host.runs_creation import Ends, creation_refusals, end_tasks, refuse_existing
from xtended.problems import Conflict, NotFound


def create_run(session: Session, dag: Any, new: NewRun) -> int:
    """Create the run and end the tasks of `new.ends`; answers the run's key.

    All of it is in the caller's transaction: no scheduler sees the run before its tasks have these states.
    """
    if dag is None:
        raise NotFound(f"DAG {new.dag_id!r} has not been serialised.")
    refuse_existing(session, new, DagRun.logical_date)
    allowed = session.scalar(select(DagModel.allowed_run_types).where(DagModel.dag_id == new.dag_id))
    if allowed is not None and DagRunType.MANUAL not in allowed:
        raise Conflict(f"DAG {new.dag_id!r} does not allow manual runs.", dag_ids=[new.dag_id])
    now = timezone.utcnow()
    date = new.logical_date
    interval = None if date is None else dag.timetable.infer_manual_data_interval(run_after=date)
    with creation_refusals(new):
        run_id = new.run_id or dag.timetable.generate_run_id(
            run_type=DagRunType.MANUAL, run_after=now, data_interval=interval
        )
        run = dag.create_dagrun(
            run_id=run_id,
            logical_date=date,
            data_interval=interval,
            run_after=now,
            conf=dict(new.conf or {}),
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.REST_API,
            triggering_user_name=new.user,
            state=DagRunState.QUEUED,
            note=new.note,
            session=session,
        )
    session.flush()
    end_new_tasks(session, run.dag_id, run.run_id, new.ends)
    return int(run.id)


def end_new_tasks(session: Session, dag_id: str, run_id: str, ends: Ends) -> None:
    """Give these tasks of a new run their end states and notes."""
    notes = end_tasks(session, dag_id, run_id, ends, timezone.utcnow())
    if notes:
        keys = session.execute(
            select(TaskInstance.id, TaskInstance.task_id).where(
                TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id
            )
        )
        rows = [{"ti_id": key, "content": notes[task_id]} for key, task_id in keys if task_id in notes]
        if rows:
            session.execute(insert(TaskInstanceNote), rows)
