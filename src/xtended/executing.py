"""Execute the code of one task apart from Airflow's scheduler: try it, or render its templates."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from xtended import partial_runs
from xtended.access import require_dags
from xtended.airflow_host.base import AuditEntry
from xtended.airflow_host.import_problems import ProblemReader
from xtended.airflow_host.runs import Instance, NewRun, Run, RunChanges, RunReader
from xtended.airflow_host.task_orders import TaskOrder
from xtended.api import Call
from xtended.naming_runs import (
    RunRef,
    TaskRef,
    instances_of,
    known_shape,
    named_run,
    parse_date,
    refuse_unknown_tasks,
    runnable_dag,
)
from xtended.problems import BadRequest, Conflict, ExecutionOff, ExecutionTimeout, RenderFailed
from xtended.running import EDIT_TASKS
from xtended.services import MEGABYTE
from xtended.task_processes import TaskProcess

_NOTE = "A test of one task; deleted when it has ended."


@dataclass(frozen=True)
class TestRequest:
    """What `test` is asked for."""

    dag_id: str
    task_id: str
    run_id: str | None = None
    execution_date: str | None = None
    map_index: int | None = None
    dryrun: bool = False
    task_params: str | None = None


def require_execution(call: Call) -> None:
    """Raises ExecutionOff unless the settings allow DAG code to be executed."""
    if not call.services.settings.allow_task_execution:
        raise ExecutionOff(
            "Executing tasks is turned off here: it takes [xtended_api] allow_task_execution = True."
        )


def start_test(call: Call, wanted: TestRequest) -> TaskProcess:
    """Start the task in a process of its own, in a run of its own that is deleted with it.

    Nothing of it stays in the database, and no scheduler looks at the run: it has ended from the start. Raises
    ExecutionOff, Forbidden, NotFound, BadRequest, Conflict (the DAG is stale or broken), Unavailable.
    """
    require_execution(call)
    identity, dag_id = call.services.host.identity, wanted.dag_id
    require_dags(identity, call.rule, call.user, [dag_id])
    require_dags(identity, EDIT_TASKS, call.user, [dag_id])
    params = _params(wanted.task_params)

    def transaction(changes: RunChanges) -> Run:
        runnable_dag(changes, dag_id, paused_too=True)
        shape = known_shape(changes, dag_id)
        refuse_unknown_tasks(shape, [wanted.task_id])
        if shape.tasks[wanted.task_id].mapped is not (wanted.map_index is not None):
            needs = "needs a map_index" if wanted.map_index is None else "is not mapped, so has no map index"
            raise BadRequest(f"Task {wanted.task_id!r} of DAG {dag_id!r} {needs}.")
        others = shape.tasks.keys() - {wanted.task_id}
        run = changes.create(
            NewRun(
                dag_id,
                f"test__{uuid4()}",
                _free_date(changes, wanted),
                None,
                call.user.name,
                note=_NOTE,
                ends=dict.fromkeys(others, (partial_runs.SKIPPED, None)),
            )
        )
        changes.end(run, "success")
        details = {"task_id": wanted.task_id, "run_id": run.run_id, "dryrun": wanted.dryrun}
        changes.audit(AuditEntry("xtended.test", call.user, (dag_id,), details))
        return run

    run = call.services.host.runs.change(transaction)
    order = TaskOrder(
        what="render" if wanted.dryrun else "test",
        dag_id=dag_id,
        run_id=run.run_id,
        task_id=wanted.task_id,
        map_index=-1 if wanted.map_index is None else wanted.map_index,
        params=params,
    )
    return _start(call, order, run)


def _free_date(reader: RunReader, wanted: TestRequest) -> datetime:
    """The logical date that is asked for, or the first moment after it that no run of the DAG has."""
    date = parse_date(wanted.execution_date) or datetime.now(UTC)
    if wanted.run_id is not None:
        date = (
            named_run(reader, RunRef(wanted.dag_id, wanted.run_id, wanted.execution_date)).logical_date
            or date
        )
    while reader.run(wanted.dag_id, None, date) is not None:
        date += timedelta(microseconds=1)
    return date


def _start(call: Call, order: TaskOrder, temporary: Run | None) -> TaskProcess:
    host = call.services.host

    def cleanup() -> None:
        if temporary is not None:
            host.runs.change(lambda changes: changes.delete(temporary))

    timeout = call.services.settings.task_timeout
    return TaskProcess(host.task_program(), order, host.home(), timeout, cleanup)


def rendered(
    call: Call, ref: RunRef, task: TaskRef
) -> tuple[Run, Sequence[tuple[Instance, bool, Mapping[str, Any]]]]:
    """The templated fields of a task's instances, and whether they are what Airflow kept of a try.

    Those of an instance that has not run are rendered now. Raises Forbidden, NotFound, BadRequest, and for the
    latter ExecutionOff, RenderFailed, ExecutionTimeout, Unavailable.
    """
    require_dags(call.services.host.identity, call.rule, call.user, [ref.dag_id])
    with call.services.host.runs.read() as reader:
        run = named_run(reader, ref)
        instances = instances_of(reader, run, task)
        kept = reader.rendered(run, task.task_id)
    if len([one for one in instances if one.map_index not in kept]) > 1:
        raise Conflict(
            f"Several instances of task {task.task_id!r} have not run; name one by map_index.",
            task_ids=[task.task_id],
        )
    found = []
    for instance in instances:
        fields = kept.get(instance.map_index)
        found.append(
            (instance, fields is not None, _render(call, run, instance) if fields is None else fields)
        )
    return run, found


def _render(call: Call, run: Run, instance: Instance) -> Mapping[str, Any]:
    require_execution(call)
    require_dags(call.services.host.identity, EDIT_TASKS, call.user, [run.dag_id])
    process = _start(
        call, TaskOrder("render", run.dag_id, run.run_id, instance.task_id, instance.map_index), None
    )
    for _ in process.lines():
        pass
    ending = process.ending
    assert ending is not None  # noqa: S101 - its lines have ended
    if ending.timed_out:
        raise ExecutionTimeout(
            f"Rendering took longer than {call.services.settings.task_timeout:g} s ([xtended_api] task_timeout)."
        )
    if "fields" not in ending.result:
        raise RenderFailed(
            f"The templates of {instance.task_id!r} can't be rendered: {_said(call, run.dag_id, ending.result)}"
        )
    fields: Mapping[str, Any] = ending.result["fields"]
    return fields


def _said(call: Call, dag_id: str, result: Mapping[str, Any]) -> str:
    """The exception of a process, without the server's folders."""
    if "error" not in result:
        return "its process ended early."
    host, settings = call.services.host, call.services.settings
    reader = ProblemReader(host.dag_folder(), settings.parse_memory_mb * MEGABYTE, [host.home()])
    return reader.read(dag_id, str(result["error"])).message


def _params(text: str | None) -> Mapping[str, Any] | None:
    if text is None or not text.strip():
        return None
    try:
        params = json.loads(text)
    except ValueError as error:
        raise BadRequest(f"task_params is not JSON: {error}.") from None
    if not isinstance(params, dict):
        raise BadRequest("task_params must be a JSON object.")
    return params
