"""Run control with rights on one DAG alone: every operation works on that DAG, and on no other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import yaml

from contract import dag_files
from contract.checks import problem, success
from contract.server import CHECKOUT, Server

MINE, THEIRS = "my_runs", "their_runs"
SPEC = yaml.safe_load((CHECKOUT / "openapi" / "xtended.yaml").read_text())
RIGHTS = [
    ("can_read", f"DAG:{MINE}"),
    ("can_edit", f"DAG:{MINE}"),
    ("can_create", "DAG Runs"),
    ("can_read", "DAG Runs"),
    ("can_edit", "DAG Runs"),
    ("can_read", "Task Instances"),
    ("can_edit", "Task Instances"),
]
# What each operation is about is named by these; what it is told beside them can be left out.
NAMED = {"dag_id": None, "run_id": "run1", "task_id": "hello", "tasks": "hello", "start_date": "2020-01-01"}
METHODS = ("get", "post", "put", "patch", "delete")
IN_ANOTHER_WAY = ("list_dags", "change_runs")


def _operations() -> Iterator[Any]:
    for path, item in SPEC["paths"].items():
        for method in METHODS:
            declared = item.get(method, {"tags": [""]})
            if declared["tags"][0] in ("runs", "tasks") and declared["operationId"] not in IN_ANOTHER_WAY:
                yield pytest.param(path, method, declared, id=declared["operationId"])


@pytest.fixture(scope="module")
def runner(fab: Server) -> httpx.Client:
    """Someone who may control the runs of one of two DAGs that have a run each."""
    for dag_id in (MINE, THEIRS):
        sent = {"dag_file": (f"{dag_id}.py", dag_files.dag(dag_id))}
        success(fab.admin.post("/deploy_dag", files=sent, data={"otf_sync": "y", "unpause": "y"}))
        fields = {"dag_id": (None, dag_id), "run_id": (None, "run1")}
        success(fab.admin.post("/trigger_dag", files=fields))
    fab.add_user("runner", "runner", RIGHTS)
    return fab.client("runner")


def _send(
    client: httpx.Client, path: str, method: str, declared: dict[str, Any], dag_id: str
) -> httpx.Response:
    values = {**NAMED, "dag_id": dag_id}
    if "requestBody" in declared:
        form = declared["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
        files = {name: (None, values[name]) for name in form if name in values}
        return client.request(method, path, files=files)
    names = [
        SPEC["components"]["parameters"][each["$ref"].rpartition("/")[2]]["name"]
        if "$ref" in each
        else each["name"]
        for each in declared["parameters"]
    ]
    return client.request(method, path, params={name: values[name] for name in names if name in values})


@pytest.mark.parametrize(("path", "method", "declared"), [*_operations()])
def test_an_operation_works_on_the_own_dag_alone(
    runner: httpx.Client, path: str, method: str, declared: dict[str, Any]
) -> None:
    body = problem(_send(runner, path, method, declared, THEIRS), 403, "forbidden")
    assert body["dag_ids"] == [THEIRS]
    answer = _send(runner, path, method, declared, MINE)
    assert answer.status_code not in (401, 403), answer.text
    assert answer.status_code < 500, answer.text


def test_of_many_changes_those_of_the_own_dag_are_made(fab: Server, runner: httpx.Client) -> None:
    items = [{"action": "kill", "dag_id": dag_id, "run_id": "run1"} for dag_id in (THEIRS, MINE)]
    theirs, mine = success(runner.post("/runs/bulk", json={"items": items}))["results"]
    assert theirs["problem"]["status"] == 403
    assert theirs["problem"]["dag_ids"] == [THEIRS]
    assert mine["done"] is True
    body = {"action": "kill", "filter": {"dag_ids": [MINE, THEIRS]}}
    assert problem(runner.post("/runs/bulk", json=body), 403, "forbidden")["dag_ids"] == [THEIRS]
    state = success(
        fab.admin.get("/task_state", params={"dag_id": THEIRS, "run_id": "run1", "task_id": "hello"})
    )
    assert state["state"] is None
