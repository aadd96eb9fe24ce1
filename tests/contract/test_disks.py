"""A disk that is full or read-only midway through a change: a problem, no change, and the next one works."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from disks import read_only, small_disk

from contract import dag_files
from contract import server as servers
from contract.checks import problem, silent_about, success
from contract.server import Server, unchanged

DISK_BYTES = 1024 * 1024


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """An AIRFLOW_HOME whose DAG folder is a small disk, and its folder `team` another one."""
    with small_disk(tmp_path / "dags", DISK_BYTES) as mounted:
        if not mounted:
            pytest.skip("this machine lets nobody mount a disk")
        with small_disk(tmp_path / "dags" / "team", DISK_BYTES):
            yield tmp_path


@pytest.fixture
def crowded(home: Path) -> Iterator[Server]:
    running = servers.start(home, {})
    yield running
    running.close()


def test_the_folder_stays_as_it_was_and_the_next_deploy_works(crowded: Server) -> None:
    def upload(folder: str, content: bytes) -> str:
        sent = {"file": ("data.txt", content)}
        answer = crowded.admin.post("/upload_file", files=sent, data={"path": folder, "force": "y"})
        return str(success(answer)["revision"])

    def deploy(name: str, content: bytes) -> httpx.Response:
        sent = {"dag_file": (name, content)}
        return crowded.admin.post("/deploy_dag", files=sent, data={"otf_sync": "y"})

    success(deploy("small.py", dag_files.dag("small")))
    large = dag_files.dag("large") + b"# " + os.urandom(DISK_BYTES // 2).hex().encode()
    with unchanged(crowded):
        answer = deploy("large.py", large)
        assert "no space" in problem(answer, 503, "folder-unavailable")["detail"]
        silent_about(answer, str(crowded.home))

    folders = ("above", "team", "under")
    older = [upload(folder, b"1") for folder in folders][-1]
    newer = [upload(folder, b"2") for folder in folders][-1]
    with read_only(crowded.dags / "team"), unchanged(crowded):
        answer = crowded.admin.post("/rollback", params={"revision": older})
        problem(answer, 503, "folder-unavailable")
        silent_about(answer, str(crowded.home))

    success(crowded.admin.post("/rollback", params={"revision": older}, headers={"If-Match": f'"{newer}"'}))
    assert {crowded.files()[f"{folder}/data.txt"] for folder in folders} == {b"1"}
    success(deploy("next.py", dag_files.dag("next")))
    assert crowded.airflow.trigger("next")
