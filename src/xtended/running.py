"""Restart, kill and skip task instances of a run, and run chosen tasks alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from xtended import partial_runs
from xtended.access import Rule, require_dags
from xtended.airflow_host.base import AuditEntry
from xtended.airflow_host.runs import FAILED, Instance, NewRun, Run, RunChanges, RunReader
from xtended.airflow_host.shapes import DagShape
from xtended.api import Call
from xtended.naming_runs import (
    RunRef,
    TaskRef,
    instances_of,
    known_shape,
    name,
    named_run,
    parse_date,
    runnable_dag,
)
from xtended.problems import Conflict, NotFound
from xtended.starting import parse_conf

T = TypeVar("T")

KILLABLE = frozenset(
    {
        None,
        "scheduled",
        "queued",
        "running",
        "deferred",
        "awaiting_input",
        "up_for_retry",
        "up_for_reschedule",
        "restarting",
    }
)
EDIT_TASKS = Rule("each", "PUT", "TASK_INSTANCE")
# Airflow's supervisor asks every few seconds whether its task may go on, and then gives it time to end.
WAIT_SECONDS = 30.0
LOOK_SECONDS = 0.25


def change_run(
    call: Call, event: str, ref: RunRef, work: Callable[[RunChanges, Run], tuple[T, Mapping[str, Any]]]
) -> T:
    """Do `work` on a run that is held, with the caller's right on it and an audit entry.

    `work` answers its result, and what the audit entry says. Raises what `work` raises, Forbidden, NotFound.
    """
    require_dags(call.services.host.identity, call.rule, call.user, [ref.dag_id])

    def transaction(changes: RunChanges) -> T:
        run = changes.hold(named_run(changes, ref))
        result, details = work(changes, run)
        changes.audit(AuditEntry(event, call.user, (run.dag_id,), {"run_id": run.run_id, **details}))
        return result

    return call.services.host.runs.change(transaction)


def restart_failed(call: Call, ref: RunRef) -> tuple[int, int]:
    """Clear the failed tasks and all that depends on them. Answers how many failed, and were cleared."""

    def work(changes: RunChanges, run: Run) -> tuple[tuple[int, int], Mapping[str, Any]]:
        runnable_dag(changes, run.dag_id)
        failed, cleared = instances_to_restart(changes, run)
        changes.clear(run, cleared)
        counts = {"failed_task_count": len(failed), "clear_task_count": len(cleared)}
        return (len(failed), len(cleared)), counts

    return change_run(call, "xtended.restart_failed_task", ref, work)


def instances_to_restart(
    changes: RunReader, run: Run, task: TaskRef | None = None
) -> tuple[list[Instance], list[Instance]]:
    """The failed instances of a run, or of one task, and those with everything that depends on them.

    Raises NotFound where there is none.
    """
    everything = changes.instances(run)
    candidates = everything if task is None else instances_of(changes, run, task)
    failed = [instance for instance in candidates if instance.state == "failed"]
    if not failed:
        # Upstream tasks may have been cleared alone since.
        failed = [instance for instance in candidates if instance.state in FAILED]
    if not failed:
        which = "no failed tasks" if task is None else f"no failed instance of task {task.task_id!r}"
        raise NotFound(f"Run {run.run_id!r} of DAG {run.dag_id!r} has {which}.")
    shape = known_shape(changes, run.dag_id, run)
    seeds = {(instance.task_id, instance.map_index) for instance in failed}
    reached = seeds | shape.downstream_instances(seeds)
    setups = setups_again(shape, {task_id for task_id, _ in reached})
    cleared = [
        instance for instance in everything if is_among(instance, reached) or instance.task_id in setups
    ]
    return failed, [instance for instance in cleared if instance.state != "removed"]


def is_among(instance: Instance, reached: Collection[tuple[str, int | None]]) -> bool:
    """Whether this instance is one of these, where None as the map index stands for all of a task's."""
    return (instance.task_id, instance.map_index) in reached or (instance.task_id, None) in reached


def setups_again(shape: DagShape, task_ids: Collection[str]) -> set[str]:
    """Setups that these tasks need once more, because what they set up has been torn down."""
    tasks = [shape.tasks[task_id] for task_id in task_ids if task_id in shape.tasks]
    return {
        setup
        for task in tasks
        for setup in task.setups
        if any(shape.tasks[child].is_teardown for child in shape.tasks[setup].downstream)
    }


