"""Backfills on Airflow 2, which keeps no record of them: the ids of their runs say which one they belong to."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Sequence
from itertools import islice, takewhile
from typing import Any

from airflow.exceptions import ParamValidationError
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from airflow.utils import timezone
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunType
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from xtended.airflow_host.airflow2.runs_creation import end_new_tasks
from xtended.airflow_host.backfills import Backfill, BackfillRun, NewBackfill
from xtended.airflow_host.pools import require_pool, take_pool
from xtended.airflow_host.records import MOST_BACKFILL_RUNS
from xtended.problems import BadRequest, Conflict, NotFound

# Airflow's scheduler leaves runs of the type `backfill` alone, and takes the type from the id's beginning.
_PREFIX = "manual__backfill_"
_UNFINISHED = (DagRunState.QUEUED, DagRunState.RUNNING)


def planned_runs(session: Session, dag: Any, new: NewBackfill) -> list[BackfillRun]:
    """What `create_backfill` would do for each logical date. Raises BadRequest, Conflict, NotFound."""
    return [
        _existing(session, new.dag_id, info) or BackfillRun(info.logical_date)
        for info in _dates(session, dag, new)
    ]


def create_backfill(session: Session, dag: Any, new: NewBackfill) -> Backfill:
    """Create the runs, whose unwanted tasks have ended; also answers which dates have a run already.

    Raises BadRequest (dates, conf, too many runs), Conflict (no schedule, no dates, one is running), NotFound.
    """
    # A write is a lock in every database: two requests at a time can't both find no backfill running.
    session.execute(update(DagModel).where(DagModel.dag_id == new.dag_id).values(fileloc=DagModel.fileloc))
    dates = _dates(session, dag, new)
    latest = find_backfill(session, new.dag_id, None)
    if latest is not None and latest.state == "running":
        raise Conflict(f"Backfill {latest.id} of DAG {new.dag_id!r} is still running.", dag_ids=[new.dag_id])
    if not dates:
        raise Conflict(
            f"The schedule of DAG {new.dag_id!r} has no past logical date from {new.start} to {new.end}."
        )
    token = secrets.token_hex(4)
    digest = SerializedDagModel.get_latest_version_hash(new.dag_id, session=session)
    found = []
    for info in dates:
        existing = _existing(session, new.dag_id, info)
        if existing is not None:
            found.append(existing)
            continue
        run = dag.create_dagrun(
            run_id=f"{_PREFIX}{token}__{info.logical_date.isoformat()}",
            execution_date=info.logical_date,
            data_interval=info.data_interval,
            conf=dict(new.conf),
            run_type=DagRunType.MANUAL,
            external_trigger=True,
            dag_hash=digest,
            state=DagRunState.QUEUED,
            session=session,
        )
        session.flush()
        end_new_tasks(session, new.dag_id, run.run_id, new.ends)
        found.append(BackfillRun(info.logical_date, run.run_id, str(DagRunState.QUEUED.value)))
    if not any(run.run_id for run in found):
        raise Conflict(f"DAG {new.dag_id!r} has a run for each of these dates already.", dag_ids=[new.dag_id])
    if new.pool is not None:
        take_pool(session, new.dag_id, [run.run_id for run in found if run.run_id], new.pool)
    return Backfill(token, new.dag_id, "running", timezone.utcnow(), None, tuple(found))


def find_backfill(session: Session, dag_id: str, backfill_id: str | None) -> Backfill | None:
    """The backfill of this DAG with this id, or its latest one where that is None."""
    query = select(DagRun).where(DagRun.dag_id == dag_id)
    if backfill_id is None:
        begun = query.where(DagRun.run_id.startswith(_PREFIX, autoescape=True)).order_by(DagRun.id.desc())
        newest = session.scalars(begun.limit(1)).first()
        if newest is None:
            return None
        backfill_id = newest.run_id.removeprefix(_PREFIX).partition("__")[0]
    mine = query.where(DagRun.run_id.startswith(f"{_PREFIX}{backfill_id}__", autoescape=True))
    runs: Sequence[Any] = session.scalars(mine.order_by(DagRun.execution_date)).all()
    if not runs:
        return None
    unfinished = any(run.state in _UNFINISHED for run in runs)
    return Backfill(
        id=backfill_id,
        dag_id=dag_id,
        state="running" if unfinished else "completed",
        created_at=min((run.queued_at for run in runs if run.queued_at), default=None),
        completed_at=None
        if unfinished
        else max((run.end_date for run in runs if run.end_date), default=None),
        runs=tuple(BackfillRun(run.execution_date, run.run_id, str(run.state)) for run in runs),
    )


def cancel_backfill(session: Session, backfill: Backfill) -> None:
    """Fail the runs that wait; runs that have started go on."""
    session.execute(
        update(DagRun)
        .where(
            DagRun.dag_id == backfill.dag_id,
            DagRun.run_id.startswith(f"{_PREFIX}{backfill.id}__", autoescape=True),
            DagRun.state == DagRunState.QUEUED,
        )
        .values(state=DagRunState.FAILED, end_date=timezone.utcnow())
        .execution_options(synchronize_session=False)
    )


def _dates(session: Session, dag: Any, new: NewBackfill) -> list[Any]:
    """Airflow's own record of each run to create."""
    if dag is None:
        raise NotFound(f"DAG {new.dag_id!r} has not been serialised.")
    if new.reprocess != "none":
        raise Conflict("Airflow 2 keeps no record of backfills, so they can't take over runs; use clear.")
    if not dag.timetable.periodic:
        raise Conflict(f"DAG {new.dag_id!r} has no schedule with dates to fill.", dag_ids=[new.dag_id])
    if new.pool is not None:
        require_pool(session, new.pool)
    now = timezone.utcnow()
    if new.start > new.end:
        raise BadRequest("start_date is after end_date.")
    if new.start >= now:
        raise BadRequest("A backfill is for dates in the past.")
    try:
        params = copy.deepcopy(dag.params)
        params.update(dict(new.conf))
        params.validate()
    except (ParamValidationError, ValueError) as error:
        raise BadRequest(str(error)) from None
    infos = takewhile(
        lambda info: info.data_interval.end < now, dag.iter_dagrun_infos_between(new.start, new.end)
    )
    found = list(islice(infos, MOST_BACKFILL_RUNS + 1))
    if len(found) > MOST_BACKFILL_RUNS:
        raise BadRequest(f"That is more than {MOST_BACKFILL_RUNS} runs; take a shorter range.")
    return found


def _existing(session: Session, dag_id: str, info: Any) -> BackfillRun | None:
    state = session.scalar(
        select(DagRun._state).where(DagRun.dag_id == dag_id, DagRun.execution_date == info.logical_date)
    )
    if state is None:
        return None
    reason = "in flight" if state in _UNFINISHED else "already exists"
    return BackfillRun(info.logical_date, None, str(state), reason)
