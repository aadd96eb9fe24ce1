"""Which pool task instances run in, on either host."""

from __future__ import annotations

from collections.abc import Sequence

from airflow.models.pool import Pool
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from xtended.airflow_host.records import CHUNK
from xtended.problems import NotFound


def require_pool(session: Session, pool: str) -> None:
    """Raises NotFound where there is no such pool."""
    if session.scalar(select(Pool.id).where(Pool.pool == pool)) is None:
        raise NotFound(f"There is no pool {pool!r}.")


def take_pool(session: Session, dag_id: str, run_ids: Sequence[str], pool: str) -> None:
    """Have every task instance of these runs run in this pool."""
    for start in range(0, len(run_ids), CHUNK):
        session.execute(
            update(TaskInstance)
            .where(TaskInstance.dag_id == dag_id, TaskInstance.run_id.in_(run_ids[start : start + CHUNK]))
            .values(pool=pool)
            .execution_options(synchronize_session=False)
        )
