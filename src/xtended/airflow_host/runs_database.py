"""Runs and task instances in Airflow's database, read and changed as sets: what both hosts do alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.taskinstance import TaskInstance
from airflow.ti_deps.dep_context import DepContext
from airflow.ti_deps.dependencies_deps import SCHEDULER_QUEUED_DEPS
from airflow.utils.retries import run_with_db_retries
from airflow.utils.state import DagRunState, TaskInstanceState
from sqlalchemy import bindparam, or_, select, update
from sqlalchemy.orm import Session

from xtended.airflow_host.backfills import Backfill, BackfillRun, NewBackfill
from xtended.airflow_host.base import AuditEntry
from xtended.airflow_host.pools import require_pool
from xtended.airflow_host.records import CHUNK, refusals_as_problems, write_audit
from xtended.airflow_host.runs import NOTHING, DagRecord, Ignored, Instance, NewRun, Run, RunChanges
from xtended.airflow_host.runs_processes import StillEnding, require_ended, watch
from xtended.airflow_host.runs_rows import INSTANCE, ending, instance_of, run_of
from xtended.airflow_host.runs_shapes import shape_of
from xtended.airflow_host.runs_tables import RunTables
from xtended.airflow_host.runs_tries import one_instance, which
from xtended.airflow_host.shapes import DagShape

T = TypeVar("T")

# SQLite refuses a write at once where another process wrote since this one began to read.
ATTEMPTS = 8
# Airflow's supervisor of a task asks every five seconds whether it may go on. Airflow 2 has the task that it ends then
# write that it failed, whatever the task's state is by now: a try that began before would be lost.
ENDING_SECONDS = 15.0
# From these, an instance goes on with the try that it is in.
_SAME_TRY = frozenset({TaskInstanceState.SCHEDULED.value, TaskInstanceState.UP_FOR_RESCHEDULE.value})


class DatabaseRuns:
    """`runs.Runs` on Airflow's own tables."""

    def __init__(self, tables: RunTables) -> None:
        self._tables = tables

    @contextmanager
    def read(self) -> Iterator[SessionRuns]:
        with self._tables.reading() as session:
            yield SessionRuns(session, self._tables)

    def change(self, work: Callable[[RunChanges], T]) -> T:
        deadline = time.monotonic() + ENDING_SECONDS
        while True:
            try:
                return self._changed(work, patient=time.monotonic() < deadline)
            except StillEnding as tries:
                # Outside of the transaction: what ends them has to write, too.
                tries.wait(deadline)

    def _changed(self, work: Callable[[RunChanges], T], *, patient: bool) -> T:
        with refusals_as_problems():
            for attempt in run_with_db_retries(max_retries=ATTEMPTS):
                with attempt, self._tables.changing() as session:
                    return work(ChangingRuns(session, self._tables, patient=patient))
        raise AssertionError("run_with_db_retries ends with a result or raises")

    def watch_process(self, instance: Instance) -> Callable[[], bool] | None:
        return watch(instance)


class SessionRuns:
    """`runs.RunReader` on one database session."""

    def __init__(self, session: Session, tables: RunTables) -> None:
        self.session = session
        self.tables = tables

    def dag(self, dag_id: str) -> DagRecord | None:
        row = self.session.execute(
            select(DagModel.is_paused, self.tables.stale.label("stale"), DagModel.has_import_errors).where(
                DagModel.dag_id == dag_id
            )
        ).first()
        if row is None:
            return None
        return DagRecord(dag_id, bool(row.is_paused), bool(row.stale), bool(row.has_import_errors))

    def run(self, dag_id: str, run_id: str | None, logical_date: datetime | None) -> Run | None:
        found = DagRun.run_id == run_id if run_id is not None else self.tables.logical_date == logical_date
        row = self.session.execute(self._runs().where(DagRun.dag_id == dag_id, found).limit(1)).first()
        return None if row is None else run_of(row)

    def runs(
        self,
        dag_id: str,
        start: datetime | None,
        end: datetime | None,
        states: Collection[str] | None = None,
        limit: int | None = None,
    ) -> list[Run]:
        date = self.tables.logical_date
        query = self._runs().where(DagRun.dag_id == dag_id).order_by(date, DagRun.id).limit(limit)
        if start is not None:
            query = query.where(date >= start)
        if end is not None:
            query = query.where(date <= end)
        if states is not None:
            query = query.where(DagRun.state.in_(sorted(states)))
        return [run_of(row) for row in self.session.execute(query)]

    def newest_runs(self, dag_id: str, state: str | None, limit: int) -> list[Run]:
        query = self._runs().where(DagRun.dag_id == dag_id).order_by(DagRun.id.desc()).limit(limit)
        if state is not None:
            query = query.where(DagRun.state == state)
        return [run_of(row) for row in self.session.execute(query)]

    def unmet(
        self, run: Run, instances: Sequence[Instance], ignoring: Ignored = NOTHING
    ) -> list[tuple[Instance, str, str]]:
        row = self._row(run)
        dag = self.tables.dag(self.session, run.dag_id, row)
        row.dag = dag
        found: list[tuple[Instance, str, str]] = []
        for instance in instances:
            if dag is None or not dag.has_task(instance.task_id):
                continue
            query = select(TaskInstance).where(one_instance(run.dag_id, run.run_id))
            task_instance = self.session.scalars(query, which(instance)).one()
            task_instance.task = dag.get_task(instance.task_id)
            context = DepContext(
                deps=SCHEDULER_QUEUED_DEPS,
                ignore_all_deps=ignoring.all_deps,
                ignore_task_deps=ignoring.task_deps,
                ignore_depends_on_past=ignoring.depends_on_past,
                ignore_ti_state=ignoring.ti_state,
            )
            for dep in task_instance.get_failed_dep_statuses(dep_context=context, session=self.session):
                found.append((instance, dep.dep_name, dep.reason))
        return found

    def rendered(self, run: Run, task_id: str) -> Mapping[int, Mapping[str, Any]]:
        kept = RenderedTaskInstanceFields
        query = select(kept.map_index, kept.rendered_fields).where(
            kept.dag_id == run.dag_id, kept.run_id == run.run_id, kept.task_id == task_id
        )
        return {row.map_index: row.rendered_fields for row in self.session.execute(query)}

    def planned_runs(self, new: NewBackfill) -> list[BackfillRun]:
        dag = self.tables.dag(self.session, new.dag_id, None)
        return self.tables.planned_runs(self.session, dag, new)

    def backfill(self, dag_id: str, backfill_id: str | None) -> Backfill | None:
        return self.tables.backfill(self.session, dag_id, backfill_id)

    def shape(self, dag_id: str, run: Run | None = None) -> DagShape | None:
        row = None if run is None else self._row(run)
        dag = self.tables.dag(self.session, dag_id, row)
        return None if dag is None else shape_of(dag, self.tables.is_mapped)

    def instances(
        self,
        run: Run,
        task_ids: Collection[str] | None = None,
        states: Collection[str | None] | None = None,
    ) -> list[Instance]:
        query = select(*INSTANCE, self.tables.instance.label("native")).where(
            TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id
        )
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
        found = [instance_of(row) for row in rows]
        found.sort(key=lambda instance: (instance.task_id, instance.map_index))
        return found

    def _kept(self, query: Any) -> Any:
        return query

    def _row(self, run: Run) -> DagRun:
        query = select(DagRun).where(DagRun.id == run.native)
        row: DagRun = self.session.scalars(query.execution_options(populate_existing=True)).one()
        return row

    def _runs(self) -> Any:
        return select(
            DagRun.id,
            DagRun.dag_id,
            DagRun.run_id,
            self.tables.logical_date.label("logical_date"),
            DagRun._state.label("state"),
            DagRun.start_date,
            DagRun.end_date,
        )


