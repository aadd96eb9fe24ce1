"""Airflow 3's own backfills, created with all their runs in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice, takewhile
from typing import Any

from airflow._shared.timezones import timezone
from airflow.models.backfill import (
    AlreadyRunningBackfill,
    Backfill,
    BackfillDagRun,
    BackfillDagRunExceptionReason,
    InvalidBackfillConf,
    InvalidBackfillDate,
    InvalidBackfillDateRange,
    InvalidBackfillDirection,
    InvalidReprocessBehavior,
    ReprocessBehavior,
    _create_runs_non_partitioned,
    _create_runs_partitioned,
    _get_dag_run_no_create_reason,
    _get_latest_dag_run_row_query,
    _validate_backfill_params,
)
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunType
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from xtended.airflow_host import backfills
from xtended.airflow_host.airflow3.runs_creation import end_new_tasks
from xtended.airflow_host.backfills import BackfillRun, NewBackfill
from xtended.airflow_host.pools import require_pool, take_pool
from xtended.airflow_host.records import MOST_BACKFILL_RUNS
from xtended.problems import BadRequest, Conflict, NotFound


def planned_runs(session: Session, dag: Any, new: NewBackfill) -> list[BackfillRun]:
    """What `create_backfill` would do for each logical date. Raises BadRequest, Conflict, NotFound."""
    behaviour = ReprocessBehavior(new.reprocess)
    planned = []
    for info in _dates(session, dag, new):
        run = session.scalar(_get_latest_dag_run_row_query(dag_id=dag.dag_id, info=info))
        reason = None if run is None else _get_dag_run_no_create_reason(run, behaviour)
        state = None if run is None else str(run.state)
        run_id = None if run is None or reason else run.run_id
        why = None if reason is None else BackfillDagRunExceptionReason(reason).value
        planned.append(BackfillRun(info.logical_date, run_id, state, why))
    return planned


def create_backfill(session: Session, dag: Any, new: NewBackfill) -> backfills.Backfill:
    """Create the backfill and its runs, whose unwanted tasks have ended.

    Raises BadRequest (dates, conf, too many runs), Conflict (no schedule, no dates, one is running), NotFound.
    """
    # A write is a lock in every database: two requests at a time can't both find no backfill running.
    session.execute(
        update(DagModel).where(DagModel.dag_id == new.dag_id).values(bundle_name=DagModel.bundle_name)
    )
    dates = _dates(session, dag, new)
    running = select(Backfill.id).where(Backfill.dag_id == new.dag_id, Backfill.completed_at.is_(None))
    if (other := session.scalar(running.limit(1))) is not None:
        raise Conflict(f"Backfill {other} of DAG {new.dag_id!r} is still running.", dag_ids=[new.dag_id])
    if not dates:
        raise Conflict(
            f"The schedule of DAG {new.dag_id!r} has no past logical date from {new.start} to {new.end}."
        )
    made = Backfill(
        dag_id=new.dag_id,
        from_date=new.start,
        to_date=new.end,
        max_active_runs=new.max_active_runs,
        dag_run_conf=dict(new.conf),
        reprocess_behavior=ReprocessBehavior(new.reprocess),
        triggering_user_name=new.user,
    )
    session.add(made)
    session.flush()
    with refusals():
        if dates[0].partition_key:
            _create_runs_partitioned(backfill=made, dag=dag, dagrun_info_list=dates, session=session)
        else:
            _create_runs_non_partitioned(
                backfill=made,
                dag=dag,
                dagrun_info_list=dates,
                run_on_latest_version=False,
                session=session,
            )
    session.flush()
    runs = session.execute(select(DagRun.id, DagRun.run_id).where(DagRun.backfill_id == made.id)).all()
    for run in runs:
        end_new_tasks(session, new.dag_id, run.run_id, new.ends)
    if new.pool is not None:
        take_pool(session, new.dag_id, [run.run_id for run in runs], new.pool)
    return _described(session, made)


def find_backfill(session: Session, dag_id: str, backfill_id: str | None) -> backfills.Backfill | None:
    """The backfill of this DAG with this id, or its latest one where that is None."""
    query = select(Backfill).where(Backfill.dag_id == dag_id).order_by(Backfill.id.desc()).limit(1)
    if backfill_id is not None:
        if not backfill_id.isdecimal() or len(backfill_id) > 9:
            return None
        query = query.where(Backfill.id == int(backfill_id))
    found = session.scalars(query).first()
    return None if found is None else _described(session, found)


def _described(session: Session, found: Backfill) -> backfills.Backfill:
    rows = session.execute(
        select(BackfillDagRun.logical_date, BackfillDagRun.exception_reason, DagRun.run_id, DagRun.state)
        .join(DagRun, DagRun.id == BackfillDagRun.dag_run_id, isouter=True)
        .where(BackfillDagRun.backfill_id == found.id)
        .order_by(BackfillDagRun.sort_ordinal)
    )
    unfinished = "paused" if found.is_paused else "running"
    return backfills.Backfill(
        id=str(found.id),
        dag_id=found.dag_id,
        state="completed" if found.completed_at else unfinished,  # type: ignore[arg-type]
        created_at=found.created_at,
        completed_at=found.completed_at,
        runs=tuple(
            BackfillRun(
                row.logical_date,
                row.run_id,
                None if row.state is None else str(row.state),
                row.exception_reason,
            )
            for row in rows
        ),
    )


def cancel_backfill(session: Session, backfill: backfills.Backfill) -> None:
    """Fail the runs that wait, and complete the backfill; runs that have started go on."""
    now = timezone.utcnow()
    key = int(backfill.id)
    session.execute(
        update(Backfill).where(Backfill.id == key).values(is_paused=True, completed_at=now, updated_at=now)
    )
    session.execute(
        update(DagRun)
        .where(DagRun.backfill_id == key, DagRun.state == DagRunState.QUEUED)
        .values(state=DagRunState.FAILED, end_date=now)
        .execution_options(synchronize_session=False)
    )


def _dates(session: Session, dag: Any, new: NewBackfill) -> list[Any]:
    """Airflow's own record of each run to create, in their order."""
    if dag is None:
        raise NotFound(f"DAG {new.dag_id!r} has not been serialised.")
    allowed = session.scalar(select(DagModel.allowed_run_types).where(DagModel.dag_id == new.dag_id))
    if allowed is not None and DagRunType.BACKFILL_JOB not in allowed:
        raise Conflict(f"DAG {new.dag_id!r} does not allow backfills.", dag_ids=[new.dag_id])
    if not dag.timetable.periodic:
        raise Conflict(f"DAG {new.dag_id!r} has no schedule with dates to fill.", dag_ids=[new.dag_id])
    if new.pool is not None:
        require_pool(session, new.pool)
    with refusals():
        _validate_backfill_params(
            dag,
            new.reverse,
            new.start,
            new.end,
            ReprocessBehavior(new.reprocess),
            dict(new.conf) or None,
        )
    now = timezone.utcnow()
    infos = dag.iter_dagrun_infos_between(new.start, new.end)
    if not dag.timetable.partitioned:
        # Not a mere filter: the end may be far in the future.
        infos = takewhile(lambda info: info.data_interval and info.data_interval.end < now, infos)
    found = list(islice(infos, MOST_BACKFILL_RUNS + 1))
    if len(found) > MOST_BACKFILL_RUNS:
        raise BadRequest(f"That is more than {MOST_BACKFILL_RUNS} runs; take a shorter range.")
    return found[::-1] if new.reverse else found


@contextmanager
def refusals() -> Iterator[None]:
    """Airflow's refusals of a backfill as problems."""
    try:
        yield
    except (InvalidBackfillDateRange, InvalidBackfillDate, InvalidBackfillConf) as error:
        raise BadRequest(str(error)) from None
    except (AlreadyRunningBackfill, InvalidBackfillDirection, InvalidReprocessBehavior) as error:
        raise Conflict(str(error)) from None
