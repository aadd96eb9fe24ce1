"""Clear tasks of many runs of a DAG at once, as if they had never run."""

from __future__ import annotations

import re
from dataclasses import dataclass

from xtended.access import require_dags
from xtended.airflow_host.base import AuditEntry
from xtended.airflow_host.runs import FAILED, Instance, Run, RunChanges, RunReader
from xtended.airflow_host.shapes import DagShape
from xtended.api import Call
from xtended.naming_runs import RunRef, known_shape, named_run, parse_date, runnable_dag
from xtended.problems import BadRequest, NotFound
from xtended.running import is_among, setups_again


@dataclass(frozen=True)
class Clearing:
    """Which tasks of which runs of a DAG."""

    dag_id: str
    run_id: str | None = None
    task_regex: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    upstream: bool = False
    downstream: bool = False
    only_failed: bool = False
    only_running: bool = False
    dry_run: bool = False


def clear(call: Call, wanted: Clearing) -> list[tuple[Run, Instance]]:
    """Clear them, all or none; answers each as it was before. Raises Forbidden, NotFound, BadRequest, Conflict."""
    require_dags(call.services.host.identity, call.rule, call.user, [wanted.dag_id])

    def transaction(changes: RunChanges) -> list[tuple[Run, Instance]]:
        runnable_dag(changes, wanted.dag_id, paused_too=True)
        result: list[tuple[Run, Instance]] = []
        for found in _runs(changes, wanted):
            run = found if wanted.dry_run else changes.hold(found)
            doomed = instances_to_clear(changes, run, wanted)
            if doomed and not wanted.dry_run:
                changes.clear(run, doomed)
            result.extend((run, instance) for instance in doomed)
        if not wanted.dry_run:
            runs = sorted({run.run_id for run, _ in result})
            details = {"run_ids": runs, "cleared": len(result)}
            changes.audit(AuditEntry("xtended.clear", call.user, (wanted.dag_id,), details))
        return result

    return call.services.host.runs.change(transaction)


def _runs(reader: RunReader, wanted: Clearing) -> list[Run]:
    if wanted.run_id is not None:
        return [named_run(reader, RunRef(wanted.dag_id, wanted.run_id, None))]
    return reader.runs(wanted.dag_id, parse_date(wanted.start_date), parse_date(wanted.end_date))


def instances_to_clear(reader: RunReader, run: Run, wanted: Clearing) -> list[Instance]:
    """The instances of a run that this clearing is about."""
    shape = known_shape(reader, run.dag_id, run)
    everything = [one for one in reader.instances(run) if one.state != "removed"]
    if wanted.task_regex is not None:
        chosen = _matching(shape, wanted.task_regex)
        reached: set[tuple[str, int | None]] = {(task_id, None) for task_id in chosen}
        if wanted.upstream:
            reached |= {(task_id, None) for task_id in shape.ancestors(chosen)}
        if wanted.downstream:
            reached |= {(task_id, None) for task_id in shape.descendants(chosen)}
        everything = [one for one in everything if is_among(one, reached)]
    if wanted.only_failed or wanted.only_running:
        states = (FAILED if wanted.only_failed else set()) | ({"running"} if wanted.only_running else set())
        everything = [one for one in everything if one.state in states]
    return with_setups(reader, run, everything)


def with_setups(reader: RunReader, run: Run, chosen: list[Instance]) -> list[Instance]:
    """These instances, and those of the setups that they need once more."""
    task_ids = {instance.task_id for instance in chosen}
    setups = setups_again(known_shape(reader, run.dag_id, run), task_ids) - task_ids
    return chosen + reader.instances(run, setups) if setups else chosen


def _matching(shape: DagShape, regex: str) -> set[str]:
    try:
        pattern = re.compile(regex)
    except re.error as error:
        raise BadRequest(f"{regex!r} is not a regular expression: {error}.") from None
    found = {task_id for task_id in shape.tasks if pattern.search(task_id)}
    if not found:
        raise NotFound(f"DAG {shape.dag_id!r} has no task whose id matches {regex!r}.")
    return found
