"""Every state change is one entry in Airflow's own audit log; what changed nothing leaves none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import httpx
import pytest

from contract import dag_files
from contract.checks import problem, success
from contract.file_server import FileServer
from contract.hosts import AuditLine
from contract.server import Server

Deploy = Callable[..., httpx.Response]
News = Callable[[], Sequence[AuditLine]]


@pytest.fixture
def news(server: Server) -> News:
    """The extension's entries since the last call, newest first."""

    seen = max((line.number for line in server.airflow.audit()), default=0)

    def since() -> Sequence[AuditLine]:
        nonlocal seen
        fresh = [line for line in server.airflow.audit() if line.number > seen]
        seen = max((line.number for line in fresh), default=seen)
        return [line for line in fresh if line.event.startswith("xtended.")]

    return since


def test_a_deploy_names_the_user_the_dag_and_the_file(deploy: Deploy, news: News, name: str) -> None:
    success(deploy(f"{name}.py", dag_files.dag(name), otf_sync="y"))
    (line,) = news()
    assert (line.event, line.dag_id, line.user) == ("xtended.deploy_dag", name, "admin")
    assert f"{name}.py" in line.extra


def test_a_deploy_that_is_not_live_yet_is_written_down_too(deploy: Deploy, server: Server, name: str) -> None:
    success(deploy(f"{name}.py", dag_files.dag(name)))
    (row,) = [row for row in server.database()["log"] if row["dag_id"] == name]
    assert (row["event"], row["owner"]) == ("xtended.deploy_dag", "admin")


def test_a_user_other_than_the_administrator_is_named(server: Server, news: News, name: str) -> None:
    sent = {"dag_file": (f"{name}.py", dag_files.dag(name))}
    success(server.client("user").post("/deploy_dag", files=sent, data={"otf_sync": "y"}))
    assert [line.user for line in news()] == ["user"]


def test_a_file_of_many_dags_is_seen_with_each(deploy: Deploy, news: News, name: str) -> None:
    ids = [f"{name}_a", f"{name}_b"]
    success(deploy(f"{name}.py", dag_files.many(*ids), otf_sync="y"))
    assert sorted(str(line.dag_id) for line in news()) == ids


def test_each_operation_has_an_event_of_its_own(
    server: Server, deploy: Deploy, news: News, file_server: FileServer, name: str
) -> None:
    admin = server.admin
    code = {"filename": (None, f"{name}.py"), "dag_code": (None, dag_files.dag(name))}
    success(admin.post("/create_dag", files={**code, "otf_sync": (None, "y")}))
    assert [line.event for line in news()] == ["xtended.create_dag"]
    query = {"dag_file_url": file_server.serve(dag_files.dag(name)), "filename": f"{name}.py", "force": "y"}
    success(admin.get("/deploy_dag", params={**query, "otf_sync": "y"}))
    assert [line.event for line in news()] == ["xtended.deploy_dag_from_url"]
    success(admin.post("/upload_file", files={"file": (f"{name}.txt", b"x")}))
    (line,) = news()
    assert (line.event, line.dag_id) == ("xtended.upload_file", None)
    success(admin.post("/refresh_dag", params={"dag_id": name}))
    assert [line.event for line in news()] == ["xtended.refresh_dag"]
    success(admin.delete("/delete_dag", params={"dag_id": name}))
    (line,) = news()
    assert line.event == "xtended.delete_dag"
    assert name in line.extra
    success(admin.post("/scan_dags"))
    assert [line.event for line in news()] == ["xtended.scan_dags"]
    success(admin.post("/purge_dags"))
    assert {line.event for line in news()} == {"xtended.purge_dags"}


def test_a_file_beside_the_dag_folder_is_in_it_too(server: Server, news: News, name: str) -> None:
    sent = {"file": (f"{name}.txt", b"x")}
    success(server.admin.post("/upload_file", files=sent, data={"path": str(server.home / "shared")}))
    (line,) = news()
    assert line.event == "xtended.upload_file"
    assert str(server.home) not in line.extra


def test_what_changes_nothing_leaves_no_entry(server: Server, deploy: Deploy, news: News, name: str) -> None:
    success(deploy(f"{name}.py", dag_files.dag(name), otf_sync="y"))
    news()
    success(deploy(f"{name}.py", dag_files.dag(name, "b"), force="y", dry_run="y"))
    problem(deploy(f"{name}.py", dag_files.dag(name, "b")), 409, "file-exists")
    problem(deploy(f"{name}.py", b"# airflow dag\n1/0\n", force="y"), 422, "dag-invalid")
    success(server.admin.post("/validate_dag", files={"dag_file": (f"{name}.py", dag_files.dag(name))}))
    success(server.admin.delete("/delete_dag", params={"dag_id": name, "dry_run": "y"}))
    success(server.admin.post("/purge_dags", params={"dry_run": "y"}))
    problem(server.client("viewer").post("/purge_dags"), 403, "forbidden")
    assert news() == []


def test_credentials_of_a_request_are_not_in_it(
    server: Server, news: News, file_server: FileServer, name: str
) -> None:
    url = file_server.serve(dag_files.dag(name, before="TOKEN = 'secret-in-the-code'"))
    url = url.replace("http://", "http://someone:secret-in-the-url@") + "?signature=secret-in-the-query"
    query = {"dag_file_url": url, "filename": f"{name}.py", "otf_sync": "y"}
    success(server.admin.get("/deploy_dag", params=query))
    (line,) = news()
    assert "secret" not in line.extra
    assert server.passwords["admin"] not in line.extra
