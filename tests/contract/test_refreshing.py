"""The database follows the folder, and says what it found there."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from contract import checks, dag_files
from contract.server import Server
from contract.test_refusals import unchanged

Deploy = Callable[..., httpx.Response]


def test_a_scan_counts_what_it_parsed_and_names_what_failed(empty_folder: Server, name: str) -> None:
    server = empty_folder
    (server.dags / "good.py").write_bytes(dag_files.dag(f"{name}_good"))
    (server.dags / "packed.zip").write_bytes(dag_files.archive({"main.py": dag_files.dag(f"{name}_packed")}))
    (server.dags / "broken.py").write_bytes(b"import airflow  # dag\n1/0\n")
    (server.dags / "endless.py").write_bytes(b"import airflow  # dag\nwhile True: pass\n")
    (server.dags / "notes.txt").write_bytes(b"not a DAG")
    body = checks.success(server.admin.post("/scan_dags", params={"otf_sync": "y"}))
    assert body["parsed"] == 4
    assert body["failed"] == ["broken.py", "endless.py"]
    assert body["dag_ids"] == [f"{name}_good", f"{name}_packed"]
    assert {error["file"] for error in body["import_errors"]} == {"broken.py", "endless.py"}
    assert server.airflow.trigger(f"{name}_good")
    assert server.airflow.trigger(f"{name}_packed")
    assert set(server.airflow.import_errors()) >= {"broken.py", "endless.py"}
    (server.dags / "broken.py").write_bytes(dag_files.dag(f"{name}_mended"))
    (server.dags / "endless.py").unlink()
    (server.dags / "good.py").unlink()
    body = checks.success(server.admin.post("/refresh_all_dags"))
    assert body["message"] == "All DAGs are now up-to-date!!"
    assert body["removed_dag_ids"] == [f"{name}_good"]
    assert "broken.py" not in server.airflow.import_errors()
    state = server.airflow.dag(f"{name}_good")
    assert state is None or state.stale


def test_a_scan_without_otf_sync_asks_the_dag_processor(empty_folder: Server, name: str) -> None:
    server = empty_folder
    (server.dags / f"{name}.py").write_bytes(dag_files.dag(name))
    body = checks.success(server.admin.post("/scan_dags"))
    assert body["dag_ids"] == [name]
    assert server.airflow.dag(name) is None
    assert f"{name}.py" in server.airflow.parse_requests(server.database())


def test_refresh_dag_publishes_what_its_file_says_now(server: Server, deploy: Deploy, name: str) -> None:
    checks.success(deploy(f"{name}.py", dag_files.dag(name, "old"), otf_sync="y"))
    (server.dags / f"{name}.py").write_bytes(dag_files.dag(name, "new"))
    body = checks.success(server.admin.post("/refresh_dag", params={"dag_id": name}))
    assert body["dag_ids"] == [name]
    assert server.airflow.tasks(name) == {"new"}


def test_refreshing_a_file_that_no_longer_loads_is_a_422(server: Server, deploy: Deploy, name: str) -> None:
    checks.success(deploy(f"{name}.py", dag_files.dag(name), otf_sync="y"))
    (server.dags / f"{name}.py").write_bytes(b"import airflow  # dag\n1/0\n")
    with unchanged(server):
        answer = server.admin.post("/refresh_dag", params={"dag_id": name})
        checks.problem(answer, 422, "dag-invalid")
    (server.dags / f"{name}.py").unlink()


def test_refreshing_what_is_not_known_or_not_there_is_a_404(
    server: Server, deploy: Deploy, name: str
) -> None:
    checks.problem(server.admin.post("/refresh_dag", params={"dag_id": "no_such_dag"}), 404, "not-found")
    checks.success(deploy(f"{name}.py", dag_files.dag(name), otf_sync="y"))
    (server.dags / f"{name}.py").unlink()
    checks.problem(server.admin.post("/refresh_dag", params={"dag_id": name}), 404, "not-found")
