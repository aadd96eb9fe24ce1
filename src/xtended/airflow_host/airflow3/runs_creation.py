"""A new run in Airflow 3, with the tasks that must not run already in their end states."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any

from airflow._shared.timezones import timezone
from airflow.exceptions import AirflowException, ParamValidationError
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance, TaskInstanceNote
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from xtended.airflow_host.records import CHUNK
from xtended.airflow_host.runs import NewRun
from xtended.problems import BadRequest, Conflict, NotFound


def create_run(session: Session, dag: Any, new: NewRun) -> int:
    """Create the run and end the tasks of `new.ends`; answers the run's key.

    All of it is in the caller's transaction: no scheduler sees the run before its tasks have these states.
    """
    if dag is None:
        raise NotFound(f"DAG {new.dag_id!r} has not been serialised.")
    _refuse_existing(session, new)
    allowed = session.scalar(select(DagModel.allowed_run_types).where(DagModel.dag_id == new.dag_id))
    if allowed is not None and DagRunType.MANUAL not in allowed:
        raise Conflict(f"DAG {new.dag_id!r} does not allow manual runs.", dag_ids=[new.dag_id])
    now = timezone.utcnow()
    date = new.logical_date
    interval = None if date is None else dag.timetable.infer_manual_data_interval(run_after=date)
    try:
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
    except IntegrityError as error:
        raise Conflict(f"DAG {new.dag_id!r} has a run of this id or logical date already.") from error
    except (ParamValidationError, ValueError) as error:
        raise BadRequest(str(error)) from None
    except AirflowException as error:
        raise Conflict(str(error)) from None
    session.flush()
    _end_tasks(session, run, new, now)
    return int(run.id)


def _refuse_existing(session: Session, new: NewRun) -> None:
    taken = {
        f"run {new.run_id!r}": (DagRun.run_id, new.run_id),
        f"a run of logical date {new.logical_date}": (DagRun.logical_date, new.logical_date),
    }
    for what, (column, value) in taken.items():
        if value is not None and session.scalar(
            select(DagRun.id).where(DagRun.dag_id == new.dag_id, column == value)
        ):
            raise Conflict(f"DAG {new.dag_id!r} has {what} already.", dag_ids=[new.dag_id])


def _end_tasks(session: Session, run: DagRun, new: NewRun, now: datetime) -> None:
    by_state: dict[str, list[str]] = defaultdict(list)
    for task_id, (state, _) in new.ends.items():
        by_state[state].append(task_id)
    mine = (TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id)
    for state, task_ids in by_state.items():
        for start in range(0, len(task_ids), CHUNK):
            session.execute(
                update(TaskInstance)
                .where(*mine, TaskInstance.task_id.in_(task_ids[start : start + CHUNK]))
                .values(state=state, start_date=now, end_date=now, duration=0)
                .execution_options(synchronize_session=False)
            )
    notes = {task_id: note for task_id, (_, note) in new.ends.items() if note}
    if not notes:
        return
    keys = session.execute(select(TaskInstance.id, TaskInstance.task_id).where(*mine))
    rows = [{"ti_id": key, "content": notes[task_id]} for key, task_id in keys if task_id in notes]
    if rows:
        session.execute(insert(TaskInstanceNote), rows)
