"""purge_dags: the folder is empty but for what is kept, and Airflow's database follows at once."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from contract import dag_files
from contract.checks import success
from contract.server import Server


@pytest.fixture(params=["GET", "POST"])
def purge(request: pytest.FixtureRequest, empty_folder: Server) -> Callable[..., httpx.Response]:
    """Both forms of the operation, on a folder that the test fills."""

    def send(**query: str) -> httpx.Response:
        return empty_folder.admin.request(request.param, "/purge_dags", params=query)

    return send


@pytest.fixture
def filled(empty_folder: Server, name: str) -> Server:
    """Two live DAGs, beside files that are kept."""
    server = empty_folder
    for filename, content in {
        f"{name}_a.py": dag_files.dag(f"{name}_a"),
        f"{name}_b.zip": dag_files.archive({"in.py": dag_files.dag(f"{name}_b")}),
    }.items():
        success(
            server.admin.post("/deploy_dag", files={"dag_file": (filename, content)}, data={"otf_sync": "y"})
        )
    for path, text in {
        "folder/deep/query.sql": "SELECT 1\n",
        "kept/notes.txt": "kept by purge_keep\n",
        "kept/other.md": "not kept\n",
        "keep_me.py": "# airflow dag: kept by purge_keep\n",
        "ignored/tool.py": "kept by .airflowignore\n",
        ".airflowignore": "ignored/\n",
        ".hidden": "hidden\n",
        ".git/config": "hidden\n",
    }.items():
        target = server.dags / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return server


KEPT = {"kept/notes.txt", "keep_me.py", "ignored/tool.py", ".airflowignore", ".hidden", ".git/config"}


def test_all_but_what_is_kept_goes(filled: Server, purge: Callable[..., httpx.Response], name: str) -> None:
    body = success(purge())
    assert body["message"] == "DAG directory purged!!"
    assert set(filled.files()) == KEPT
    assert body["files"]["deleted"] == sorted(
        [f"{name}_a.py", f"{name}_b.zip", "folder/deep/query.sql", "kept/other.md"]
    )
    assert body["removed_dag_ids"] == [f"{name}_a", f"{name}_b"]


def test_the_dags_are_stale_at_once(filled: Server, purge: Callable[..., httpx.Response], name: str) -> None:
    run = filled.airflow.trigger(f"{name}_a")
    success(purge())
    for dag_id in (f"{name}_a", f"{name}_b"):
        state = filled.airflow.dag(dag_id)
        assert state is None or state.stale
    rows = filled.database()["dag_run"]
    assert [row["dag_id"] for row in rows if row["run_id"] == run] == [f"{name}_a"], "runs stay"


def test_a_dry_run_changes_nothing(filled: Server, purge: Callable[..., httpx.Response], name: str) -> None:
    files, database = filled.files(), filled.database()
    body = success(purge(dry_run="y"))
    assert body["dry_run"] is True
    assert body["message"] == "DAG directory would be purged"
    assert body["removed_dag_ids"] == [f"{name}_a", f"{name}_b"]
    assert len(body["files"]["deleted"]) == 4
    assert filled.files() == files
    assert filled.database() == database


def test_an_empty_folder_is_purged_already(
    empty_folder: Server, purge: Callable[..., httpx.Response]
) -> None:
    body = success(purge())
    assert body["files"] == {"added": [], "changed": [], "deleted": []}


def test_a_link_out_of_the_folder_is_not_followed(
    filled: Server, purge: Callable[..., httpx.Response], tmp_path
) -> None:
    (tmp_path / "precious.py").write_text("precious\n")
    (filled.dags / "link").symlink_to(tmp_path)
    try:
        success(purge())
        assert (tmp_path / "precious.py").read_text() == "precious\n"
    finally:
        (filled.dags / "link").unlink()


def test_a_purged_dag_comes_back_with_its_state(
    filled: Server, purge: Callable[..., httpx.Response], name: str
) -> None:
    sent = {"dag_file": (f"{name}_a.py", dag_files.dag(f"{name}_a"))}
    success(filled.admin.post("/deploy_dag", files=sent, data={"unpause": "y", "force": "y"}))
    success(purge())
    body = success(filled.admin.post("/deploy_dag", files=sent, data={"otf_sync": "y"}))
    assert body["dags"] == [{"dag_id": f"{name}_a", "live": True, "paused": False}]
