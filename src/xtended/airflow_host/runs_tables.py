"""What the hosts have apart where runs and task instances are read and changed in Airflow's database."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from airflow.models.dagrun import DagRun
from sqlalchemy.orm import Session

from xtended.airflow_host.backfills import Backfill, BackfillRun, NewBackfill
from xtended.airflow_host.runs import Instance, NewRun


class RunTables(Protocol):
    """What the hosts have apart: names of columns, sessions, DAGs, and how a run is cleared and created."""

    logical_date: Any
    """Column of a DAG run."""
    stale: Any
    """Condition on a DAG."""
    instance: Any
    """Column of a task instance that becomes `Instance.native`."""

    def reading(self) -> AbstractContextManager[Session]: ...

    def changing(self) -> AbstractContextManager[Session]:
        """A session whose changes are committed together when the context ends."""
        ...

    def dag(self, session: Session, dag_id: str, run: DagRun | None) -> Any:
        """The DAG from its serialised form, as `run` sees it, or its latest version; None without one."""
        ...

    def is_mapped(self, task: Any) -> bool: ...

    def clear(self, session: Session, run: DagRun, dag: Any, instances: Sequence[Instance]) -> None:
        """`RunChanges.clear`, of at least one instance."""
        ...

    def create(self, session: Session, dag: Any, new: NewRun) -> int:
        """`RunChanges.create`; answers the run's key. `dag` may be None."""
        ...

    def planned_runs(self, session: Session, dag: Any, new: NewBackfill) -> list[BackfillRun]: ...

    def backfill(self, session: Session, dag_id: str, backfill_id: str | None) -> Backfill | None: ...

    def create_backfill(self, session: Session, dag: Any, new: NewBackfill) -> Backfill: ...

    def cancel_backfill(self, session: Session, backfill: Backfill) -> None: ...

    def set_paused(self, session: Session, dag_id: str, *, paused: bool) -> None: ...
