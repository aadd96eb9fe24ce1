"""Restart, kill, skip, clear or mark the tasks of many runs with one request: one transaction for each run."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from xtended.access import Rule, require_dags
from xtended.airflow_host.base import AuditEntry
from xtended.airflow_host.runs import FAILED, FINISHED, Instance, Run, RunChanges, RunReader
from xtended.api import Call
from xtended.clearing import with_setups
from xtended.naming_runs import (
    RunRef,
    TaskRef,
    instances_of,
    known_dag,
    named_run,
    parse_date,
    runnable_dag,
)
from xtended.problems import BadRequest, Conflict, Forbidden, Problem
from xtended.running import KILLABLE, instances_to_restart, with_downstream

log = logging.getLogger(__name__)

Action = Literal["restart_failed", "kill", "skip", "clear", "mark_success", "mark_failed"]
LIMIT = 1000
"""Items, or runs that a filter finds, in one request: each is a transaction, and the client waits for all."""

EDIT_RUNS = Rule("each", "PUT", "RUN")


@dataclass(frozen=True)
class Item:
    """One thing to do to a run, or to one task of it."""

    action: Action
    dag_id: str
    run_id: str
    task_id: str | None = None
    map_index: int | None = None

    @property
    def task(self) -> TaskRef | None:
        return None if self.task_id is None else TaskRef(self.task_id, self.map_index)

    @property
    def ends_run(self) -> bool:
        return self.task_id is None and self.action in ("mark_success", "mark_failed")


@dataclass(frozen=True)
class Filter:
    """Runs by DAG, by state (any where None) and by logical date, both ends included."""

    action: Action
    dag_ids: Sequence[str]
    states: Collection[str] | None = None
    start_date: str | None = None
    end_date: str | None = None
    task_id: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of an item: the instances it changed (or would), as they were, or why it was not done."""

    item: Item
    instances: Sequence[Instance] = ()
    problem: Problem | None = None


def find_items(call: Call, wanted: Filter) -> list[Item]:
    """An item for each run that the filter finds. Raises Forbidden, NotFound (a DAG), BadRequest (dates, too many)."""
    require_dags(call.services.host.identity, call.rule, call.user, wanted.dag_ids)
    start, end = parse_date(wanted.start_date), parse_date(wanted.end_date)
    found: list[Item] = []
    with call.services.host.runs.read() as reader:
        for dag_id in dict.fromkeys(wanted.dag_ids):
            known_dag(reader, dag_id)
            runs = reader.runs(dag_id, start, end, wanted.states, LIMIT + 1 - len(found))
            found.extend(Item(wanted.action, dag_id, run.run_id, wanted.task_id) for run in runs)
            if len(found) > LIMIT:
                raise BadRequest(f"The filter finds more than {LIMIT} runs; narrow it.")
    return found


def carry_out(call: Call, items: Sequence[Item], *, dry_run: bool) -> list[Outcome]:
    """Do all that can be done, in the order of the items; answers one outcome for each, in that order.

    The items of one run are done together or not at all. With `dry_run`, each is looked at as if it were alone.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for number, item in enumerate(items):
        groups.setdefault((item.dag_id, item.run_id), []).append(number)
    refusals = _refusals(call, items)
    outcomes = [Outcome(item) for item in items]
    for numbers in groups.values():
        done = _one_run(call, [outcomes[number].item for number in numbers], refusals, dry_run=dry_run)
        for number, outcome in zip(numbers, done, strict=True):
            outcomes[number] = outcome
    return outcomes


def _refusals(call: Call, items: Sequence[Item]) -> Mapping[tuple[Rule, str], Forbidden]:
    """Each right that is missing, asked for once."""
    needed = {(call.rule, item.dag_id) for item in items}
    needed |= {(EDIT_RUNS, item.dag_id) for item in items if item.ends_run}
    refused = {}
    for rule, dag_id in needed:
        try:
            require_dags(call.services.host.identity, rule, call.user, [dag_id])
        except Forbidden as problem:
            refused[rule, dag_id] = problem
    return refused


def _one_run(
    call: Call,
    items: Sequence[Item],
    refusals: Mapping[tuple[Rule, str], Forbidden],
    *,
    dry_run: bool,
) -> list[Outcome]:
    done: list[Outcome] = []
    failing: int | None = None

    def check(item: Item) -> None:
        refusal = refusals.get((call.rule, item.dag_id))
        if refusal is None and item.ends_run:
            refusal = refusals.get((EDIT_RUNS, item.dag_id))
        if refusal is not None:
            raise refusal

    def look(reader: RunReader, item: Item) -> Outcome:
        check(item)
        run = named_run(reader, RunRef(item.dag_id, item.run_id, None))
        return Outcome(item, CHOICES[item.action](reader, run, item))

    def transaction(changes: RunChanges) -> None:
        nonlocal failing
        # From a clean start, where the database was locked the first time.
        done.clear()
        failing = None
        check(items[0])
        run = changes.hold(named_run(changes, RunRef(items[0].dag_id, items[0].run_id, None)))
        for failing, item in enumerate(items):  # noqa: B007 - read where this ends early
            check(item)
            chosen = CHOICES[item.action](changes, run, item)
            _apply(changes, run, item, chosen)
            done.append(Outcome(item, chosen))
        failing = None
        counts: Counter[str] = Counter()
        for outcome in done:
            counts[outcome.item.action] += len(outcome.instances)
        entry = AuditEntry("xtended.bulk", call.user, (run.dag_id,), {"run_id": run.run_id, **counts})
        changes.audit(entry)

    if dry_run:
        with call.services.host.runs.read() as reader:
            for item in items:
                try:
                    done.append(look(reader, item))
                except Problem as problem:
                    done.append(Outcome(item, problem=problem))
        return done
    try:
        call.services.host.runs.change(transaction)
    except Problem as problem:
        return _undone(items, failing, problem)
    except Exception:
        # What other runs have had done to them is to be answered still.
        log.exception("Bulk changes of run %s of DAG %s failed", items[0].run_id, items[0].dag_id)
        return _undone(items, failing, Problem("The server failed; its log says more."))
    return done


def _undone(items: Sequence[Item], failing: int | None, problem: Problem) -> list[Outcome]:
    """Nothing was done to the run, because of the item at `failing`, or of the run itself where that is None."""
    beside = Conflict("Another item of the same run failed, so nothing was done to the run.")
    return [
        Outcome(item, problem=problem if failing in (None, number) else beside)
        for number, item in enumerate(items)
    ]


def _chosen(reader: RunReader, run: Run, item: Item) -> list[Instance]:
    """The instances of the item's task, or all of the run, that are part of the DAG still."""
    found = reader.instances(run) if item.task is None else instances_of(reader, run, item.task)
    return [instance for instance in found if instance.state != "removed"]


