"""Runs and task instances in Airflow 3's database: read, created, cleared and ended as sets."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar

import psutil
from airflow._shared.timezones import timezone
from airflow.models.dag import DagModel
from airflow.models.dag_version import DagVersion
from airflow.models.dagbag import CachedDBDagBag, DBDagBag
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.ti_deps.dep_context import DepContext
from airflow.ti_deps.dependencies_deps import SCHEDULER_QUEUED_DEPS
from airflow.utils.net import get_hostname
from airflow.utils.retries import run_with_db_retries
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from sqlalchemy import Row, bindparam, or_, select, update
from sqlalchemy.orm import Session

from xtended.airflow_host.airflow3.runs_clearing import clear_instances
from xtended.airflow_host.airflow3.runs_creation import create_run
from xtended.airflow_host.airflow3.runs_shapes import shape_of
from xtended.airflow_host.base import AuditEntry
from xtended.airflow_host.records import CHUNK, refusals_as_problems, write_audit
from xtended.airflow_host.runs import DagRecord, Instance, NewRun, Run, RunChanges
from xtended.airflow_host.shapes import DagShape

log = logging.getLogger(__name__)
T = TypeVar("T")

# What one process keeps of deserialised DAGs, as the api-server itself does by default.
DAGS_KEPT = 64
DAG_SECONDS = 3600
# SQLite refuses a write at once where another process wrote since this one began to read.
ATTEMPTS = 8

_COLUMNS = (
    TaskInstance.id,
    TaskInstance.task_id,
    TaskInstance.map_index,
    TaskInstance.state,
    TaskInstance.try_number,
    TaskInstance.max_tries,
    TaskInstance.start_date,
    TaskInstance.end_date,
    TaskInstance.duration,
    TaskInstance.operator,
    TaskInstance.hostname,
    TaskInstance.pid,
)


class DatabaseRuns:
    """`runs.Runs` on Airflow 3's own tables."""

    def __init__(self) -> None:
        self._dags = CachedDBDagBag(
            load_op_links=False, cache_size=DAGS_KEPT, cache_ttl=DAG_SECONDS, stats_prefix="xtended.dag_bag"
        )

    @contextmanager
    def read(self) -> Iterator[SessionRuns]:
        with create_session(scoped=False) as session:
            yield SessionRuns(session, self._dags)

    def change(self, work: Callable[[RunChanges], T]) -> T:
        with refusals_as_problems():
            for attempt in run_with_db_retries(max_retries=ATTEMPTS):
                with attempt, create_session(scoped=False) as session:
                    return work(ChangingRuns(session, self._dags))
        raise AssertionError("run_with_db_retries ends with a result or raises")

    def process_alive(self, instance: Instance) -> bool | None:
        if instance.pid is None or instance.hostname != get_hostname():
            return None
        try:
            return bool(psutil.Process(instance.pid).status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False


class SessionRuns:
    """`runs.RunReader` on one database session."""

    def __init__(self, session: Session, dags: DBDagBag) -> None:
        self.session = session
        self._dags = dags

    def dag(self, dag_id: str) -> DagRecord | None:
        row = self.session.execute(
            select(DagModel.is_paused, DagModel.is_stale, DagModel.has_import_errors).where(
                DagModel.dag_id == dag_id
            )
        ).first()
        if row is None:
            return None
        return DagRecord(dag_id, bool(row.is_paused), bool(row.is_stale), bool(row.has_import_errors))

    def run(self, dag_id: str, run_id: str | None, logical_date: datetime | None) -> Run | None:
        found = DagRun.run_id == run_id if run_id is not None else DagRun.logical_date == logical_date
        row = self.session.execute(_RUN.where(DagRun.dag_id == dag_id, found).limit(1)).first()
        return None if row is None else _run(row)

    def runs(
        self,
        dag_id: str,
        start: datetime | None,
        end: datetime | None,
        states: Collection[str] | None = None,
        limit: int | None = None,
    ) -> list[Run]:
        query = _RUN.where(DagRun.dag_id == dag_id).order_by(DagRun.logical_date, DagRun.id).limit(limit)
        if start is not None:
            query = query.where(DagRun.logical_date >= start)
        if end is not None:
            query = query.where(DagRun.logical_date <= end)
        if states is not None:
            query = query.where(DagRun.state.in_(sorted(states)))
        return [_run(row) for row in self.session.execute(query)]

    def unmet(self, run: Run, instances: Sequence[Instance]) -> list[tuple[Instance, str, str]]:
        dag = self.serialised(run.dag_id, run)
        row = self.session.get_one(DagRun, run.native)
        row.dag = dag
        found: list[tuple[Instance, str, str]] = []
        for instance in instances:
            if dag is None or not dag.has_task(instance.task_id):
                continue
            task_instance = self.session.get_one(TaskInstance, instance.native)
            task_instance.task = dag.get_task(instance.task_id)
            context = DepContext(deps=SCHEDULER_QUEUED_DEPS)
            for dep in task_instance.get_failed_dep_statuses(dep_context=context, session=self.session):
                found.append((instance, dep.dep_name, dep.reason))
        return found

    def shape(self, dag_id: str, run: Run | None = None) -> DagShape | None:
        dag = self.serialised(dag_id, run)
        return None if dag is None else shape_of(dag)

    def serialised(self, dag_id: str, run: Run | None) -> Any:
        """The DAG from its serialised form, as `run` sees it, or its latest version; None without one."""
        if run is not None:
            row = self.session.get_one(DagRun, run.native)
            return self._dags.get_dag_for_run(row, session=self.session)
        version = DagVersion.get_latest_version(dag_id, session=self.session)
        return None if version is None else self._dags.get_dag(version.id, session=self.session)

    def instances(
        self,
        run: Run,
        task_ids: Collection[str] | None = None,
        states: Collection[str | None] | None = None,
    ) -> list[Instance]:
        query = select(*_COLUMNS).where(TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id)
        if states is not None:
            named = [state for state in states if state is not None]
            unset = [TaskInstance.state.is_(None)] if None in states else []
            query = query.where(or_(TaskInstance.state.in_(named), *unset))
        if task_ids is None:
            rows = list(self.session.execute(self._kept(query)))
        else:
            wanted = sorted(set(task_ids))
            rows = []
            for start in range(0, len(wanted), CHUNK):
                part = query.where(TaskInstance.task_id.in_(wanted[start : start + CHUNK]))
                rows.extend(self.session.execute(self._kept(part)))
        found = [_instance(row) for row in rows]
        found.sort(key=lambda instance: (instance.task_id, instance.map_index))
        return found

    def _kept(self, query: Any) -> Any:
        return query


class ChangingRuns(SessionRuns):
    """`runs.RunChanges` on one database session."""

    def hold(self, run: Run) -> Run:
        # A write is a lock in every database: of the row, or of all of SQLite. After a mere read, the
        # scheduler could come in between.
        self.session.execute(
            update(DagRun)
            .where(DagRun.id == run.native)
            .values(updated_at=timezone.utcnow())
            .execution_options(synchronize_session=False)
        )
        return _run(self.session.execute(_RUN.where(DagRun.id == run.native)).one())

    def clear(self, run: Run, instances: Sequence[Instance]) -> None:
        if instances:
            row = self.session.get_one(DagRun, run.native, populate_existing=True)
            clear_instances(self.session, row, self.serialised(run.dag_id, run), instances)

    def set_state(self, run: Run, instances: Sequence[Instance], state: str) -> None:
        now = timezone.utcnow()
        rows = [_end(instance, state, now) for instance in instances]
        if rows:
            table = TaskInstance.__table__
            values: dict[str, Any] = {
                name: bindparam(f"new_{name}") for name in ("state", "start_date", "end_date", "duration")
            }
            self.session.connection().execute(
                update(table).where(table.c.id == bindparam("key")).values(**values, updated_at=now), rows
            )

    def end(self, run: Run, state: str) -> None:
        self.session.get_one(DagRun, run.native, populate_existing=True).set_state(DagRunState(state))

    def create(self, new: NewRun) -> Run:
        dag = self.serialised(new.dag_id, None)
        row = create_run(self.session, dag, new)
        return _run(self.session.execute(_RUN.where(DagRun.id == row)).one())

    def set_paused(self, dag_id: str, *, paused: bool) -> None:
        self.session.execute(update(DagModel).where(DagModel.dag_id == dag_id).values(is_paused=paused))

    def audit(self, entry: AuditEntry) -> None:
        write_audit(self.session, entry)

    def _kept(self, query: Any) -> Any:
        return query.with_for_update(of=TaskInstance)


_RUN = select(
    DagRun.id,
    DagRun.dag_id,
    DagRun.run_id,
    DagRun.logical_date,
    DagRun.state,
    DagRun.start_date,
    DagRun.end_date,
)


def _run(row: Row[Any]) -> Run:
    return Run(
        row.dag_id, row.run_id, row.logical_date, str(row.state), row.start_date, row.end_date, native=row.id
    )


def _instance(row: Row[Any]) -> Instance:
    return Instance(
        task_id=row.task_id,
        map_index=row.map_index,
        state=None if row.state is None else str(row.state),
        try_number=row.try_number,
        max_tries=row.max_tries,
        start_date=row.start_date,
        end_date=row.end_date,
        duration=row.duration,
        operator=row.operator,
        hostname=row.hostname,
        pid=row.pid,
        native=row.id,
    )


def _end(instance: Instance, state: str, now: datetime) -> Mapping[str, Any]:
    started = instance.start_date or now
    ended = instance.end_date if instance.state in ("success", "failed", "skipped") else now
    ended = max(ended or now, started)
    return {
        "key": instance.native,
        "new_state": state,
        "new_start_date": started,
        "new_end_date": ended,
        "new_duration": (ended - started) / timedelta(seconds=1),
    }
