"""Look at a run, its task instances, and the tasks of a DAG; nothing changes."""

from __future__ import annotations

from collections.abc import Sequence

from xtended.access import require_dags
from xtended.airflow_host.runs import Instance, Run
from xtended.airflow_host.shapes import DagShape
from xtended.api import Call
from xtended.naming_runs import RunRef, TaskRef, instances_of, known_dag, known_shape, named_run


def run_of(call: Call, ref: RunRef) -> Run:
    """Raises Forbidden, NotFound, BadRequest."""
    require_dags(call.services.host.identity, call.rule, call.user, [ref.dag_id])
    with call.services.host.runs.read() as reader:
        return named_run(reader, ref)


def newest_runs(call: Call, dag_id: str, state: str | None, limit: int) -> Sequence[Run]:
    """What was created last first. Raises Forbidden, NotFound."""
    require_dags(call.services.host.identity, call.rule, call.user, [dag_id])
    with call.services.host.runs.read() as reader:
        known_dag(reader, dag_id)
        return reader.newest_runs(dag_id, state, limit)


def instances(call: Call, ref: RunRef, task: TaskRef) -> tuple[Run, Sequence[Instance]]:
    """A run and the instances of one of its tasks, at least one. Raises Forbidden, NotFound, BadRequest."""
    require_dags(call.services.host.identity, call.rule, call.user, [ref.dag_id])
    with call.services.host.runs.read() as reader:
        run = named_run(reader, ref)
        return run, instances_of(reader, run, task)


def unmet(call: Call, ref: RunRef, task: TaskRef) -> list[tuple[Instance, str, str]]:
    """What keeps a task's instances from being queued: dependency and reason. Raises Forbidden, NotFound."""
    require_dags(call.services.host.identity, call.rule, call.user, [ref.dag_id])
    with call.services.host.runs.read() as reader:
        run = named_run(reader, ref)
        return reader.unmet(run, instances_of(reader, run, task))


def shape(call: Call, dag_id: str) -> DagShape:
    """Raises Forbidden, NotFound."""
    require_dags(call.services.host.identity, call.rule, call.user, [dag_id])
    with call.services.host.runs.read() as reader:
        known_dag(reader, dag_id)
        return known_shape(reader, dag_id)


def tree(shape: DagShape) -> list[str]:
    """The tasks as indented lines, from the roots down; what stands further up already is not spread out again."""
    lines: list[str] = []
    spread: set[str] = set()
    roots = [task_id for task_id in shape.in_order() if not shape.tasks[task_id].upstream]
    waiting = [(task_id, 0) for task_id in reversed(roots)]
    while waiting:
        task_id, depth = waiting.pop()
        task = shape.tasks[task_id]
        again = task_id in spread and bool(task.downstream)
        lines.append(f"{'    ' * depth}<Task({task.operator}): {task_id}>{' ...' if again else ''}")
        if not again:
            spread.add(task_id)
            waiting.extend((child, depth + 1) for child in sorted(task.downstream, reverse=True))
    return lines
