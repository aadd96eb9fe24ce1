"""Clearing task instances in Airflow 2 as sets: what its own `clear_task_instances` does one by one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from airflow.jobs.job import Job
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.taskreschedule import TaskReschedule
from airflow.utils.state import DagRunState, JobState, State, TaskInstanceState
from sqlalchemy import delete, func, select, tuple_, update
from sqlalchemy.orm import Session

from xtended.airflow_host.records import chunks
from xtended.airflow_host.runs import Instance
from xtended.airflow_host.runs_tries import record_tries, stop_clocks


def clear_instances(session: Session, run: DagRun, dag: Any, instances: Sequence[Instance]) -> None:
    """Clear these instances of `run`, whose DAG is `dag`, and queue the run again where it has finished."""
    stop_clocks(session, run.dag_id, run.run_id, instances, datetime.now(UTC))
    for part in chunks(instances):
        keys = [(instance.task_id, instance.map_index) for instance in part]
        columns = TaskInstance.__table__.c
        shown = func.coalesce(columns.task_display_name, columns.task_id)
        record_tries(session, _among(columns, run, keys), {"task_display_name": shown})
        _forget_reschedules(session, run, part)
        query = select(TaskInstance).where(_among(TaskInstance, run, keys))
        for row in session.scalars(query.execution_options(populate_existing=True)):
            if row.state == TaskInstanceState.RUNNING:
                # Its job sees this, ends the process, and has the task tried again.
                row.state = TaskInstanceState.RESTARTING
            else:
                _reset(row, dag)
        session.flush()
    jobs = [instance.native for instance in instances if instance.state == TaskInstanceState.RUNNING]
    for ids in chunks(jobs):
        session.execute(
            update(Job)
            .where(Job.id.in_(ids))
            .values(state=JobState.RESTARTING)
            .execution_options(synchronize_session=False)
        )
    _requeue(run)
    session.flush()


def _among(columns: Any, run: DagRun, keys: Sequence[tuple[str, int]]) -> Any:
    """Condition for the task instances of a run with these task ids and map indexes."""
    return (
        (columns.dag_id == run.dag_id)
        & (columns.run_id == run.run_id)
        & tuple_(columns.task_id, columns.map_index).in_(keys)
    )


def _forget_reschedules(session: Session, run: DagRun, instances: Sequence[Instance]) -> None:
    tries = [(instance.task_id, instance.map_index, instance.try_number) for instance in instances]
    session.execute(
        delete(TaskReschedule)
        .where(
            TaskReschedule.dag_id == run.dag_id,
            TaskReschedule.run_id == run.run_id,
            tuple_(TaskReschedule.task_id, TaskReschedule.map_index, TaskReschedule.try_number).in_(tries),
        )
        .execution_options(synchronize_session=False)
    )


def _reset(instance: TaskInstance, dag: Any) -> None:
    if dag is not None and dag.has_task(instance.task_id):
        task = dag.get_task(instance.task_id)
        instance.refresh_from_task(task)
        instance.max_tries = instance.try_number + task.retries
    else:
        instance.max_tries = max(instance.max_tries, instance.try_number)
    instance.state = None
    instance.external_executor_id = None
    instance.clear_next_method_args()


def _requeue(run: DagRun) -> None:
    if run.state in State.finished_dr_states:
        run.state = DagRunState.QUEUED
        run.last_scheduling_decision = None
        run.start_date = None
        run.clear_number += 1
