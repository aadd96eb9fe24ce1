"""Which state each task that was not asked for ends in, so that Airflow's scheduler starts the others.

The scheduler goes by a task's trigger rule and the states of its direct upstream tasks, at every look. So a
task that is not to run is in its end state before the scheduler first sees the run: `skipped`, or, where a
task that is to run depends on it, the state that this task's trigger rule waits for.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from xtended.airflow_host.shapes import DagShape, TaskShape
from xtended.naming_runs import refuse_unknown_tasks
from xtended.problems import BadRequest, Conflict, NotFound

SUCCESS, SKIPPED, UPSTREAM_FAILED = "success", "skipped", "upstream_failed"
_ANY = (SUCCESS, SKIPPED, UPSTREAM_FAILED)
_DONE_WELL = (SUCCESS, SKIPPED)

# What a trigger rule accepts of an upstream task that does not run, best first; apart where the task also
# waits for one that runs: there a rule that is content with one upstream task must not start it too early.
_ALONE: Mapping[str, tuple[str, ...]] = {
    "all_success": (SUCCESS,),
    "all_failed": (UPSTREAM_FAILED,),
    "all_done": _ANY,
    "all_done_min_one_success": (SUCCESS,),
    "all_done_setup_success": _ANY,
    "all_skipped": (SKIPPED,),
    "always": _ANY,
    "one_done": (SUCCESS,),
    "one_failed": (UPSTREAM_FAILED,),
    "one_success": (SUCCESS,),
    "none_failed": _DONE_WELL,
    "none_failed_min_one_success": (SUCCESS,),
    "none_skipped": (SUCCESS, UPSTREAM_FAILED),
}
_BESIDE: Mapping[str, tuple[str, ...]] = {
    **_ALONE,
    "one_done": (SKIPPED, UPSTREAM_FAILED),
    "one_failed": _DONE_WELL,
    "one_success": (SKIPPED, UPSTREAM_FAILED),
    "none_failed_min_one_success": _DONE_WELL,
}


def selected_tasks(shape: DagShape, names: Collection[str], regex: str | None) -> frozenset[str]:
    """The tasks of these ids, of these task groups, and those whose id the regex is found in.

    Raises NotFound (which names all that are unknown) and BadRequest (no name, a wrong regex).
    """
    selected: set[str] = set()
    for name in names:
        selected |= shape.groups.get(name, frozenset({name}))
    refuse_unknown_tasks(shape, selected)
    if regex is not None:
        try:
            pattern = re.compile(regex)
        except re.error as error:
            raise BadRequest(f"{regex!r} is not a regular expression: {error}.") from None
        matching = {task_id for task_id in shape.tasks if pattern.search(task_id)}
        if not matching:
            raise NotFound(f"DAG {shape.dag_id!r} has no task whose id matches {regex!r}.")
        selected |= matching
    if not selected:
        raise BadRequest("No task is named: give tasks, regex, or both.")
    return frozenset(selected)


def ends(shape: DagShape, selected: frozenset[str]) -> dict[str, tuple[str, str | None]]:
    """The end state of each task that is not selected, and a note that says why where it is not skipped.

    Raises Conflict, naming the tasks, where the selected ones can't run alone in their order.
    """
    ancestors = shape.ancestors(selected) - selected
    _refuse_gaps(shape, selected, ancestors)
    _refuse_open_mappings(shape, selected)
    result: dict[str, tuple[str, str | None]] = {
        task_id: (SKIPPED, None) for task_id in shape.tasks if task_id not in selected
    }
    # Sorted, so that the same request is refused for the same task in every process.
    for task_id in sorted(ancestors):
        state, waiting = _state_for(shape, shape.tasks[task_id], selected)
        why = f"selected task {waiting}" if waiting else "the selected tasks"
        result[task_id] = (
            state,
            f"Not run: only selected tasks run here. {state!r} so that {why} can start.",
        )
    return result


def _refuse_gaps(shape: DagShape, selected: frozenset[str], ancestors: set[str]) -> None:
    """A task between two selected ones has ended before the first starts, so the second would not wait."""
    between = sorted(ancestors & shape.descendants(selected))
    if between:
        names = ", ".join(repr(task_id) for task_id in between)
        raise Conflict(
            f"{names} of DAG {shape.dag_id!r} lie between the selected tasks: without them the order of the "
            "others can't be kept. Select them too, or run the tasks one after the other.",
            task_ids=between,
        )


def _refuse_open_mappings(shape: DagShape, selected: frozenset[str]) -> None:
    sources = {source for task_id in selected for source in shape.tasks[task_id].expands_over}
    missing = sorted(sources - selected)
    if missing:
        names = ", ".join(repr(task_id) for task_id in missing)
        raise Conflict(
            f"Mapped tasks of DAG {shape.dag_id!r} expand over what {names} return; select these too.",
            task_ids=missing,
        )


def _state_for(shape: DagShape, task: TaskShape, selected: frozenset[str]) -> tuple[str, str | None]:
    """The state that every selected task which depends on `task` can live with, and the first of those."""
    allowed: tuple[str, ...] = _ANY
    waiting = sorted(task.downstream & selected)
    for child_id in waiting:
        child = shape.tasks[child_id]
        accepted = (_BESIDE if child.upstream & selected else _ALONE).get(child.trigger_rule, (SUCCESS,))
        if child.trigger_rule == "all_done_setup_success" and task.is_setup:
            accepted = (SUCCESS,)
        allowed = tuple(state for state in allowed if state in accepted)
    if task.is_setup and any(task.task_id in shape.tasks[task_id].setups for task_id in selected):
        allowed = tuple(state for state in allowed if state == SUCCESS)
    if not allowed:
        names = ", ".join(repr(child_id) for child_id in waiting)
        raise Conflict(
            f"No end state of {task.task_id!r}, which is not selected, satisfies the trigger rules of all "
            f"the selected tasks that depend on it: {names}. Select fewer, or {task.task_id!r} too.",
            task_ids=[task.task_id, *waiting],
        )
    return allowed[0], repr(waiting[0]) if waiting else None