def _to_restart(reader: RunReader, run: Run, item: Item) -> list[Instance]:
    runnable_dag(reader, run.dag_id)
    return instances_to_restart(reader, run, item.task)[1]


def _to_kill(reader: RunReader, run: Run, item: Item) -> list[Instance]:
    return [instance for instance in _chosen(reader, run, item) if instance.state in KILLABLE]


def _to_skip(reader: RunReader, run: Run, item: Item) -> list[Instance]:
    chosen = _chosen(reader, run, item)
    if item.task is None:
        return [instance for instance in chosen if instance.state not in FINISHED]
    return [instance for instance in chosen if instance.state != "skipped"]


def _to_clear(reader: RunReader, run: Run, item: Item) -> list[Instance]:
    runnable_dag(reader, run.dag_id, paused_too=True)
    return with_setups(reader, run, _chosen(reader, run, item))


def _to_mark_success(reader: RunReader, run: Run, item: Item) -> list[Instance]:
    ended_well = ("success", "skipped") if item.task is None else ("success",)
    return [instance for instance in _chosen(reader, run, item) if instance.state not in ended_well]


def _to_mark_failed(reader: RunReader, run: Run, item: Item) -> list[Instance]:
    chosen = _chosen(reader, run, item)
    if item.task is None:
        return [instance for instance in chosen if instance.state not in FINISHED]
    return [instance for instance in chosen if instance.state != "failed"]


CHOICES: Mapping[Action, Callable[[RunReader, Run, Item], list[Instance]]] = {
    "restart_failed": _to_restart,
    "kill": _to_kill,
    "skip": _to_skip,
    "clear": _to_clear,
    "mark_success": _to_mark_success,
    "mark_failed": _to_mark_failed,
}


def _apply(changes: RunChanges, run: Run, item: Item, chosen: Sequence[Instance]) -> None:
    match item.action:
        case "restart_failed" | "clear":
            changes.clear(run, chosen)
        case "kill":
            changes.set_state(run, chosen, "failed")
        case "skip":
            changes.set_state(run, chosen, "skipped")
        case "mark_success":
            mark_success(changes, run, chosen)
        case "mark_failed" if item.ends_run:
            # As Airflow's own mark of a run does it: what had not started did not fail.
            changes.set_state(run, [one for one in chosen if one.state is None], "skipped")
            changes.set_state(run, [one for one in chosen if one.state is not None], "failed")
        case "mark_failed":
            changes.set_state(run, chosen, "failed")
    if item.ends_run:
        changes.end(run, "success" if item.action == "mark_success" else "failed")


def mark_success(changes: RunChanges, run: Run, chosen: Sequence[Instance]) -> None:
    """End these as successful, and clear what failed because of them, so that the run goes on past them."""
    changes.set_state(run, chosen, "success")
    if not chosen:
        return
    marked = {(instance.task_id, instance.map_index) for instance in chosen}
    behind = [
        instance
        for instance in with_downstream(changes, run, chosen)
        if (instance.task_id, instance.map_index) not in marked and instance.state in FAILED
    ]
    changes.clear(run, behind)