class ChangingRuns(SessionRuns):
    """`runs.RunChanges` on one database session; where it is `patient`, it clears no try that is still ending."""

    def __init__(self, session: Session, tables: RunTables, *, patient: bool) -> None:
        super().__init__(session, tables)
        self._patient = patient

    def hold(self, run: Run) -> Run:
        # A write is a lock in every database: of the row, or of all of SQLite. After a mere read, the
        # scheduler could come in between.
        self.session.execute(
            update(DagRun)
            .where(DagRun.id == run.native)
            .values(updated_at=datetime.now(UTC))
            .execution_options(synchronize_session=False)
        )
        return self._by_key(run.native)

    def clear(self, run: Run, instances: Sequence[Instance]) -> None:
        if instances:
            if self._patient:
                require_ended(instances)
            row = self._row(run)
            dag = self.tables.dag(self.session, run.dag_id, row)
            self.tables.clear(self.session, row, dag, instances)

    def set_state(self, run: Run, instances: Sequence[Instance], state: str) -> None:
        now = datetime.now(UTC)
        rows = [ending(instance, state, now) for instance in instances]
        if rows:
            values: dict[str, Any] = {
                name: bindparam(f"new_{name}") for name in ("state", "start_date", "end_date", "duration")
            }
            self.session.connection().execute(
                update(TaskInstance.__table__)
                .where(one_instance(run.dag_id, run.run_id))
                .values(**values, updated_at=now),
                rows,
            )

    def end(self, run: Run, state: str) -> None:
        self._row(run).set_state(DagRunState(state))
        self.session.flush()

    def create(self, new: NewRun) -> Run:
        dag = self.tables.dag(self.session, new.dag_id, None)
        return self._by_key(self.tables.create(self.session, dag, new))

    def delete(self, run: Run) -> None:
        row = self.session.get(DagRun, run.native)
        if row is not None:
            self.session.delete(row)

    def queue(self, run: Run, instance: Instance, pool: str | None) -> None:
        if pool is not None:
            require_pool(self.session, pool)
        self._row(run).set_state(DagRunState.RUNNING)
        self.session.flush()
        table = TaskInstance.__table__
        values: dict[str, Any] = {"state": TaskInstanceState.SCHEDULED.value}
        if instance.state not in _SAME_TRY:
            # What its executor may yet say of the try before is told from this one by its number.
            values["try_number"] = table.c.try_number + 1
        if "scheduled_dttm" in table.c:
            values["scheduled_dttm"] = datetime.now(UTC)
        if pool is not None:
            values["pool"] = pool
        waiting = update(table).where(one_instance(run.dag_id, run.run_id)).values(**values)
        self.session.execute(waiting, which(instance))

    def create_backfill(self, new: NewBackfill) -> Backfill:
        dag = self.tables.dag(self.session, new.dag_id, None)
        return self.tables.create_backfill(self.session, dag, new)

    def cancel_backfill(self, backfill: Backfill) -> None:
        self.tables.cancel_backfill(self.session, backfill)

    def set_paused(self, dag_id: str, *, paused: bool) -> None:
        self.tables.set_paused(self.session, dag_id, paused=paused)

    def audit(self, entry: AuditEntry) -> None:
        write_audit(self.session, entry)

    def _kept(self, query: Any) -> Any:
        return query.with_for_update(of=TaskInstance)

    def _by_key(self, key: int) -> Run:
        return run_of(self.session.execute(self._runs().where(DagRun.id == key)).one())
