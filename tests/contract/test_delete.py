"""delete_dag: the right file goes, with the records of its DAGs, and no other."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from contract import dag_files
from contract.checks import problem, success
from contract.server import Server

Deploy = Callable[..., httpx.Response]


@pytest.fixture(params=["GET", "DELETE"])
def delete(request: pytest.FixtureRequest, admin: httpx.Client) -> Callable[..., httpx.Response]:
    """Both forms of the operation: the older one and its successor."""

    def send(**query: str) -> httpx.Response:
        return admin.request(request.param, "/delete_dag", params=query)

    return send


def test_the_file_of_a_dag_is_found_from_airflows_record(
    delete: Callable[..., httpx.Response], deploy: Deploy, server: Server, name: str
) -> None:
    success(deploy(f"{name}_file.py", dag_files.dag(name), otf_sync="y", path=name))
    success(deploy(f"{name}.py", dag_files.dag(f"{name}_other"), otf_sync="y"))
    body = success(delete(dag_id=name))
    assert body["message"] == f"DAG [{name}] deleted"
    assert body["files"]["deleted"] == [f"{name}/{name}_file.py"]
    assert body["removed_dag_ids"] == [name]
    assert not (server.dags / name / f"{name}_file.py").exists()
    assert server.airflow.dag(name) is None
    # What the older API would have deleted: the file of the same name.
    assert (server.dags / f"{name}.py").is_file()
    assert server.airflow.dag(f"{name}_other")


def test_a_filename_alone_takes_every_dag_of_the_file(
    delete: Callable[..., httpx.Response], deploy: Deploy, server: Server, name: str
) -> None:
    ids = [f"{name}_a", f"{name}_b"]
    success(deploy(f"{name}.py", dag_files.many(*ids), otf_sync="y"))
    body = success(delete(filename=f"{name}.py"))
    assert body["message"] == f"DAG [{name}.py] deleted"
    assert body["removed_dag_ids"] == ids
    assert not (server.dags / f"{name}.py").exists()
    assert [server.airflow.dag(dag_id) for dag_id in ids] == [None, None]


def test_both_that_agree_are_fine(
    delete: Callable[..., httpx.Response], deploy: Deploy, server: Server, name: str
) -> None:
    success(deploy(f"{name}.zip", dag_files.archive({"in.py": dag_files.dag(name)}), otf_sync="y"))
    body = success(delete(dag_id=name, filename=f"{name}.zip"))
    assert body["files"]["deleted"] == [f"{name}.zip"]
    assert server.airflow.dag(name) is None


def test_both_that_disagree_are_a_conflict(
    delete: Callable[..., httpx.Response], deploy: Deploy, server: Server, name: str
) -> None:
    success(deploy(f"{name}.py", dag_files.dag(name), otf_sync="y"))
    success(deploy(f"{name}_b.py", dag_files.dag(f"{name}_b"), otf_sync="y"))
    before = server.files()
    body = problem(delete(dag_id=name, filename=f"{name}_b.py"), 409, "conflict")
    assert body["existing_file"] == f"{name}.py"
    assert server.files() == before
    assert server.airflow.dag(name)


def test_a_file_with_other_dags_needs_force(
    delete: Callable[..., httpx.Response], deploy: Deploy, server: Server, name: str
) -> None:
    success(deploy(f"{name}.py", dag_files.many(name, f"{name}_b", f"{name}_c"), otf_sync="y"))
    before = server.files()
    body = problem(delete(dag_id=name), 409, "file-defines-other-dags")
    assert body["dag_ids"] == [f"{name}_b", f"{name}_c"]
    assert f"{name}_b" in body["detail"]
    assert server.files() == before
    assert server.airflow.dag(name)
    body = success(delete(dag_id=name, force="y"))
    assert body["removed_dag_ids"] == [name, f"{name}_b", f"{name}_c"]
    assert server.airflow.dag(f"{name}_c") is None


def test_what_is_not_there_is_not_found(
    delete: Callable[..., httpx.Response], server: Server, name: str
) -> None:
    before = server.files()
    problem(delete(dag_id=name), 404, "not-found")
    problem(delete(filename=f"{name}.py"), 404, "not-found")
    problem(delete(dag_id=name, filename=f"{name}.py"), 404, "not-found")
    assert server.files() == before


def test_at_least_one_of_the_two_is_needed(delete: Callable[..., httpx.Response], server: Server) -> None:
    before = server.files()
    problem(delete(), 400, "bad-request")
    problem(delete(force="y"), 400, "bad-request")
    problem(delete(dag_id=""), 400, "bad-request")
    problem(delete(filename=""), 400, "bad-request")
    assert server.files() == before


def test_a_dry_run_changes_nothing(
    delete: Callable[..., httpx.Response], deploy: Deploy, server: Server, name: str
) -> None:
    success(deploy(f"{name}.py", dag_files.many(name, f"{name}_b"), otf_sync="y"))
    files, database = server.files(), server.database()
    problem(delete(dag_id=name, dry_run="y"), 409, "file-defines-other-dags")
    body = success(delete(dag_id=name, dry_run="y", force="y"))
    assert body["dry_run"] is True
    assert body["message"] == f"DAG [{name}] would be deleted"
    assert body["files"]["deleted"] == [f"{name}.py"]
    assert body["removed_dag_ids"] == [name, f"{name}_b"]
    assert server.files() == files
    assert server.database() == database


def test_a_dag_whose_file_is_gone_can_be_deleted(
    delete: Callable[..., httpx.Response], deploy: Deploy, server: Server, name: str
) -> None:
    success(deploy(f"{name}.py", dag_files.dag(name), otf_sync="y"))
    (server.dags / f"{name}.py").unlink()
    assert success(delete(dag_id=name))["removed_dag_ids"] == [name]
    assert server.airflow.dag(name) is None


def test_a_dag_that_its_file_no_longer_defines_goes_alone(
    delete: Callable[..., httpx.Response], deploy: Deploy, server: Server, name: str
) -> None:
    success(deploy(f"{name}.py", dag_files.many(name, f"{name}_old"), otf_sync="y"))
    success(deploy(f"{name}.py", dag_files.dag(name), otf_sync="y", force="y"))
    body = success(delete(dag_id=f"{name}_old"))
    assert body["removed_dag_ids"] == [f"{name}_old"]
    assert body["files"]["deleted"] == []
    assert server.airflow.dag(f"{name}_old") is None
    assert server.airflow.trigger(name)


def test_a_file_that_airflow_does_not_know_can_be_deleted(
    delete: Callable[..., httpx.Response], server: Server, name: str
) -> None:
    (server.dags / f"{name}.py").write_bytes(b"def broken(:\n")
    assert success(delete(filename=f"{name}.py"))["removed_dag_ids"] == []
    assert not (server.dags / f"{name}.py").exists()


def test_an_import_error_goes_with_its_file(
    delete: Callable[..., httpx.Response], server: Server, name: str
) -> None:
    (server.dags / f"{name}.py").write_bytes(b"# airflow dag\n1/0\n")
    success(server.admin.post("/scan_dags", params={"otf_sync": "y"}))
    assert f"{name}.py" in server.airflow.import_errors()
    success(delete(filename=f"{name}.py"))
    assert f"{name}.py" not in server.airflow.import_errors()


def test_runs_of_a_deleted_dag_go_with_it(
    delete: Callable[..., httpx.Response], deploy: Deploy, server: Server, name: str
) -> None:
    success(deploy(f"{name}.py", dag_files.dag(name), otf_sync="y"))
    server.airflow.trigger(name)
    success(delete(dag_id=name))
    assert [row for row in server.database()["dag_run"] if row["dag_id"] == name] == []


def test_a_deleted_dag_can_be_deployed_again(
    delete: Callable[..., httpx.Response], deploy: Deploy, server: Server, name: str
) -> None:
    success(deploy(f"{name}.py", dag_files.dag(name, "old"), otf_sync="y"))
    success(delete(dag_id=name))
    success(deploy(f"{name}.py", dag_files.dag(name, "new"), otf_sync="y"))
    run = server.airflow.trigger(name)
    assert server.airflow.run_tasks(name, run) == {"new"}
