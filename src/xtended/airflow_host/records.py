"""What both hosts do alike to the records of DAGs in Airflow's database."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from airflow.api.common.delete_dag import delete_dag
from airflow.exceptions import AirflowException, DagNotFound
from airflow.models.log import Log
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from xtended.airflow_host.base import AuditEntry
from xtended.problems import Conflict, NotFound, Unavailable

X = TypeVar("X")

log = logging.getLogger(__name__)

CHUNK = 500
"""Values in one statement: databases limit them, and SQLite's limit is the lowest."""

PORTION = 100
"""Files to publish at a time: what Airflow makes of a DAG for that takes far more memory than the DAG."""

MOST_BACKFILL_RUNS = 1000
"""Runs that one request may create: they appear in one transaction, which nothing else can write beside."""


def chunks(values: Sequence[X], size: int = CHUNK) -> Iterator[Sequence[X]]:
    """The values in parts, of what one statement takes unless told otherwise."""
    return (values[start : start + size] for start in range(0, len(values), size))


@contextmanager
def refusals_as_problems() -> Iterator[None]:
    """Raise Unavailable where the database is busy or away, rather than fail."""
    try:
        yield
    except OperationalError:
        log.warning("The metadata database refused to serve a request", exc_info=True)
        raise refused() from None


def refused() -> Unavailable:
    return Unavailable(
        "The metadata database did not answer in time. Nothing was changed; try again.",
        headers={"Retry-After": "2"},
    )


def split_owners(owners: str | None) -> tuple[str, ...]:
    """The owners of a DAG, which Airflow keeps in one column."""
    return tuple(name.strip() for name in (owners or "").split(",") if name.strip())


def delete_records(session: Session, dag_id: str) -> None:
    """Delete what Airflow knows of a DAG. Raises NotFound, and Conflict where its tasks still run."""
    try:
        delete_dag(dag_id, session=session)
    except DagNotFound:
        raise NotFound(f"DAG {dag_id!r} is not known to Airflow.") from None
    except AirflowException:
        raise Conflict(f"Tasks of DAG {dag_id!r} are still running.", dag_ids=[dag_id]) from None


def write_audit(session: Session, entry: AuditEntry) -> None:
    """One line for each DAG, so that each DAG's own audit page shows it; one line where there is none."""
    extra = json.dumps(dict(entry.details), default=list, sort_keys=True)
    for dag_id in entry.dag_ids or (None,):
        session.add(
            Log(
                event=entry.event,
                owner=entry.user.name,
                owner_display_name=entry.user.name,
                extra=extra,
                dag_id=dag_id,
            )
        )
