"""Clearing task instances in Airflow 3 as sets: what its own `clear_task_instances` does one by one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from airflow import settings
from airflow._shared.observability.traces import (
    TASK_SPAN_DETAIL_LEVEL_KEY,
    new_dagrun_trace_carrier,
    new_task_run_carrier,
)
from airflow._shared.timezones import timezone
from airflow.configuration import conf
from airflow.models.dag_version import DagVersion
from airflow.models.dagrun import DagRun, dagrun_trace_attributes
from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import (
    TaskInstance,
    _recalculate_dagrun_queued_at_deadlines,
    clear_task_instances,
    uuid7,
)
from airflow.models.taskreschedule import TaskReschedule
from airflow.utils.state import DagRunState, State, TaskInstanceState
from sqlalchemy import bindparam, delete, exists, null, select, update
from sqlalchemy.orm import Session

from xtended.airflow_host.records import chunks
from xtended.airflow_host.runs import Instance
from xtended.airflow_host.runs_tries import record_tries, stop_clocks


def clear_instances(session: Session, run: DagRun, dag: Any, instances: Sequence[Instance]) -> None:
    """Clear these instances of `run`, whose DAG is `dag`, and queue the run again where it has finished.

    Airflow's own function is taken where a run moves to another DAG version, or a cluster policy has a say
    in each task instance: those are decided one by one.
    """
    keys = [instance.native for instance in instances]
    latest = DagVersion.get_latest_version(run.dag_id, session=session)
    moves = run.created_dag_version_id is None or (
        _wants_latest(dag) and latest is not None and latest.id != run.created_dag_version_id
    )
    has_form_of_input = any(
        session.scalar(select(exists().where(HITLDetail.ti_id.in_(part)))) for part in chunks(keys)
    )
    if moves or has_form_of_input or not getattr(settings.task_instance_mutation_hook, "is_noop", False):
        clear_task_instances(
            [ti for part in chunks(keys) for ti in _rows(session, part)],
            session,
            DagRunState.QUEUED,
            run_on_latest_version=moves,
        )
        return
    now = timezone.utcnow()
    stop_clocks(session, run.dag_id, run.run_id, instances, now)
    for part in chunks(keys):
        table = TaskInstance.__table__
        record_tries(session, table.c.id.in_(part), {"task_instance_id": table.c.id})
        session.execute(
            delete(TaskReschedule)
            .where(TaskReschedule.ti_id.in_(part))
            .execution_options(synchronize_session=False)
        )
    _requeue(session, run, now)
    _refresh_changed(session, run, dag, keys, latest)
    _reset(session, run, dag, instances, now)


def _wants_latest(dag: Any) -> bool:
    wanted = getattr(dag, "rerun_with_latest_version", None)
    if wanted is not None:
        return bool(wanted)
    return conf.getboolean("core", "rerun_with_latest_version", fallback=False)


def _rows(session: Session, keys: Sequence[Any]) -> Iterable[TaskInstance]:
    return session.scalars(
        select(TaskInstance).where(TaskInstance.id.in_(keys)).execution_options(populate_existing=True)
    )


def _requeue(session: Session, run: DagRun, now: datetime) -> None:
    run.clear_number += 1
    run.queued_at = now
    run.context_carrier = new_dagrun_trace_carrier(
        task_span_detail_level=run.conf.get(TASK_SPAN_DETAIL_LEVEL_KEY) if run.conf else None,
        attributes=dagrun_trace_attributes(run),
    )
    _recalculate_dagrun_queued_at_deadlines(run, now, session)
    if run.state in State.finished_dr_states:
        run.state = DagRunState.QUEUED
        run.last_scheduling_decision = None
        run.start_date = None
    session.flush()


def _refresh_changed(
    session: Session, run: DagRun, dag: Any, keys: Sequence[Any], latest: DagVersion | None
) -> None:
    """Take over pool, queue, priority, ... from the DAG where another version of it made the instance."""
    current = latest.id if latest is not None and not run.bundle_version else run.created_dag_version_id
    for part in chunks(keys):
        outdated = session.scalars(
            select(TaskInstance).where(
                TaskInstance.id.in_(part), TaskInstance.dag_version_id.is_distinct_from(current)
            )
        )
        for instance in outdated:
            if dag is not None and dag.has_task(instance.task_id):
                instance.refresh_from_task(dag.get_task(instance.task_id), dag_run=run)
            if instance.dag_version_id is None:
                instance.dag_version_id = run.created_dag_version_id
    session.flush()
    session.expire_all()


def _reset(session: Session, run: DagRun, dag: Any, instances: Sequence[Instance], now: datetime) -> None:
    """New identities and no state; a running one is told to restart and keeps its place with its executor."""
    table, carrier = TaskInstance.__table__, run.context_carrier
    started = [instance for instance in instances if instance.state == TaskInstanceState.RUNNING]
    others = [instance for instance in instances if instance.state != TaskInstanceState.RUNNING]
    common: dict[str, Any] = {
        "id": bindparam("new_id"),
        "context_carrier": bindparam("carrier"),
        "updated_at": now,
    }
    identify = update(table).where(table.c.id == bindparam("key"))
    if started:
        session.connection().execute(
            identify.values(**common, state=TaskInstanceState.RESTARTING.value),
            [_identity(instance, carrier) for instance in started],
        )
    if others:
        session.connection().execute(
            identify.values(
                **common,
                state=null(),
                max_tries=bindparam("tries"),
                external_executor_id=null(),
                next_method=null(),
                next_kwargs=null(),
            ),
            [{**_identity(instance, carrier), "tries": _max_tries(instance, dag)} for instance in others],
        )


def _identity(instance: Instance, carrier: Any) -> dict[str, Any]:
    return {"key": instance.native, "new_id": uuid7(), "carrier": new_task_run_carrier(carrier)}


def _max_tries(instance: Instance, dag: Any) -> int:
    if dag is None or not dag.has_task(instance.task_id):
        return max(instance.max_tries, instance.try_number)
    return int(instance.try_number + dag.get_task(instance.task_id).retries)
