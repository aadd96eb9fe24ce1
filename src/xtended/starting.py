"""Start runs of a DAG, and let its scheduler start them or not."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from xtended.access import require_dags
from xtended.airflow_host.base import AuditEntry
from xtended.airflow_host.runs import NewRun, Run, RunChanges
from xtended.api import Call
from xtended.naming_runs import known_dag, parse_date, runnable_dag
from xtended.problems import BadRequest

ENDED = frozenset({"success", "failed"})
# What a client that waits may keep one of the server's threads for.
WAIT_SECONDS = 60.0
LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Trigger:
    """What `trigger_dag` is asked for."""

    dag_id: str
    run_id: str | None
    conf: str | None
    logical_date: str | None
    wait: bool


def trigger(call: Call, wanted: Trigger) -> Run:
    """Create a run, and wait for its end where asked for, a minute at most. Answers it as it is then.

    Raises Forbidden, NotFound, BadRequest (conf, dates, ids), Conflict (the run exists, the DAG can't run).
    """
    require_dags(call.services.host.identity, call.rule, call.user, [wanted.dag_id])
    conf = parse_conf(wanted.conf)
    date = parse_date(wanted.logical_date) or datetime.now(UTC)

    def transaction(changes: RunChanges) -> Run:
        # A run of a paused DAG waits until somebody unpauses it; who waits for its end can't have that.
        runnable_dag(changes, wanted.dag_id, paused_too=not wanted.wait)
        run = changes.create(NewRun(wanted.dag_id, wanted.run_id, date, conf, call.user.name))
        entry = AuditEntry("xtended.trigger_dag", call.user, (wanted.dag_id,), {"run_id": run.run_id})
        changes.audit(entry)
        return run

    run = call.services.host.runs.change(transaction)
    return _await_end(call, run) if wanted.wait else run


def _await_end(call: Call, run: Run) -> Run:
    deadline = time.monotonic() + WAIT_SECONDS
    while run.state not in ENDED and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        with call.services.host.runs.read() as reader:
            now = reader.run(run.dag_id, run.run_id, None)
        if now is None:
            break
        run = now
    return run


def set_paused(call: Call, dag_id: str, *, paused: bool) -> bool:
    """Pause or unpause a DAG; answers whether it was paused before. Raises Forbidden, NotFound."""
    require_dags(call.services.host.identity, call.rule, call.user, [dag_id])

    def transaction(changes: RunChanges) -> bool:
        before = known_dag(changes, dag_id)
        changes.set_paused(dag_id, paused=paused)
        event = "xtended.pause" if paused else "xtended.unpause"
        changes.audit(AuditEntry(event, call.user, (dag_id,), {"was_paused": before.paused}))
        return before.paused

    return call.services.host.runs.change(transaction)


def parse_conf(text: str | None) -> Mapping[str, Any]:
    """A run's conf, from JSON. Raises BadRequest."""
    if text is None or not text.strip():
        return {}
    try:
        conf = json.loads(text)
    except ValueError as error:
        raise BadRequest(f"conf is not JSON: {error}.") from None
    if not isinstance(conf, dict):
        raise BadRequest("conf must be a JSON object.")
    return conf