def kill(call: Call, ref: RunRef, task: TaskRef | None) -> tuple[Run, list[Instance]]:
    """End the unfinished instances of a task, or of the run, as failed. Answers them as they were before."""

    def work(changes: RunChanges, run: Run) -> tuple[tuple[Run, list[Instance]], Mapping[str, Any]]:
        if task is None:
            doomed = changes.instances(run, states=KILLABLE)
        else:
            known = instances_of(changes, run, task)
            doomed = [instance for instance in known if instance.state in KILLABLE]
        changes.set_state(run, doomed, "failed")
        return (run, doomed), {"killed": _names(doomed)}

    return change_run(call, "xtended.kill_running_tasks", ref, work)


def wait_until_gone(call: Call, killed: Sequence[Instance]) -> dict[tuple[str, int], str]:
    """Wait, bounded, for killed processes and all that they have started.

    Each is `gone`, `running`, or `elsewhere` (on another machine).
    """
    seen: dict[tuple[str, int], str] = {}
    waiting: dict[tuple[str, int], Callable[[], bool]] = {}
    for one in killed:
        if one.state == "running" and one.pid:
            alive = call.services.host.runs.watch_process(one)
            if alive is None:
                seen[one.task_id, one.map_index] = "elsewhere"
            else:
                waiting[one.task_id, one.map_index] = alive
    deadline = time.monotonic() + WAIT_SECONDS
    while waiting:
        for key, alive in list(waiting.items()):
            if not alive():
                seen[key] = "gone"
                del waiting[key]
        if not waiting or time.monotonic() > deadline:
            break
        time.sleep(LOOK_SECONDS)
    return {**seen, **dict.fromkeys(waiting, "running")}


def skip(call: Call, ref: RunRef, task: TaskRef, *, include_downstream: bool) -> tuple[Run, list[Instance]]:
    """Mark a task's instances skipped, and those that depend on them where asked for. Answers them."""

    def work(changes: RunChanges, run: Run) -> tuple[tuple[Run, list[Instance]], Mapping[str, Any]]:
        chosen = instances_of(changes, run, task)
        if include_downstream:
            chosen = with_downstream(changes, run, chosen)
        changed = [instance for instance in chosen if instance.state not in ("skipped", "removed")]
        changes.set_state(run, changed, "skipped")
        return (run, chosen), {"skipped": _names(changed)}

    return change_run(call, "xtended.skip_task_instance", ref, work)


def with_downstream(changes: RunReader, run: Run, chosen: Sequence[Instance]) -> list[Instance]:
    """These instances and all that depend on them."""
    shape = known_shape(changes, run.dag_id, run)
    seeds = {(instance.task_id, instance.map_index) for instance in chosen}
    reached = seeds | shape.downstream_instances(seeds)
    task_ids = {task_id for task_id, _ in reached}
    return [instance for instance in changes.instances(run, task_ids) if is_among(instance, reached)]


@dataclass(frozen=True)
class Selection:
    """What `run_task_instance` is asked for."""

    dag_id: str
    run_id: str | None
    tasks: Sequence[str]
    regex: str | None
    conf: str | None
    execution_date: str | None


def run_selected(call: Call, selection: Selection) -> tuple[Run, list[str]]:
    """Create a run in which the selected tasks alone run. Answers it and their ids."""
    identity, dag_id = call.services.host.identity, selection.dag_id
    require_dags(identity, call.rule, call.user, [dag_id])
    require_dags(identity, EDIT_TASKS, call.user, [dag_id])
    conf = parse_conf(selection.conf)
    date = parse_date(selection.execution_date) or datetime.now(UTC)

    def transaction(changes: RunChanges) -> tuple[Run, list[str]]:
        runnable_dag(changes, dag_id)
        shape = known_shape(changes, dag_id)
        selected = partial_runs.selected_tasks(shape, selection.tasks, selection.regex)
        ends = partial_runs.ends(shape, selected)
        run = changes.create(NewRun(dag_id, selection.run_id, date, conf, call.user.name, ends=ends))
        names = sorted(selected)
        missing = sorted(selected - {instance.task_id for instance in changes.instances(run, selected)})
        if missing:
            raise Conflict(
                f"{', '.join(repr(task_id) for task_id in missing)} of DAG {dag_id!r} does not run on this "
                "logical date: see its start_date and end_date.",
                task_ids=missing,
            )
        details = {"run_id": run.run_id, "tasks": names}
        changes.audit(AuditEntry("xtended.run_task_instance", call.user, (dag_id,), details))
        return run, names

    return call.services.host.runs.change(transaction)


def _names(instances: Sequence[Instance]) -> list[str]:
    return [name(instance) for instance in instances]
