"""What both hosts do alike around the creation of a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from airflow.exceptions import AirflowException, ParamValidationError
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from xtended.airflow_host.records import CHUNK
from xtended.airflow_host.runs import NewRun
from xtended.problems import BadRequest, Conflict

# End states and notes, by task, as `NewRun` has them.
Ends = Mapping[str, tuple[str, str | None]]


def refuse_existing(session: Session, new: NewRun, logical_date: Any) -> None:
    """Raise Conflict where the DAG has this run; `logical_date` is the host's column of that."""
    taken = {
        f"run {new.run_id!r}": (DagRun.run_id, new.run_id),
        f"a run of logical date {new.logical_date}": (logical_date, new.logical_date),
    }
    for what, (column, value) in taken.items():
        if value is not None and session.scalar(
            select(DagRun.id).where(DagRun.dag_id == new.dag_id, column == value)
        ):
            raise Conflict(f"DAG {new.dag_id!r} has {what} already.", dag_ids=[new.dag_id])


@contextmanager
def creation_refusals(new: NewRun) -> Iterator[None]:
    """What Airflow raises when it creates a run, as problems."""
    try:
        yield
    except IntegrityError as error:
        raise Conflict(f"DAG {new.dag_id!r} has a run of this id or logical date already.") from error
    except (ParamValidationError, ValueError) as error:
        raise BadRequest(str(error)) from None
    except AirflowException as error:
        raise Conflict(str(error)) from None


def end_tasks(session: Session, dag_id: str, run_id: str, ends: Ends, now: datetime) -> dict[str, str]:
    """Give these tasks of a new run their end states. Answers the notes to leave, by task."""
    by_state: dict[str, list[str]] = defaultdict(list)
    for task_id, (state, _) in ends.items():
        by_state[state].append(task_id)
    for state, task_ids in by_state.items():
        for start in range(0, len(task_ids), CHUNK):
            session.execute(
                update(TaskInstance)
                .where(
                    TaskInstance.dag_id == dag_id,
                    TaskInstance.run_id == run_id,
                    TaskInstance.task_id.in_(task_ids[start : start + CHUNK]),
                )
                .values(state=state, start_date=now, end_date=now, duration=0)
                .execution_options(synchronize_session=False)
            )
    return {task_id: note for task_id, (_, note) in ends.items() if note}
