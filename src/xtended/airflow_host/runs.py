"""The seam for runs: what run control needs from Airflow's database, and the data that crosses it.

A host gives primitives that work on sets of task instances; which instances, and why, is decided by the
services above. No DAG file is parsed: a DAG's shape comes from its serialised form in the database.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from xtended.airflow_host.backfills import Backfill, BackfillRun, NewBackfill
from xtended.airflow_host.shapes import DagShape

if TYPE_CHECKING:
    from xtended.airflow_host.base import AuditEntry

T = TypeVar("T")

FINISHED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
FAILED = frozenset({"failed", "upstream_failed"})


@dataclass(frozen=True)
class DagRecord:
    """What the database says about a DAG's fitness to run."""

    dag_id: str
    paused: bool
    stale: bool
    import_errors: bool


@dataclass(frozen=True)
class Run:
    """A DAG run. `native` is the host's own handle of it."""

    dag_id: str
    run_id: str
    logical_date: datetime | None
    state: str
    start_date: datetime | None
    end_date: datetime | None
    native: Any = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Instance:
    """A task instance. `state` is None where it has none yet; `native` is the host's own handle of it."""

    task_id: str
    map_index: int
    state: str | None
    try_number: int
    max_tries: int
    start_date: datetime | None
    end_date: datetime | None
    duration: float | None
    operator: str | None
    hostname: str | None
    pid: int | None
    native: Any = field(repr=False, compare=False)


@dataclass(frozen=True)
class NewRun:
    """A run to create. `ends` holds the tasks that must not run: their end state, and why (or None)."""

    dag_id: str
    run_id: str | None
    logical_date: datetime | None
    conf: Mapping[str, Any] | None
    user: str
    note: str | None = None
    ends: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class Ignored:
    """Dependencies of a task instance to look away from, named as Airflow's `DepContext` names them."""

    all_deps: bool = False
    task_deps: bool = False
    depends_on_past: bool = False
    ti_state: bool = False


NOTHING = Ignored()


class RunReader(Protocol):
    """Runs and task instances as one database session sees them."""

    def dag(self, dag_id: str) -> DagRecord | None: ...

    def run(self, dag_id: str, run_id: str | None, logical_date: datetime | None) -> Run | None:
        """The run by its id, or by its logical date where `run_id` is None."""
        ...

    def runs(
        self,
        dag_id: str,
        start: datetime | None,
        end: datetime | None,
        states: Collection[str] | None = None,
        limit: int | None = None,
    ) -> list[Run]:
        """The DAG's runs with a logical date in this range, both ends in it; all of them where it has no end.

        Oldest first; at most `limit`.
        """
        ...

    def newest_runs(self, dag_id: str, state: str | None, limit: int) -> list[Run]:
        """The DAG's runs, or those in a state; what was created last first."""
        ...

    def unmet(
        self, run: Run, instances: Sequence[Instance], ignoring: Ignored = NOTHING
    ) -> list[tuple[Instance, str, str]]:
        """What keeps each of these from being queued: the name of Airflow's dependency, and why it is unmet."""
        ...

    def rendered(self, run: Run, task_id: str) -> Mapping[int, Mapping[str, Any]]:
        """The templated fields of a task's instances as Airflow kept them, by map index, secrets masked."""
        ...

    def planned_runs(self, new: NewBackfill) -> list[BackfillRun]:
        """What this backfill would do. Raises BadRequest (dates, conf), Conflict (the DAG can't), NotFound."""
        ...

    def backfill(self, dag_id: str, backfill_id: str | None) -> Backfill | None:
        """One backfill of the DAG, or its latest where `backfill_id` is None."""
        ...

    def shape(self, dag_id: str, run: Run | None = None) -> DagShape | None:
        """The DAG as this run sees it, or its latest version; None where it was never serialised."""
        ...

    def instances(
        self,
        run: Run,
        task_ids: Collection[str] | None = None,
        states: Collection[str | None] | None = None,
    ) -> list[Instance]:
        """The run's task instances, by task and map index; inside a change they stay so until it ends."""
        ...


class RunChanges(RunReader, Protocol):
    """Changes that become visible together."""

    def hold(self, run: Run) -> Run:
        """Keep the scheduler and other requests from this run until the change ends; answers it as it is."""
        ...

    def clear(self, run: Run, instances: Sequence[Instance]) -> None:
        """As if these had never run; running ones are ended first. A finished run is queued again."""
        ...

    def set_state(self, run: Run, instances: Sequence[Instance], state: str) -> None:
        """End these in a finished state; the process of a running one is ended by its own supervisor."""
        ...

    def end(self, run: Run, state: str) -> None:
        """Give the run itself this end state: `success` or `failed`."""
        ...

    def create(self, new: NewRun) -> Run:
        """A queued run with all its task instances. Raises BadRequest (conf, ids), Conflict (it exists)."""
        ...

    def delete(self, run: Run) -> None:
        """Take the run and all that belongs to it away; nothing happens where it is gone."""
        ...

    def queue(self, run: Run, instance: Instance, pool: str | None) -> None:
        """Have the scheduler hand this one to its executor next, in a run that goes on; `pool` is where it runs.

        Raises NotFound where there is no such pool.
        """
        ...

    def create_backfill(self, new: NewBackfill) -> Backfill:
        """All its runs. Raises what `planned_runs` raises, and Conflict where the DAG has one already."""
        ...

    def cancel_backfill(self, backfill: Backfill) -> None:
        """Fail its runs that have not started, and end it."""
        ...

    def set_paused(self, dag_id: str, *, paused: bool) -> None: ...

    def audit(self, entry: AuditEntry) -> None: ...


class Runs(Protocol):
    """Run control on one host."""

    def read(self) -> AbstractContextManager[RunReader]: ...

    def change(self, work: Callable[[RunChanges], T]) -> T:
        """Do `work` in one transaction. It is done again, from a clean start, where the database was locked, and
        where it clears tries that have been ended and whose processes on this machine go on: once they are gone, or
        after a bounded wait.

        Raises what `work` raises, and Unavailable where the database stays locked.
        """
        ...

    def watch_process(self, instance: Instance) -> Callable[[], bool] | None:
        """A way to ask whether the process of this try, or one that it has started by now, is alive.

        None where it runs on another machine.
        """
        ...
