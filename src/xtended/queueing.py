"""Have Airflow's executor run one task instance of a run, next and whatever its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xtended.airflow_host.runs import FINISHED, Ignored, Instance, Run, RunChanges
from xtended.api import Call
from xtended.bulk import mark_success
from xtended.executing import require_execution
from xtended.naming_runs import RunRef, TaskRef, instances_of, name, runnable_dag
from xtended.problems import Conflict
from xtended.running import change_run

# The scheduler looks at these again and again while the instance waits for its executor, and ends it then.
_TRIGGER_RULE = "Trigger Rule"
# What this operation itself takes care of: it has the run go on.
_OWN = frozenset({"Dagrun Running"})
_ACTIVE = frozenset({"queued", "running", "restarting", "deferred", "awaiting_input"})


@dataclass(frozen=True)
class RunRequest:
    """What `run` is asked for."""

    ref: RunRef
    task: TaskRef
    mark_success: bool = False
    force: bool = False
    pool: str | None = None
    ignore_all_dependencies: bool = False
    ignore_dependencies: bool = False
    ignore_depends_on_past: bool = False


def run(call: Call, wanted: RunRequest) -> tuple[Run, Instance]:
    """Queue the instance, or mark it successful. Answers its run, and it as it was.

    Raises ExecutionOff, Forbidden, NotFound, and Conflict (the DAG is paused, stale or broken; the instance runs
    already, or has ended and `force` is not set; its dependencies are not met).
    """
    require_execution(call)

    def work(changes: RunChanges, held: Run) -> tuple[tuple[Run, Instance], Mapping[str, Any]]:
        runnable_dag(changes, held.dag_id)
        found = instances_of(changes, held, wanted.task)
        if len(found) > 1:
            raise Conflict(
                f"Task {wanted.task.task_id!r} of run {held.run_id!r} has {len(found)} instances; "
                "name one by map_index."
            )
        instance = found[0]
        if wanted.mark_success:
            mark_success(changes, held, [instance])
        else:
            _queue(changes, held, instance, wanted)
        details = {
            "task": name(instance),
            "state_before": instance.state,
            "mark_success": wanted.mark_success,
        }
        return (held, instance), details

    return change_run(call, "xtended.run", wanted.ref, work)


def _queue(changes: RunChanges, held: Run, instance: Instance, wanted: RunRequest) -> None:
    if instance.state in _ACTIVE:
        raise Conflict(f"{name(instance)} of run {held.run_id!r} is {instance.state} already.")
    ignores_state = wanted.force or wanted.ignore_all_dependencies
    if instance.state in FINISHED and not ignores_state:
        raise Conflict(
            f"{name(instance)} of run {held.run_id!r} has ended as {instance.state}; set force to run it again."
        )
    if instance.state in FINISHED:
        changes.clear(held, [instance])
        instance = next(
            one for one in instances_of(changes, held, wanted.task) if one.map_index == instance.map_index
        )
    ignored = Ignored(
        all_deps=wanted.ignore_all_dependencies,
        task_deps=wanted.ignore_dependencies,
        depends_on_past=wanted.ignore_depends_on_past,
        ti_state=True,
    )
    unmet = [status for status in changes.unmet(held, [instance], ignored) if status[1] not in _OWN]
    if not unmet and (wanted.ignore_dependencies or wanted.ignore_all_dependencies):
        # The scheduler ends an instance that waits although its trigger rule can't be met any more.
        everything = changes.unmet(held, [instance], Ignored(ti_state=True))
        unmet = [status for status in everything if status[1] == _TRIGGER_RULE]
        hint = " The scheduler itself goes by this one; run_task_instance runs a task alone, in a run of its own."
    else:
        hint = ""
    if unmet:
        reasons = " ".join(f"{dependency}: {reason}" for _, dependency, reason in unmet)
        raise Conflict(
            f"The dependencies of {name(instance)} are not met. {reasons}{hint}",
            dependencies=[{"name": dependency, "reason": reason} for _, dependency, reason in unmet],
        )
    changes.queue(held, instance, wanted.pool)
