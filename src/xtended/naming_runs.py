"""How a request names a DAG, a run and tasks, and the refusals where there is no such thing."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from xtended.airflow_host.runs import DagRecord, Instance, Run, RunReader
from xtended.airflow_host.shapes import DagShape
from xtended.problems import BadRequest, Conflict, NotFound

# A `+` that a client did not encode arrives as a space.
_LOST_PLUS = re.compile(r" (?=\d{2}:?\d{2}$)")


@dataclass(frozen=True)
class RunRef:
    """A run as the request names it."""

    dag_id: str
    run_id: str | None
    execution_date: str | None


@dataclass(frozen=True)
class TaskRef:
    """A task, or one instance of a mapped one, as the request names it."""

    task_id: str
    map_index: int | None = None


def parse_date(text: str | None) -> datetime | None:
    """An ISO 8601 date and time; without an offset it is in UTC. Raises BadRequest."""
    if text is None:
        return None
    try:
        date = datetime.fromisoformat(_LOST_PLUS.sub("+", text.strip()))
    except ValueError:
        raise BadRequest(f"{text!r} is not an ISO 8601 date, like 2026-01-02T03:04:05+00:00.") from None
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)


def known_dag(reader: RunReader, dag_id: str) -> DagRecord:
    """Raises NotFound."""
    dag = reader.dag(dag_id)
    if dag is None:
        raise NotFound(f"DAG {dag_id!r} is not known to Airflow.", dag_ids=[dag_id])
    return dag


def runnable_dag(reader: RunReader, dag_id: str, *, paused_too: bool = False) -> DagRecord:
    """A DAG whose tasks can start. Raises NotFound, and Conflict where it is stale, broken or paused."""
    dag = known_dag(reader, dag_id)
    if dag.stale:
        raise Conflict(f"DAG {dag_id!r} is stale: its file no longer defines it.", dag_ids=[dag_id])
    if dag.import_errors:
        raise Conflict(f"The file of DAG {dag_id!r} has import errors.", dag_ids=[dag_id])
    if dag.paused and not paused_too:
        raise Conflict(
            f"DAG {dag_id!r} is paused: its tasks would not start. Unpause it first.", dag_ids=[dag_id]
        )
    return dag


def named_run(reader: RunReader, ref: RunRef) -> Run:
    """The run by its id or its logical date. Raises BadRequest, NotFound."""
    dag_id, run_id, execution_date = ref.dag_id, ref.run_id, ref.execution_date
    if run_id is None and execution_date is None:
        raise BadRequest("At least one of run_id and execution_date is needed.")
    date = parse_date(execution_date)
    known_dag(reader, dag_id)
    run = reader.run(dag_id, run_id, date)
    if run is None and run_id is not None and " " in run_id:
        run = reader.run(dag_id, _LOST_PLUS.sub("+", run_id), date)
    if run is None or (date is not None and run.logical_date != date):
        name = f"run {run_id!r}" if run_id is not None else f"run of logical date {execution_date!r}"
        also = f" of logical date {execution_date!r}" if run_id is not None and date is not None else ""
        raise NotFound(f"DAG {dag_id!r} has no {name}{also}.", dag_ids=[dag_id])
    return run


def known_shape(reader: RunReader, dag_id: str, run: Run | None = None) -> DagShape:
    """Raises NotFound where the DAG was never serialised."""
    shape = reader.shape(dag_id, run)
    if shape is None:
        raise NotFound(f"DAG {dag_id!r} has not been serialised.", dag_ids=[dag_id])
    return shape


def refuse_unknown_tasks(shape: DagShape, task_ids: Collection[str]) -> None:
    """Raises NotFound, naming all of the tasks that the DAG does not have."""
    unknown = sorted(set(task_ids) - shape.tasks.keys())
    if unknown:
        names = ", ".join(repr(task_id) for task_id in unknown)
        raise NotFound(f"DAG {shape.dag_id!r} has no task {names}.", task_ids=unknown)


def instances_of(reader: RunReader, run: Run, task: TaskRef) -> list[Instance]:
    """Raises NotFound where the run has no such task, or the task no such map index."""
    found = reader.instances(run, [task.task_id])
    if not found:
        refuse_unknown_tasks(known_shape(reader, run.dag_id, run), [task.task_id])
        raise NotFound(
            f"Run {run.run_id!r} has no instance of task {task.task_id!r}.", task_ids=[task.task_id]
        )
    if task.map_index is None:
        return found
    one = [instance for instance in found if instance.map_index == task.map_index]
    if not one:
        raise NotFound(
            f"Task {task.task_id!r} of run {run.run_id!r} has no map index {task.map_index}.",
            task_ids=[task.task_id],
        )
    return one


def name(instance: Instance) -> str:
    """A task's id, with the map index of a mapped one."""
    return instance.task_id if instance.map_index < 0 else f"{instance.task_id}[{instance.map_index}]"


def date_text(date: datetime | None) -> str | None:
    """A date as the older API wrote it: microseconds, and the offset without a colon."""
    return None if date is None else date.strftime("%Y-%m-%dT%H:%M:%S.%f%z")
