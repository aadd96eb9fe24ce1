"""Runs in Airflow 3's tables: what differs from Airflow 2's."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from airflow.models.dag import DagModel
from airflow.models.dag_version import DagVersion
from airflow.models.dagbag import CachedDBDagBag
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.serialization.definitions.mappedoperator import is_mapped
from airflow.utils.session import create_session
from sqlalchemy import update
from sqlalchemy.orm import Session

from xtended.airflow_host.airflow3 import backfills
from xtended.airflow_host.airflow3.runs_clearing import clear_instances
from xtended.airflow_host.airflow3.runs_creation import create_run
from xtended.airflow_host.backfills import Backfill, BackfillRun, NewBackfill
from xtended.airflow_host.runs import Instance, NewRun

# What one process keeps of deserialised DAGs, as the api-server itself does by default.
DAGS_KEPT = 64
DAG_SECONDS = 3600


class RunTables:
    """`runs_tables.RunTables` of Airflow 3."""

    def __init__(self) -> None:
        self.logical_date = DagRun.logical_date
        self.stale = DagModel.is_stale
        self.instance = TaskInstance.id
        self._dags = CachedDBDagBag(
            load_op_links=False, cache_size=DAGS_KEPT, cache_ttl=DAG_SECONDS, stats_prefix="xtended.dag_bag"
        )

    def reading(self) -> AbstractContextManager[Session]:
        return create_session(scoped=False)

    def changing(self) -> AbstractContextManager[Session]:
        return create_session(scoped=False)

    def dag(self, session: Session, dag_id: str, run: DagRun | None) -> Any:
        if run is not None:
            return self._dags.get_dag_for_run(run, session=session)
        version = DagVersion.get_latest_version(dag_id, session=session)
        return None if version is None else self._dags.get_dag(version.id, session=session)

    def is_mapped(self, task: Any) -> bool:
        return is_mapped(task)

    def clear(self, session: Session, run: DagRun, dag: Any, instances: Sequence[Instance]) -> None:
        clear_instances(session, run, dag, instances)

    def create(self, session: Session, dag: Any, new: NewRun) -> int:
        return create_run(session, dag, new)

    def planned_runs(self, session: Session, dag: Any, new: NewBackfill) -> list[BackfillRun]:
        return backfills.planned_runs(session, dag, new)

    def backfill(self, session: Session, dag_id: str, backfill_id: str | None) -> Backfill | None:
        return backfills.find_backfill(session, dag_id, backfill_id)

    def create_backfill(self, session: Session, dag: Any, new: NewBackfill) -> Backfill:
        return backfills.create_backfill(session, dag, new)

    def cancel_backfill(self, session: Session, backfill: Backfill) -> None:
        backfills.cancel_backfill(session, backfill)

    def set_paused(self, session: Session, dag_id: str, *, paused: bool) -> None:
        session.execute(update(DagModel).where(DagModel.dag_id == dag_id).values(is_paused=paused))
