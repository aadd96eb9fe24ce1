"""Deletes and purges take what they say, from the folder and from Airflow's database."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from contract import checks, dag_files
from contract.server import Server
from contract.test_refusals import unchanged

Deploy = Callable[..., httpx.Response]


def gone(server: Server, dag_id: str) -> bool:
    return server.airflow.dag(dag_id) is None


def test_a_dag_s_file_is_found_from_airflow_s_own_record(server: Server, deploy: Deploy, name: str) -> None:
    checks.success(deploy(f"{name}_file.py", dag_files.dag(name), otf_sync="y"))
    body = checks.success(server.admin.delete("/delete_dag", params={"dag_id": name}))
    assert body["files"]["deleted"] == [f"{name}_file.py"]
    assert body["removed_dag_ids"] == [name]
    assert not (server.dags / f"{name}_file.py").exists()
    assert gone(server, name)


def test_a_dag_inside_a_zip_is_deleted_with_its_zip(server: Server, deploy: Deploy, name: str) -> None:
    checks.success(deploy(f"{name}.zip", dag_files.archive({"main.py": dag_files.dag(name)}), otf_sync="y"))
    body = checks.success(server.admin.delete("/delete_dag", params={"dag_id": name}))
    assert body["files"]["deleted"] == [f"{name}.zip"]
    assert gone(server, name)


def test_a_file_name_alone_deletes_every_dag_of_the_file(server: Server, deploy: Deploy, name: str) -> None:
    both = [f"{name}_a", f"{name}_b"]
    checks.success(deploy(f"{name}.py", dag_files.many(*both), otf_sync="y"))
    body = checks.success(server.admin.delete("/delete_dag", params={"filename": f"{name}.py"}))
    assert body["removed_dag_ids"] == both
    assert all(gone(server, each) for each in both)


def test_a_file_with_other_dags_is_a_409_that_names_them(server: Server, deploy: Deploy, name: str) -> None:
    checks.success(deploy(f"{name}.py", dag_files.many(f"{name}_a", f"{name}_b"), otf_sync="y"))
    with unchanged(server):
        answer = server.admin.delete("/delete_dag", params={"dag_id": f"{name}_a"})
        assert checks.problem(answer, 409, "file-defines-other-dags")["dag_ids"] == [f"{name}_b"]
    checks.success(server.admin.delete("/delete_dag", params={"dag_id": f"{name}_a", "force": "y"}))
    assert gone(server, f"{name}_a")
    assert gone(server, f"{name}_b")


def test_a_dag_and_a_file_that_do_not_belong_together_are_a_409(
    server: Server, deploy: Deploy, name: str
) -> None:
    checks.success(deploy(f"{name}.py", dag_files.dag(name), otf_sync="y"))
    checks.success(deploy(f"{name}_2.py", dag_files.dag(f"{name}_2"), otf_sync="y"))
    with unchanged(server):
        answer = server.admin.delete("/delete_dag", params={"dag_id": name, "filename": f"{name}_2.py"})
        checks.problem(answer, 409, "conflict")


def test_what_is_not_there_is_a_404(server: Server) -> None:
    with unchanged(server):
        for query in ({"dag_id": "no_such_dag"}, {"filename": "no_such_file.py"}):
            checks.problem(server.admin.delete("/delete_dag", params=query), 404, "not-found")


def test_naming_nothing_or_a_bad_name_is_a_400(server: Server) -> None:
    with unchanged(server):
        checks.problem(server.admin.delete("/delete_dag"), 400, "bad-request")
        checks.problem(server.admin.delete("/delete_dag", params={"filename": "../x.py"}), 400, "bad-name")


def test_a_dry_run_of_a_delete_changes_nothing(server: Server, deploy: Deploy, name: str) -> None:
    checks.success(deploy(f"{name}.py", dag_files.dag(name), otf_sync="y"))
    with unchanged(server):
        body = checks.success(server.admin.delete("/delete_dag", params={"dag_id": name, "dry_run": "y"}))
        assert body["files"]["deleted"] == [f"{name}.py"]
        assert body["removed_dag_ids"] == [name]


def test_a_record_whose_file_is_gone_is_deleted(server: Server, deploy: Deploy, name: str) -> None:
    checks.success(deploy(f"{name}.py", dag_files.dag(name), otf_sync="y"))
    (server.dags / f"{name}.py").unlink()
    checks.success(server.admin.delete("/delete_dag", params={"dag_id": name}))
    assert gone(server, name)


def test_a_deleted_dag_can_be_deployed_again(server: Server, deploy: Deploy, name: str) -> None:
    for _ in range(2):
        checks.success(deploy(f"{name}.py", dag_files.dag(name), otf_sync="y"))
        assert server.airflow.trigger(name)
        checks.success(server.admin.delete("/delete_dag", params={"dag_id": name}))
        assert gone(server, name)


def test_a_purge_keeps_what_it_is_told_to_and_its_dags_are_stale_at_once(
    empty_folder: Server, deploy: Deploy, name: str
) -> None:
    server = empty_folder
    checks.success(deploy(f"{name}.py", dag_files.dag(name), otf_sync="y"))
    kept = {
        ".airflowignore": b"ignored_*\n",
        ".hidden": b"h",
        "ignored_file.py": b"i",
        "keep_me.py": b"k",
        "kept/notes.txt": b"n",
    }
    for path, content in {**kept, "kept/other.py": b"o", "sub/data.txt": b"d"}.items():
        (server.dags / path).parent.mkdir(exist_ok=True)
        (server.dags / path).write_bytes(content)
    doomed = [f"{name}.py", "kept/other.py", "sub/data.txt"]
    with unchanged(server):
        body = checks.success(server.admin.post("/purge_dags", params={"dry_run": "y"}))
        assert body["files"]["deleted"] == sorted(doomed)
        assert body["removed_dag_ids"] == [name]
    body = checks.success(server.admin.post("/purge_dags"))
    assert body["message"] == "DAG directory purged!!"
    assert body["files"]["deleted"] == sorted(doomed)
    assert server.files() == kept
    state = server.airflow.dag(name)
    assert state is None or state.stale


def test_purging_an_empty_folder_is_a_success(empty_folder: Server) -> None:
    body = checks.success(empty_folder.admin.post("/purge_dags"))
    assert body["files"]["deleted"] == []
