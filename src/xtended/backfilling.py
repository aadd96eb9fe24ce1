"""Run a DAG, or some of its tasks, for the logical dates of a range in the past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xtended import partial_runs
from xtended.access import require_dags
from xtended.airflow_host.backfills import Backfill, BackfillRun, NewBackfill, Reprocess
from xtended.airflow_host.base import AuditEntry
from xtended.airflow_host.runs import RunChanges, RunReader
from xtended.airflow_host.shapes import DagShape
from xtended.api import Call
from xtended.naming_runs import known_dag, known_shape, parse_date, runnable_dag
from xtended.problems import BadRequest, Conflict, NotFound
from xtended.running import EDIT_TASKS
from xtended.starting import parse_conf

_MARKED = "Not run: the backfill marks it so."


@dataclass(frozen=True)
class BackfillRequest:
    """What `backfill` is asked for."""

    dag_id: str
    start_date: str | None = None
    end_date: str | None = None
    task_regex: str | None = None
    ignore_dependencies: bool = False
    mark_success: bool = False
    pool: str | None = None
    conf: str | None = None
    reprocess: Reprocess = "none"
    reverse: bool = False
    max_active_runs: int = 10
    dry_run: bool = False


def start(call: Call, wanted: BackfillRequest) -> tuple[Backfill | None, Sequence[BackfillRun], list[str]]:
    """Create a backfill. Answers it (None with `dry_run`), its runs, and the tasks that run in each.

    Raises Forbidden, NotFound (DAG, tasks, pool), BadRequest (dates, conf, regex), Conflict (the DAG is paused,
    stale, broken, not scheduled, or has a backfill already; the tasks can't run alone).
    """
    identity, dag_id = call.services.host.identity, wanted.dag_id
    require_dags(identity, call.rule, call.user, [dag_id])
    if wanted.task_regex is not None or wanted.mark_success:
        require_dags(identity, EDIT_TASKS, call.user, [dag_id])
    if wanted.task_regex is not None and wanted.reprocess != "none":
        raise BadRequest(
            "Chosen tasks run in new runs alone; to run them again in runs that exist, use clear."
        )

    if wanted.dry_run:
        with call.services.host.runs.read() as reader:
            new, tasks = _plan(call, reader, wanted)
            return None, reader.planned_runs(new), tasks

    def transaction(changes: RunChanges) -> tuple[Backfill, Sequence[BackfillRun], list[str]]:
        new, tasks = _plan(call, changes, wanted)
        made = changes.create_backfill(new)
        details = {"backfill_id": made.id, "runs": len(made.runs), "tasks": tasks}
        changes.audit(AuditEntry("xtended.backfill", call.user, (dag_id,), details))
        return made, made.runs, tasks

    return call.services.host.runs.change(transaction)


def _plan(call: Call, reader: RunReader, wanted: BackfillRequest) -> tuple[NewBackfill, list[str]]:
    """The backfill to create, and the tasks that run in each of its runs."""
    # The runs of a paused DAG wait until somebody unpauses it.
    runnable_dag(reader, wanted.dag_id, paused_too=True)
    first, last = parse_date(wanted.start_date), parse_date(wanted.end_date)
    if first is None and last is None:
        raise BadRequest("At least one of start_date and end_date is needed.")
    shape = known_shape(reader, wanted.dag_id)
    selected = _selected(shape, wanted)
    ends: dict[str, tuple[str, str | None]] = {}
    if len(selected) < len(shape.tasks):
        ends.update(partial_runs.ends(shape, selected))
    if wanted.mark_success:
        ends.update((task_id, (partial_runs.SUCCESS, _MARKED)) for task_id in selected)
    new = NewBackfill(
        dag_id=wanted.dag_id,
        start=first or last,  # type: ignore[arg-type]
        end=last or first,  # type: ignore[arg-type]
        conf=parse_conf(wanted.conf),
        user=call.user.name,
        reprocess=wanted.reprocess,
        reverse=wanted.reverse,
        max_active_runs=wanted.max_active_runs,
        pool=wanted.pool,
        ends=ends,
    )
    return new, [] if wanted.mark_success else sorted(selected)


def _selected(shape: DagShape, wanted: BackfillRequest) -> frozenset[str]:
    if wanted.task_regex is None:
        return frozenset(shape.tasks)
    selected = partial_runs.selected_tasks(shape, (), wanted.task_regex)
    # As the older command line: what they depend on runs too, unless told otherwise.
    return selected if wanted.ignore_dependencies else selected | shape.ancestors(selected)


def state_of(call: Call, dag_id: str, backfill_id: str | None) -> Backfill:
    """A backfill of the DAG, its latest where none is named. Raises Forbidden, NotFound."""
    require_dags(call.services.host.identity, call.rule, call.user, [dag_id])
    with call.services.host.runs.read() as reader:
        return _known(reader, dag_id, backfill_id)


def cancel(call: Call, dag_id: str, backfill_id: str | None) -> Backfill:
    """End a backfill: runs that have not started fail, those that have go on. Answers it as it is then.

    Raises Forbidden, NotFound, and Conflict where it has ended.
    """
    require_dags(call.services.host.identity, call.rule, call.user, [dag_id])

    def transaction(changes: RunChanges) -> Backfill:
        found = _known(changes, dag_id, backfill_id)
        if found.state == "completed":
            raise Conflict(f"Backfill {found.id} of DAG {dag_id!r} has ended.", dag_ids=[dag_id])
        changes.cancel_backfill(found)
        details: Mapping[str, str] = {"backfill_id": found.id}
        changes.audit(AuditEntry("xtended.cancel_backfill", call.user, (dag_id,), details))
        return _known(changes, dag_id, found.id)

    return call.services.host.runs.change(transaction)


def _known(reader: RunReader, dag_id: str, backfill_id: str | None) -> Backfill:
    known_dag(reader, dag_id)
    found = reader.backfill(dag_id, backfill_id)
    if found is None:
        which = "no backfill" if backfill_id is None else f"no backfill {backfill_id!r}"
        raise NotFound(f"DAG {dag_id!r} has {which}.", dag_ids=[dag_id])
    return found
