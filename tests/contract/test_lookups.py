"""A file that reads Variables or Connections while it is loaded parses as the DAG processor would parse it."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from contract import dag_files
from contract.checks import problem, success
from contract.server import Server

Deploy = Callable[..., httpx.Response]


def test_a_variable_is_read(deploy: Deploy, server: Server, name: str) -> None:
    server.airflow.set_variable(f"{name}_task", "from_a_variable")
    before = f"{server.airflow.variable_import}\nTASK = Variable.get('{name}_task')"
    content = dag_files.dag(name, "placeholder", before=before).replace(b"'placeholder'", b"TASK")
    success(deploy(f"{name}.py", content, otf_sync="y"))
    assert server.airflow.tasks(name) == {"from_a_variable"}


def test_a_variable_that_has_changed_is_read_anew(deploy: Deploy, server: Server, name: str) -> None:
    before = f"{server.airflow.variable_import}\nTASK = Variable.get('{name}_task')"
    content = dag_files.dag(name, "placeholder", before=before).replace(b"'placeholder'", b"TASK")
    for value in ("one", "two"):
        server.airflow.set_variable(f"{name}_task", value)
        success(deploy(f"{name}.py", content, otf_sync="y", force="y"))
        assert server.airflow.tasks(name) == {value}


def test_a_variable_that_is_missing_is_an_import_error(deploy: Deploy, server: Server, name: str) -> None:
    before = f"{server.airflow.variable_import}\nVariable.get('{name}_missing')"
    body = problem(deploy(f"{name}.py", dag_files.dag(name, before=before)), 422, "dag-invalid")
    assert f"{name}_missing" in body["import_errors"][0]["message"]


def test_a_default_of_a_missing_variable_is_taken(deploy: Deploy, server: Server, name: str) -> None:
    default = server.airflow.variable_default
    before = f"{server.airflow.variable_import}\nassert Variable.get('{name}_x', {default}='d') == 'd'"
    success(deploy(f"{name}.py", dag_files.dag(name, before=before)))


def test_a_connection_is_read(deploy: Deploy, server: Server, name: str) -> None:
    server.airflow.set_connection(f"{name}_conn", "a-host.example")
    before = (
        f"{server.airflow.hook_import}\n"
        f"HOST = BaseHook.get_connection('{name}_conn').host\n"
        "assert HOST == 'a-host.example', HOST"
    )
    success(deploy(f"{name}.py", dag_files.dag(name, before=before), otf_sync="y"))
    assert server.airflow.dag(name)
