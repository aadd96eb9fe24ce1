"""Runs in Airflow 2's tables: what differs from Airflow 3's."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.mappedoperator import MappedOperator
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import not_, or_, update
from sqlalchemy.orm import Session

from xtended.airflow_host.airflow2 import backfills
from xtended.airflow_host.airflow2.database import changing, reading
from xtended.airflow_host.airflow2.runs_clearing import clear_instances
from xtended.airflow_host.airflow2.runs_creation import create_run
from xtended.airflow_host.backfills import Backfill, BackfillRun, NewBackfill
from xtended.airflow_host.runs import Instance, NewRun

# What one process keeps of deserialised DAGs.
DAGS_KEPT = 64


class RunTables:
    """`runs_tables.RunTables` of Airflow 2."""

    def __init__(self) -> None:
        self.logical_date = DagRun.execution_date
        self.stale = not_(DagModel.is_active)
        self.instance = TaskInstance.job_id
        self._dags: dict[str, tuple[str, Any]] = {}

    def reading(self) -> AbstractContextManager[Session]:
        return reading()

    def changing(self) -> AbstractContextManager[Session]:
        return changing()

    def dag(self, session: Session, dag_id: str, run: DagRun | None) -> Any:
        """Airflow 2 keeps the latest version alone, so that is what every run sees.

        Airflow's own cache looks for a newer one every few seconds; this one is never behind.
        """
        digest = SerializedDagModel.get_latest_version_hash(dag_id, session=session)
        kept = self._dags.get(dag_id)
        if kept is not None and kept[0] == digest:
            return kept[1]
        row = None if digest is None else SerializedDagModel.get(dag_id, session=session)
        if row is None:
            return None
        row.load_op_links = False
        while len(self._dags) >= DAGS_KEPT:
            self._dags.pop(next(iter(self._dags)))
        self._dags[dag_id] = row.dag_hash, row.dag
        return self._dags[dag_id][1]

    def is_mapped(self, task: Any) -> bool:
        return isinstance(task, MappedOperator)

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
        session.execute(
            update(DagModel)
            .where(or_(DagModel.dag_id == dag_id, DagModel.root_dag_id == dag_id))
            .values(is_paused=paused)
            .execution_options(synchronize_session=False)
        )
