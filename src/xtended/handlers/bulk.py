"""Control many runs with one request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xtended.api import Call
from xtended.bulk import Filter, Item, Outcome, carry_out, find_items
from xtended.naming_runs import name
from xtended.problems import BadRequest


def change_runs(call: Call, body: Mapping[str, Any]) -> Mapping[str, Any]:
    outcomes = carry_out(call, _items(call, body), dry_run=body.get("dry_run", False))
    failed = sum(1 for outcome in outcomes if outcome.problem is not None)
    return {
        "status": "success",
        "message": f"{len(outcomes) - failed} of {len(outcomes)} item(s) done",
        "dry_run": body.get("dry_run", False),
        "done": len(outcomes) - failed,
        "failed": failed,
        "results": [_result(outcome) for outcome in outcomes],
    }


def _items(call: Call, body: Mapping[str, Any]) -> list[Item]:
    beside = {"action", "filter", "task_id"} & body.keys()
    if "items" in body:
        if beside:
            raise BadRequest("items say for themselves what is to be done: give items, or action and filter.")
        return [Item(**item) for item in body["items"]]
    if not {"action", "filter"} <= body.keys():
        raise BadRequest("Give items, or action and filter.")
    return find_items(call, Filter(body["action"], **body["filter"], task_id=body.get("task_id")))


def _result(outcome: Outcome) -> dict[str, Any]:
    item = outcome.item
    return {
        "action": item.action,
        "dag_id": item.dag_id,
        "run_id": item.run_id,
        "task_id": item.task_id,
        "done": outcome.problem is None,
        "changed": len(outcome.instances),
        "tasks": [name(instance) for instance in outcome.instances],
        "problem": None if outcome.problem is None else outcome.problem.body(),
    }
