"""With `otf_sync` a DAG can be triggered when the answer arrives. No DAG processor runs in these tests."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from contract import dag_files
from contract.checks import success
from contract.server import Server

Deploy = Callable[..., httpx.Response]


def packed(filename: str, content: bytes) -> bytes:
    return dag_files.archive({"inside.py": content}) if filename.endswith(".zip") else content


@pytest.fixture(params=[".py", ".zip"])
def filename(request: pytest.FixtureRequest, name: str) -> str:
    return name + request.param


def test_a_new_dag_can_be_triggered_at_once(deploy: Deploy, server: Server, name: str, filename: str) -> None:
    body = success(deploy(filename, packed(filename, dag_files.dag(name, "a", "b")), otf_sync="y"))
    assert [dag["live"] for dag in body["dags"]] == [True]
    run = server.airflow.trigger(name)
    assert server.airflow.run_tasks(name, run) == {"a", "b"}


def test_a_replacement_is_seen_at_once_although_the_old_form_is_cached(
    deploy: Deploy, server: Server, name: str, filename: str
) -> None:
    success(deploy(filename, packed(filename, dag_files.dag(name, "old")), otf_sync="y"))
    assert server.airflow.tasks(name) == {"old"}
    success(deploy(filename, packed(filename, dag_files.dag(name, "new")), otf_sync="y", force="y"))
    run = server.airflow.trigger(name)
    assert server.airflow.run_tasks(name, run) == {"new"}
    assert server.airflow.tasks(name) == {"new"}


def test_a_replacement_is_seen_at_once_after_runs_of_the_old_form(
    deploy: Deploy, server: Server, name: str, filename: str
) -> None:
    success(deploy(filename, packed(filename, dag_files.dag(name, "old")), otf_sync="y"))
    first = server.airflow.trigger(name)
    success(deploy(filename, packed(filename, dag_files.dag(name, "new")), otf_sync="y", force="y"))
    second = server.airflow.trigger(name)
    assert server.airflow.run_tasks(name, second) == {"new"}
    assert server.airflow.run_tasks(name, first) == {"old"}


def test_the_same_size_and_second_do_not_hide_a_replacement(deploy: Deploy, server: Server, name: str) -> None:
    for task in ("one", "two", "six", "ten"):
        success(deploy(f"{name}.py", dag_files.dag(name, task), otf_sync="y", force="y"))
        assert server.airflow.run_tasks(name, server.airflow.trigger(name)) == {task}
        server.airflow.delete_runs(name)


def test_without_otf_sync_the_dag_processor_is_asked_to_parse_the_file(
    deploy: Deploy, server: Server, name: str, filename: str
) -> None:
    body = success(deploy(filename, packed(filename, dag_files.dag(name))))
    assert body["dags"] == [{"dag_id": name, "live": False, "paused": None}]
    assert filename in server.airflow.parse_requests(server.database())


def test_with_otf_sync_the_dag_processor_is_not_asked(deploy: Deploy, server: Server, name: str) -> None:
    success(deploy(f"{name}.py", dag_files.dag(name), otf_sync="y"))
    assert f"{name}.py" not in server.airflow.parse_requests(server.database())


def test_a_request_that_waits_already_is_enough(deploy: Deploy, server: Server, name: str) -> None:
    success(deploy(f"{name}.py", dag_files.dag(name)))
    success(deploy(f"{name}.py", dag_files.dag(name, "b"), force="y"))
    assert f"{name}.py" in server.airflow.parse_requests(server.database())


def test_unpause_unpauses(deploy: Deploy, server: Server, name: str, filename: str) -> None:
    body = success(deploy(filename, packed(filename, dag_files.dag(name)), unpause="y"))
    assert body["dags"] == [{"dag_id": name, "live": True, "paused": False}]
    state = server.airflow.dag(name)
    assert state is not None
    assert not state.paused


def test_a_new_dag_follows_airflows_default(deploy: Deploy, server: Server, name: str, filename: str) -> None:
    body = success(deploy(filename, packed(filename, dag_files.dag(name)), otf_sync="y", unpause="n"))
    assert body["dags"] == [{"dag_id": name, "live": True, "paused": True}]


@pytest.mark.parametrize("unpause", [{}, {"unpause": "n"}])
def test_a_known_dag_keeps_its_state(
    deploy: Deploy, server: Server, name: str, filename: str, unpause: dict[str, str]
) -> None:
    success(deploy(filename, packed(filename, dag_files.dag(name)), unpause="y"))
    again = packed(filename, dag_files.dag(name, "b"))
    body = success(deploy(filename, again, force="y", otf_sync="y", **unpause))
    assert body["dags"] == [{"dag_id": name, "live": True, "paused": False}]


def test_an_import_error_of_before_is_gone_with_the_deploy_that_fixes_it(
    deploy: Deploy, server: Server, name: str
) -> None:
    (server.dags / f"{name}.py").write_bytes(b"1/0\n")
    scanned = success(server.admin.post("/scan_dags", params={"otf_sync": "y"}))
    assert f"{name}.py" in scanned["failed"]
    assert f"{name}.py" in server.airflow.import_errors()
    success(deploy(f"{name}.py", dag_files.dag(name), force="y", otf_sync="y"))
    assert f"{name}.py" not in server.airflow.import_errors()
