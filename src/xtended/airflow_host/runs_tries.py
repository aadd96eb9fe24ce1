"""What both hosts do alike to the tries of task instances that are cleared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from airflow.models.taskinstance import TaskInstance
from airflow.models.taskinstancehistory import TaskInstanceHistory
from airflow.utils.state import State, TaskInstanceState
from sqlalchemy import bindparam, case, exists, insert, select, update
from sqlalchemy.orm import Session

from xtended.airflow_host.runs import FINISHED, Instance


def one_instance(dag_id: str, run_id: str) -> Any:
    """Condition on the table for one task instance of a run: parameters `which_task` and `which_index`."""
    table = TaskInstance.__table__
    return (
        (table.c.dag_id == dag_id)
        & (table.c.run_id == run_id)
        & (table.c.task_id == bindparam("which_task"))
        & (table.c.map_index == bindparam("which_index"))
    )


def which(instance: Instance) -> dict[str, Any]:
    """The parameters of `one_instance`."""
    return {"which_task": instance.task_id, "which_index": instance.map_index}


def stop_clocks(
    session: Session, dag_id: str, run_id: str, instances: Sequence[Instance], now: datetime
) -> None:
    """Unfinished tries end now, so that their history says how long they took."""
    rows = [
        {
            **which(instance),
            "ended": now,
            "took": (now - instance.start_date).total_seconds() if instance.start_date else None,
        }
        for instance in instances
        if instance.state not in FINISHED and instance.end_date is None
    ]
    if rows:
        session.connection().execute(
            update(TaskInstance.__table__)
            .where(one_instance(dag_id, run_id))
            .values(end_date=bindparam("ended"), duration=bindparam("took")),
            rows,
        )


def record_tries(session: Session, chosen: Any, own: Mapping[str, Any]) -> None:
    """Put the tries of the task instances that `chosen`, a condition, holds for into the history, once each.

    `own` is what the host's history has in columns that a task instance has by another name.
    """
    source, history = TaskInstance.__table__, TaskInstanceHistory.__table__
    finished = sorted(str(state) for state in State.finished if state)
    taken = {
        **{column.name: source.c[column.name] for column in history.columns if column.name in source.c},
        "state": case((source.c.state.in_(finished), source.c.state), else_=TaskInstanceState.FAILED.value),
        **own,
    }
    recorded = exists().where(
        history.c.dag_id == source.c.dag_id,
        history.c.task_id == source.c.task_id,
        history.c.run_id == source.c.run_id,
        history.c.map_index == source.c.map_index,
        history.c.try_number == source.c.try_number,
    )
    tries = select(*taken.values()).where(chosen, ~recorded)
    session.execute(insert(history).from_select(list(taken), tries, include_defaults=False))
