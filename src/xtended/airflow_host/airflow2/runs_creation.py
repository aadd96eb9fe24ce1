"""A new run in Airflow 2, with the tasks that must not run already in their end states."""

from __future__ import annotations

from typing import Any

from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance, TaskInstanceNote
from airflow.utils import timezone
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunType
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from xtended.airflow_host.runs import NewRun
from xtended.airflow_host.runs_creation import Ends, creation_refusals, end_tasks, refuse_existing
from xtended.problems import BadRequest, NotFound


def create_run(session: Session, dag: Any, new: NewRun) -> int:
    """Create the run and end the tasks of `new.ends`; answers the run's key.

    All of it is in the caller's transaction: no scheduler sees the run before its tasks have these states.
    Every run has a logical date here: one without gets the time of its creation.
    """
    if dag is None:
        raise NotFound(f"DAG {new.dag_id!r} has not been serialised.")
    refuse_existing(session, new, DagRun.execution_date)
    now = timezone.utcnow()
    date = timezone.coerce_datetime(new.logical_date or now)
    _refuse_run_id(new.run_id)
    with creation_refusals(new):
        run = dag.create_dagrun(
            run_id=new.run_id,
            execution_date=date,
            data_interval=dag.timetable.infer_manual_data_interval(run_after=date),
            conf=dict(new.conf or {}),
            run_type=DagRunType.MANUAL,
            external_trigger=True,
            dag_hash=SerializedDagModel.get_latest_version_hash(new.dag_id, session=session),
            state=DagRunState.QUEUED,
            session=session,
        )
    if new.note is not None:
        run.note = new.note
    session.flush()
    end_new_tasks(session, run.dag_id, run.run_id, new.ends)
    return int(run.id)


def end_new_tasks(session: Session, dag_id: str, run_id: str, ends: Ends) -> None:
    """Give these tasks of a new run their end states and notes."""
    notes = end_tasks(session, dag_id, run_id, ends, timezone.utcnow())
    if notes:
        of_run = {"dag_id": dag_id, "run_id": run_id}
        keys = session.execute(select(TaskInstance.task_id, TaskInstance.map_index).filter_by(**of_run))
        rows = [
            {**of_run, "task_id": task_id, "map_index": map_index, "content": notes[task_id]}
            for task_id, map_index in keys
            if task_id in notes
        ]
        if rows:
            session.execute(insert(TaskInstanceNote), rows)


def _refuse_run_id(run_id: str | None) -> None:
    """Ask Airflow's own rule for ids; `create_dagrun` raises the same exception for other reasons too."""
    try:
        DagRun(run_id=run_id)
    except ValueError as error:
        raise BadRequest(str(error)) from None
