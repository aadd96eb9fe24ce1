"""validate_dag says what a deploy would meet, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from contract import checks, dag_files
from contract.server import Server, unchanged

Deploy = Callable[..., httpx.Response]


def test_validate_answers_and_changes_nothing(server: Server, admin: httpx.Client, name: str) -> None:
    with unchanged(server):
        sent = {"dag_file": (f"{name}.py", dag_files.dag(name))}
        body = checks.success(admin.post("/validate_dag", files=sent))
        assert (body["valid"], body["dag_ids"], body["import_errors"]) == (True, [name], [])
        code = {"filename": (None, f"{name}.py"), "dag_code": (None, "import airflow  # dag\n1/0\n")}
        body = checks.success(admin.post("/validate_dag", files=code))
        assert body["valid"] is False
        assert body["import_errors"][0]["line"] == 2
        checks.problem(admin.post("/validate_dag", files={"path": (None, "x")}), 400, "bad-request")
        checks.problem(admin.post("/validate_dag", files={"dag_code": (None, "x")}), 400, "bad-request")


def test_validate_names_dag_ids_that_are_taken(admin: httpx.Client, deploy: Deploy, name: str) -> None:
    checks.success(deploy(f"{name}.py", dag_files.dag(name), otf_sync="y"))
    sent = {"dag_file": (f"{name}_2.py", dag_files.dag(name))}
    assert checks.success(admin.post("/validate_dag", files=sent))["conflicts"] == [name]
