"""How the tasks of a DAG hang together, as plain data: what run control works on, on either host."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TaskShape:
    """One task and its place in the DAG."""

    task_id: str
    upstream: frozenset[str]
    downstream: frozenset[str]
    trigger_rule: str
    operator: str = ""
    is_setup: bool = False
    is_teardown: bool = False
    mapped: bool = False
    mapped_group: str | None = None
    """The closest mapped task group that the task is in: its instances pair up within it by map index."""
    expands_over: frozenset[str] = frozenset()
    """Tasks whose results say how many instances this one has."""
    setups: frozenset[str] = frozenset()
    """Setups that Airflow wants successful before this task, direct upstream or not."""


@dataclass(frozen=True)
class DagShape:
    """A DAG's tasks by id, and its task groups with all the tasks in each."""

    dag_id: str
    tasks: Mapping[str, TaskShape]
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def descendants(self, task_ids: Collection[str]) -> set[str]:
        """Every task downstream of these; one of these only where it is downstream of another."""
        return self._reach(task_ids, lambda task: task.downstream)

    def ancestors(self, task_ids: Collection[str]) -> set[str]:
        """Every task upstream of these; one of these only where it is upstream of another."""
        return self._reach(task_ids, lambda task: task.upstream)

    def _reach(self, task_ids: Collection[str], step: Callable[[TaskShape], Iterable[str]]) -> set[str]:
        found: set[str] = set()
        waiting = deque(task_id for task_id in task_ids if task_id in self.tasks)
        while waiting:
            for task_id in step(self.tasks[waiting.popleft()]):
                if task_id in self.tasks and task_id not in found:
                    found.add(task_id)
                    waiting.append(task_id)
        return found

    def downstream_instances(self, seeds: Iterable[tuple[str, int]]) -> set[tuple[str, int | None]]:
        """What depends on these (task id, map index) pairs; None: on every instance of that task.

        Inside a mapped task group only the instance with the same map index depends on a seed.
        """
        found: set[tuple[str, int | None]] = set()
        waiting: deque[tuple[str, int | None]] = deque(seeds)
        while waiting:
            task_id, map_index = waiting.popleft()
            task = self.tasks.get(task_id)
            for child_id in task.downstream if task else ():
                child = self.tasks.get(child_id)
                if task is None or child is None:
                    continue
                paired = child.mapped_group is not None and child.mapped_group == task.mapped_group
                reached = (child_id, map_index if paired and map_index != -1 else None)
                if reached not in found and (child_id, None) not in found:
                    found.add(reached)
                    waiting.append(reached)
        return found

    def in_order(self) -> list[str]:
        """The ids of all tasks, each after those that it depends on, and by name where that leaves a choice."""
        missing = {task_id: len(task.upstream & self.tasks.keys()) for task_id, task in self.tasks.items()}
        ready = [task_id for task_id, count in missing.items() if count == 0]
        heapq.heapify(ready)
        ordered: list[str] = []
        while ready:
            task_id = heapq.heappop(ready)
            ordered.append(task_id)
            for child_id in self.tasks[task_id].downstream & self.tasks.keys():
                missing[child_id] -= 1
                if missing[child_id] == 0:
                    heapq.heappush(ready, child_id)
        return ordered
