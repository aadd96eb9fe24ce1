"""Control single task instances of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from xtended import clearing, executing, looking, running
from xtended.airflow_host.runs import Instance, Run
from xtended.api import Call
from xtended.clearing import Clearing
from xtended.naming_runs import RunRef, TaskRef, date_text


def kill_running_tasks(
    call: Call,
    dag_id: str,
    run_id: str | None = None,
    execution_date: str | None = None,
    task_id: str | None = None,
    map_index: int | None = None,
    *,
    wait: bool = False,
) -> Mapping[str, Any]:
    task = None if task_id is None or task_id.lower() == "none" else TaskRef(task_id, map_index)
    run, killed = running.kill(call, RunRef(dag_id, run_id, execution_date), task)
    processes = running.wait_until_gone(call, killed) if wait else {}
    tasks = [
        {**_state(instance), "process": processes.get((instance.task_id, instance.map_index))}
        for instance in killed
    ]
    return {
        "status": "success",
        "message": f"tasks in {run.run_id} killed!!",
        "run_id": run.run_id,
        "tasks": tasks,
    }


def skip_task_instance(
    call: Call,
    dag_id: str,
    task_id: str,
    run_id: str | None = None,
    execution_date: str | None = None,
    map_index: int | None = None,
    *,
    include_downstream: bool = False,
) -> Mapping[str, Any]:
    ref, task = RunRef(dag_id, run_id, execution_date), TaskRef(task_id, map_index)
    run, skipped = running.skip(call, ref, task, include_downstream=include_downstream)
    return {
        "status": "success",
        "message": f"<TaskInstance: {dag_id}.{task_id} {_when(run)} [skipped]> skipped!!",
        "run_id": run.run_id,
        "tasks": [_state(instance) for instance in skipped],
    }


def _when(run: Run) -> str:
    return str(run.logical_date or run.run_id)


def _state(instance: Instance) -> dict[str, Any]:
    return {"task_id": instance.task_id, "map_index": instance.map_index, "state_before": instance.state}


def task_state(
    call: Call,
    dag_id: str,
    task_id: str,
    run_id: str | None = None,
    execution_date: str | None = None,
    map_index: int | None = None,
) -> Mapping[str, Any]:
    ref, task = RunRef(dag_id, run_id, execution_date), TaskRef(task_id, map_index)
    run, found = looking.instances(call, ref, task)
    states = {instance.state for instance in found}
    state = states.pop() if len(states) == 1 else None
    return {
        "status": "success",
        "message": f"{dag_id}.{task_id} of {run.run_id}: {state}",
        "state": state,
        "run_id": run.run_id,
        "instances": [{"map_index": instance.map_index, "state": instance.state} for instance in found],
    }


def task_instance_detail(
    call: Call,
    dag_id: str,
    task_id: str,
    run_id: str | None = None,
    execution_date: str | None = None,
    map_index: int | None = None,
) -> Mapping[str, Any]:
    ref, task = RunRef(dag_id, run_id, execution_date), TaskRef(task_id, map_index)
    run, found = looking.instances(call, ref, task)
    details = [_detail(dag_id, instance) for instance in found]
    message = f"{dag_id}.{task_id} of {run.run_id}"
    return {"status": "success", "message": message, "runId": run.run_id, **details[0], "instances": details}


def _detail(dag_id: str, instance: Instance) -> dict[str, Any]:
    return {
        "taskId": instance.task_id,
        "dagId": dag_id,
        "mapIndex": instance.map_index,
        "state": instance.state,
        "tryNumber": instance.try_number,
        "maxTries": instance.max_tries,
        "startDate": date_text(instance.start_date),
        "endDate": date_text(instance.end_date),
        "duration": instance.duration,
        "operator": instance.operator,
        "hostname": instance.hostname or None,
    }


def list_tasks(call: Call, dag_id: str, *, tree: bool = False) -> Mapping[str, Any]:
    shape = looking.shape(call, dag_id)
    ordered = shape.in_order()
    return {
        "status": "success",
        "message": "\n".join(looking.tree(shape) if tree else ordered),
        "dag_id": dag_id,
        "tasks": [
            {
                "task_id": task_id,
                "operator": shape.tasks[task_id].operator,
                "trigger_rule": shape.tasks[task_id].trigger_rule,
                "mapped": shape.tasks[task_id].mapped,
                "downstream": sorted(shape.tasks[task_id].downstream),
            }
            for task_id in ordered
        ],
    }


def clear(
    call: Call,
    dag_id: str,
    subdir: str | None = None,
    *,
    no_confirm: bool = False,
    exclude_subdags: bool = False,
    **options: Any,
) -> Mapping[str, Any]:
    del subdir, no_confirm, exclude_subdags  # of the older command line; nothing here depends on them
    wanted = Clearing(dag_id, **options)
    cleared = clearing.clear(call, wanted)
    verb = "would be cleared" if wanted.dry_run else "cleared"
    return {
        "status": "success",
        "message": f"{len(cleared)} task instance(s) {verb}",
        "dry_run": wanted.dry_run,
        "clear_task_count": len(cleared),
        "tasks": [{"run_id": run.run_id, **_state(instance)} for run, instance in cleared],
    }


def render(
    call: Call,
    dag_id: str,
    task_id: str,
    run_id: str | None = None,
    execution_date: str | None = None,
    map_index: int | None = None,
    subdir: str | None = None,
) -> Mapping[str, Any]:
    del subdir  # of the older command line; nothing here depends on it
    ref, task = RunRef(dag_id, run_id, execution_date), TaskRef(task_id, map_index)
    run, found = executing.rendered(call, ref, task)
    return {
        "status": "success",
        "message": "\n".join(line for _, _, fields in found for line in _properties(fields)),
        "run_id": run.run_id,
        "instances": [
            {"map_index": instance.map_index, "from_try": kept, "fields": fields}
            for instance, kept, fields in found
        ],
    }


def _properties(fields: Mapping[str, Any]) -> Iterator[str]:
    """As the older command line printed them."""
    for name, value in fields.items():
        yield from (_RULE, f"# property: {name}", _RULE, str(value), "")


_RULE = "# " + "-" * 58


def task_failed_deps(
    call: Call,
    dag_id: str,
    task_id: str,
    run_id: str | None = None,
    execution_date: str | None = None,
    map_index: int | None = None,
) -> Mapping[str, Any]:
    unmet = looking.unmet(call, RunRef(dag_id, run_id, execution_date), TaskRef(task_id, map_index))
    lines = [f"{name}: {reason}" for _, name, reason in unmet]
    heading = "Task instance dependencies not met:" if lines else "Task instance dependencies are all met."
    return {
        "status": "success",
        "message": "\n".join([heading, *lines]),
        "dependencies": [
            {"map_index": instance.map_index, "name": name, "reason": reason}
            for instance, name, reason in unmet
        ],
    }


# The older GET forms differ in the spec alone: deprecated, and without the session cookie.
kill_running_tasks_by_get = kill_running_tasks
skip_task_instance_by_get = skip_task_instance
clear_by_get = clear
