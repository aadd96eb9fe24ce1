"""scan_dags, refresh_all_dags and refresh_dag: Airflow's database follows the DAG folder."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from contract import dag_files
from contract.checks import problem, silent_about, success
from contract.server import Server

Send = Callable[..., httpx.Response]
Deploy = Callable[..., httpx.Response]
Deploy = Callable[..., httpx.Response]


@pytest.fixture(params=["GET", "POST"])
def send(request: pytest.FixtureRequest, server: Server) -> Send:
    """Both forms of each operation."""

    def call(path: str, **query: str) -> httpx.Response:
        return server.admin.request(request.param, path, params=query)

    return call


@pytest.fixture
def mixed(empty_folder: Server, name: str) -> Server:
    """A folder with two DAG files, a module, a broken file, an ignored one and one that is none."""
    for path, content in {
        f"{name}_a.py": dag_files.dag(f"{name}_a"),
        f"sub/{name}_b.zip": dag_files.archive({"in.py": dag_files.dag(f"{name}_b")}),
        f"{name}_module.py": b"# airflow dag\nANSWER = 42\n",
        f"{name}_broken.py": b"# airflow dag\n\n1/0\n",
        "ignored/tool.py": b"# airflow dag\n1/0\n",
        ".airflowignore": b"ignored/\n",
        "notes.txt": b"1/0\n",
    }.items():
        target = empty_folder.dags / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return empty_folder


def test_a_scan_counts_files_and_names_the_broken_ones(mixed: Server, send: Send, name: str) -> None:
    answer = send("/scan_dags")
    body = success(answer)
    assert body["message"] == "Ondemand DAG scan complete!!"
    assert body["parsed"] == 4
    assert body["failed"] == [f"{name}_broken.py"]
    assert body["dag_ids"] == [f"{name}_a", f"{name}_b"]
    (error,) = body["import_errors"]
    assert (error["file"], error["line"]) == (f"{name}_broken.py", 3)
    assert "division by zero" in error["message"]
    silent_about(answer, str(mixed.home))


def test_a_scan_asks_the_dag_processor_and_changes_no_dag(mixed: Server, send: Send, name: str) -> None:
    success(send("/scan_dags", otf_sync="n"))
    assert mixed.airflow.dag(f"{name}_a") is None
    assert {f"{name}_a.py", f"sub/{name}_b.zip"} <= mixed.airflow.parse_requests(mixed.database())


def test_a_scan_with_otf_sync_makes_the_folder_live(mixed: Server, send: Send, name: str) -> None:
    success(send("/scan_dags", otf_sync="y"))
    assert mixed.airflow.trigger(f"{name}_a")
    assert mixed.airflow.trigger(f"{name}_b")
    assert f"{name}_broken.py" in mixed.airflow.import_errors()


def test_a_file_that_is_gone_makes_its_dags_stale(mixed: Server, send: Send, name: str) -> None:
    success(send("/scan_dags", otf_sync="y"))
    (mixed.dags / f"{name}_a.py").unlink()
    (mixed.dags / f"{name}_broken.py").unlink()
    body = success(send("/refresh_all_dags"))
    assert body["message"] == "All DAGs are now up-to-date!!"
    assert body["removed_dag_ids"] == [f"{name}_a"]
    assert body["parsed"] == 2
    state = mixed.airflow.dag(f"{name}_a")
    assert state is None or state.stale
    assert f"{name}_broken.py" not in mixed.airflow.import_errors()


def test_a_file_that_moved_keeps_its_dag(mixed: Server, send: Send, name: str) -> None:
    success(send("/scan_dags", otf_sync="y"))
    (mixed.dags / f"{name}_a.py").rename(mixed.dags / f"sub/{name}_moved.py")
    assert success(send("/refresh_all_dags"))["removed_dag_ids"] == []
    assert mixed.airflow.trigger(f"{name}_a")
    assert success(mixed.admin.delete("/delete_dag", params={"dag_id": f"{name}_a"}))["files"]["deleted"] == [
        f"sub/{name}_moved.py"
    ]


def test_a_file_that_broke_keeps_its_dags(mixed: Server, send: Send, name: str) -> None:
    success(send("/scan_dags", otf_sync="y"))
    (mixed.dags / f"{name}_a.py").write_bytes(b"# airflow dag\nimport no_such_module\n")
    body = success(send("/refresh_all_dags"))
    assert f"{name}_a.py" in body["failed"]
    assert "no_such_module" in mixed.airflow.import_errors()[f"{name}_a.py"]


def test_a_changed_file_is_seen_in_its_new_form(mixed: Server, send: Send, name: str) -> None:
    success(send("/refresh_all_dags"))
    assert mixed.airflow.tasks(f"{name}_a") == {"hello"}
    (mixed.dags / f"{name}_a.py").write_bytes(dag_files.dag(f"{name}_a", "new"))
    success(send("/refresh_all_dags"))
    assert mixed.airflow.run_tasks(f"{name}_a", mixed.airflow.trigger(f"{name}_a")) == {"new"}


def test_one_dag_is_refreshed_from_its_file(mixed: Server, send: Send, name: str) -> None:
    success(send("/refresh_all_dags"))
    (mixed.dags / f"{name}_a.py").write_bytes(dag_files.many(f"{name}_a", f"{name}_c"))
    body = success(send("/refresh_dag", dag_id=f"{name}_a"))
    assert body["message"] == f"DAG [{name}_a] is now up-to-date!!"
    assert body["parsed"] == 1
    assert body["dag_ids"] == [f"{name}_a", f"{name}_c"]
    assert mixed.airflow.trigger(f"{name}_c")


def test_a_dag_that_its_file_no_longer_defines_is_stale(mixed: Server, send: Send, name: str) -> None:
    success(send("/refresh_all_dags"))
    (mixed.dags / f"{name}_a.py").write_bytes(dag_files.dag(f"{name}_d"))
    assert success(send("/refresh_dag", dag_id=f"{name}_a"))["removed_dag_ids"] == [f"{name}_a"]


def test_a_refresh_of_a_broken_file_is_refused_and_changes_nothing(
    mixed: Server, send: Send, name: str
) -> None:
    success(send("/refresh_all_dags"))
    (mixed.dags / f"{name}_a.py").write_bytes(b"# airflow dag\n1/0\n")
    database = mixed.database()
    body = problem(send("/refresh_dag", dag_id=f"{name}_a"), 422, "dag-invalid")
    assert body["import_errors"][0]["file"] == f"{name}_a.py"
    assert mixed.database() == database


def test_a_refresh_of_what_is_not_there_is_not_found(mixed: Server, send: Send, name: str) -> None:
    problem(send("/refresh_dag", dag_id=name), 404, "not-found")
    success(send("/refresh_all_dags"))
    (mixed.dags / f"{name}_a.py").unlink()
    problem(send("/refresh_dag", dag_id=f"{name}_a"), 404, "not-found")
    problem(send("/refresh_dag"), 400, "bad-request")
    problem(send("/refresh_dag", dag_id=""), 400, "bad-request")


def test_an_empty_folder_has_nothing_to_parse(empty_folder: Server, send: Send) -> None:
    body = success(send("/scan_dags", otf_sync="y"))
    assert (body["parsed"], body["failed"], body["dag_ids"]) == (0, [], [])


def test_a_dag_that_two_files_define_stays_with_the_file_it_is_recorded_in(
    empty_folder: Server, deploy: Deploy, name: str
) -> None:
    server = empty_folder
    success(deploy(f"{name}_b.py", dag_files.dag(name, "recorded"), otf_sync="y"))
    (server.dags / f"{name}_a.py").write_bytes(dag_files.dag(name, "claimed"))
    body = success(server.admin.post("/scan_dags", params={"otf_sync": "y"}))
    assert body["failed"] == [f"{name}_a.py"]
    assert name in body["import_errors"][0]["message"]
    assert server.airflow.tasks(name) == {"recorded"}


def test_hostile_files_cost_a_scan_nothing_but_themselves(empty_folder: Server, name: str) -> None:
    for filename, content in {
        f"{name}_a_loops.py": b"# airflow dag\nwhile True: pass\n",
        f"{name}_b_exits.py": b"# airflow dag\nimport os\nos._exit(3)\n",
        f"{name}_c_recurses.py": b"# airflow dag\ndef f(): f()\nf()\n",
        f"{name}_d.py": dag_files.dag(name),
    }.items():
        (empty_folder.dags / filename).write_bytes(content)
    body = success(empty_folder.admin.post("/scan_dags", params={"otf_sync": "y"}))
    assert body["parsed"] == 4
    assert body["failed"] == [f"{name}_a_loops.py", f"{name}_b_exits.py", f"{name}_c_recurses.py"]
    assert [error["file"] for error in body["import_errors"]] == body["failed"]
    assert empty_folder.airflow.trigger(name)


def test_a_change_that_fills_the_databases_cache_is_published(empty_folder: Server, name: str) -> None:
    """From there on, SQLite lets no other connection read until the change is committed."""
    for number in range(20):
        path = empty_folder.dags / f"{name}_{number}.py"
        path.write_bytes(dag_files.dag(f"{name}_{number}") + b"the_dag.doc_md = 'x' * 300_000\n")
    body = success(empty_folder.admin.post("/scan_dags", params={"otf_sync": "y"}))
    assert body["dag_ids"] == sorted(f"{name}_{number}" for number in range(20))
