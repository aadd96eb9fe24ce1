"""DAGs that are described as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xtended.api import Call
from xtended.repeating import done_once
from xtended.workflows import files
from xtended.workflows.model import read_workflow


@done_once
def deploy_workflow(call: Call, body: Mapping[str, Any]) -> Mapping[str, Any]:
    operators = call.services.settings.workflow_operators
    workflow = read_workflow(body["workflow"], operators, files.managed_operators(call.services))
    outcome = files.deploy(call, workflow, dry_run=body.get("dry_run", False))
    verb = "would be" if outcome.dry_run else "has been"
    answer = outcome.body(f"Workflow [{workflow.name}] {verb} created")
    return {**answer, "warnings": [*workflow.warnings, *answer["warnings"]]}


def list_workflows(call: Call) -> Mapping[str, Any]:
    found = files.listed(call)
    return {
        "status": "success",
        "message": "\n".join(each["name"] for each in found),
        "workflows": [{key: each[key] for key in ("name", "file", "dag_ids")} for each in found],
    }


def get_workflow(call: Call, name: str) -> Mapping[str, Any]:
    return {"status": "success", "message": name, **files.read(call, name)}


@done_once
def delete_workflow(call: Call, name: str, *, dry_run: bool = False) -> Mapping[str, Any]:
    verb = "would be" if dry_run else "has been"
    return files.delete(call, name, dry_run=dry_run).body(f"Workflow [{name}] {verb} deleted")
