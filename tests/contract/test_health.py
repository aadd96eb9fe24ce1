"""health says whether the parts work, to anyone, and nothing that a caller could use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psutil

from contract import dag_files
from contract.checks import problem, silent_about, success
from contract.server import Server, unchanged

ALL_WELL = {"parser": "ok", "dag_folder": "ok", "database": "ok"}


@contextmanager
def moved_away(server: Server, file_in_its_place: bool = False) -> Iterator[None]:
    aside = server.home / "dags-aside"
    server.dags.rename(aside)
    try:
        if file_in_its_place:
            server.dags.write_text("not a folder\n")
        yield
    finally:
        if file_in_its_place:
            server.dags.unlink()
        aside.rename(server.dags)


def test_all_is_well_and_open_to_anyone(server: Server) -> None:
    body = success(server.client(None).get("/health"))
    assert {part: body[part] for part in ALL_WELL} == ALL_WELL
    assert body["message"] == "healthy"


def test_airflow_has_no_child_more_than_without_the_extension(server: Server) -> None:
    """Airflow 2 counts the children of its web server, and gives it up after two minutes where there are too many."""
    success(server.client(None).get("/health"))
    parsers = {pid for pid, command in server.commands().items() if "xtended.dagparse.server" in command}
    (eldest,) = {pid for pid in parsers if psutil.Process(pid).ppid() not in parsers}
    assert psutil.Process(eldest).ppid() == server.process.pid


def test_wrong_credentials_do_not_matter(server: Server) -> None:
    success(httpx.get(f"{server.api}/health", auth=("admin", "wrong")))
    success(httpx.get(f"{server.api}/health", headers={"Authorization": "Bearer nonsense"}))


def test_a_dag_folder_that_is_gone_is_a_503_and_then_well_again(server: Server) -> None:
    for file_in_its_place in (False, True):
        with moved_away(server, file_in_its_place):
            answer = server.client(None).get("/health")
            body = problem(answer, 503, "unavailable")
            assert (body["parser"], body["database"]) == ("ok", "ok")
            assert body["dag_folder"] != "ok"
            silent_about(answer, str(server.home))
        success(server.client(None).get("/health"))


def test_without_a_dag_folder_every_change_is_refused(server: Server, name: str) -> None:
    sent = {"dag_file": (f"{name}.py", dag_files.dag(name))}
    with moved_away(server, file_in_its_place=True), unchanged(server):
        for answer in (
            server.admin.post("/deploy_dag", files=sent, data={"otf_sync": "y"}),
            server.admin.post("/upload_file", files={"file": (f"{name}.txt", b"x")}),
            server.admin.post("/purge_dags"),
            server.admin.post("/scan_dags", params={"otf_sync": "y"}),
            server.admin.post("/refresh_all_dags"),
        ):
            problem(answer, 503, "folder-unavailable")
            silent_about(answer, str(server.home))
    success(server.admin.post("/deploy_dag", files=sent))


def test_a_scan_of_a_folder_that_is_gone_leaves_its_dags_live(server: Server, name: str) -> None:
    sent = {"dag_file": (f"{name}.py", dag_files.dag(name))}
    success(server.admin.post("/deploy_dag", files=sent, data={"otf_sync": "y"}))
    with moved_away(server):
        problem(server.admin.post("/refresh_all_dags"), 503, "folder-unavailable")
    state = server.airflow.dag(name)
    assert state is not None
    assert not state.stale


def test_version_says_what_is_installed(server: Server) -> None:
    body = success(server.client("viewer").get("/version"))
    assert body["host"] == server.airflow.kind
    assert body["airflow"].startswith(server.airflow.kind.removeprefix("airflow") + ".")
    assert body["version"] in body["message"]
    assert body["airflow"] in body["message"]
    assert body["connexion"]
