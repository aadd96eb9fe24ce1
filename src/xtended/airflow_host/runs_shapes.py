"""A DAG from its serialised form as a `DagShape`: both hosts' DAGs and tasks answer to the same names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from xtended.airflow_host.shapes import DagShape, TaskShape

IsMapped = Callable[[Any], bool]


def shape_of(dag: Any, is_mapped: IsMapped) -> DagShape:
    """The DAG's tasks and groups, linear in their number where no setup is among them."""
    tasks = dag.task_dict
    with_setups = any(task.is_setup for task in tasks.values())
    return DagShape(
        dag.dag_id,
        {task_id: _task(task, is_mapped, with_setups=with_setups) for task_id, task in tasks.items()},
        {
            group_id: frozenset(task.task_id for task in group.iter_tasks())
            for group_id, group in dag.task_group_dict.items()
            if group_id
        },
    )


def _task(task: Any, is_mapped: IsMapped, *, with_setups: bool) -> TaskShape:
    mapped = is_mapped(task)
    group = task.get_closest_mapped_task_group()
    return TaskShape(
        task_id=task.task_id,
        upstream=frozenset(task.upstream_task_ids),
        downstream=frozenset(task.downstream_task_ids),
        trigger_rule=str(getattr(task.trigger_rule, "value", task.trigger_rule)),
        operator=task.task_type,
        is_setup=bool(task.is_setup),
        is_teardown=bool(task.is_teardown),
        mapped=mapped,
        mapped_group=None if group is None else group.group_id,
        expands_over=frozenset(_expands_over(task, mapped=mapped)),
        # Airflow asks for a teardown's setups through its trigger rule alone.
        setups=frozenset(setup.task_id for setup in task.get_upstreams_only_setups())
        if with_setups and not task.is_teardown
        else frozenset(),
    )


def _expands_over(task: Any, *, mapped: bool) -> Iterator[str]:
    if mapped:
        for source in task.iter_mapped_dependencies():
            yield source.task_id
    for group in task.iter_mapped_task_groups():
        for source in group.iter_mapped_dependencies():
            yield source.task_id
