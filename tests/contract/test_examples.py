"""The examples of the older API's document still work, as they are printed there.

Host, credentials and the places of files are filled in; nothing else is changed.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from contract import dag_files
from contract.file_server import FileServer
from contract.server import Server

Curl = Callable[[str], Any]


@pytest.fixture
def curl(server: Server, tmp_path: Path) -> Curl:
    """Runs an example in a shell, in a folder of its own; answers the JSON that came back."""
    place = urlsplit(server.url)

    def run(example: str, **more: str) -> Any:
        filled = example.replace("{AIRFLOW_HOST}", str(place.hostname))
        filled = filled.replace("{AIRFLOW_PORT}", str(place.port))
        filled = filled.replace("username:password", f"admin:{server.passwords['admin']}")
        for name, value in more.items():
            filled = filled.replace("{" + name + "}", value)
        done = subprocess.run(
            ["bash", "-c", filled], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert answer["status"] == "success", answer
        return answer

    return run


@pytest.fixture
def sent_dag(tmp_path: Path) -> str:
    """The file that the examples send, at hand; answers the id of its DAG."""
    (tmp_path / "test_dag.py").write_bytes(dag_files.dag("test_dag"))
    return "test_dag"


def test_deploy_dag_by_post(curl: Curl, sent_dag: str, server: Server) -> None:
    answer = curl(
        r"""curl -X POST -H 'Content-Type: multipart/form-data' \
 --user "username:password" \
 -F 'dag_file=@test_dag.py' \
 -F 'force=y' \
 -F 'unpause=y' \
 http://{AIRFLOW_HOST}:{AIRFLOW_PORT}/api/v1/xtended/deploy_dag"""
    )
    assert answer["message"] == "DAG File [<module 'test_dag' from '/dags/test_dag.py'>] has been uploaded"
    assert answer["status"] == "success"
    state = server.airflow.dag(sent_dag)
    assert state is not None
    assert not state.paused


def test_deploy_dag_by_get(curl: Callable[..., Any], server: Server, file_server: FileServer) -> None:
    url = file_server.serve(dag_files.dag("test_dag"))
    answer = curl(
        r"""curl -X GET --user "username:password" \
'http://{AIRFLOW_HOST}:{AIRFLOW_PORT}/api/v1/xtended/deploy_dag?dag_file_url={DAG_FILE_URL}&filename=test_dag.py&force=on&unpause=on'
""",
        DAG_FILE_URL=url,
    )
    assert answer["message"] == "DAG File [<module 'test_dag' from '/dags/test_dag.py'>] has been uploaded"
    assert answer["status"] == "success"
    assert (server.dags / "test_dag.py").read_bytes() == dag_files.dag("test_dag")


def test_refresh_all_dags(curl: Curl) -> None:
    answer = curl(
        r"""curl -X GET --user "username:password" \
http://{AIRFLOW_HOST}:{AIRFLOW_PORT}/api/v1/xtended/refresh_all_dags"""
    )
    assert (answer["message"], answer["status"]) == ("All DAGs are now up-to-date!!", "success")


def test_scan_dags(curl: Curl) -> None:
    answer = curl(
        r"""curl -X GET --user "username:password" \
http://{AIRFLOW_HOST}:{AIRFLOW_PORT}/api/v1/xtended/scan_dags"""
    )
    assert (answer["message"], answer["status"]) == ("Ondemand DAG scan complete!!", "success")


def test_delete_dag(curl: Curl, sent_dag: str, server: Server) -> None:
    deployed = server.admin.post(
        "/deploy_dag",
        files={"dag_file": ("test_dag.py", dag_files.dag(sent_dag))},
        data={"force": "y", "otf_sync": "y"},
    )
    assert deployed.status_code == 200, deployed.text
    answer = curl(
        r"""curl -X GET --user "username:password" \
'http://{AIRFLOW_HOST}:{AIRFLOW_PORT}/api/v1/xtended/delete_dag?dag_id=test_dag&filename=test_dag.py'"""
    )
    assert (answer["message"], answer["status"]) == ("DAG [test_dag] deleted", "success")
    assert not (server.dags / "test_dag.py").exists()
    assert server.airflow.dag(sent_dag) is None


def test_upload_file(curl: Curl, server: Server, tmp_path: Path) -> None:
    (tmp_path / "test_file.py").write_text("ANSWER = 42\n")
    answer = curl(
        r"""curl -X POST -H 'Content-Type: multipart/form-data' \
 --user "username:password" \
 -F 'file=@test_file.py' \
 -F 'force=y' \
 http://{AIRFLOW_HOST}:{AIRFLOW_PORT}/api/v1/xtended/upload_file"""
    )
    assert (answer["message"], answer["status"]) == ("File [/dags/test_file.py] has been uploaded", "success")
    assert (server.dags / "test_file.py").read_text() == "ANSWER = 42\n"


def test_purge_dags(curl: Curl, sent_dag: str, server: Server) -> None:
    (server.dags / "test_dag.py").write_bytes(dag_files.dag(sent_dag))
    answer = curl(
        r"""curl -X GET --user "username:password" \
http://{AIRFLOW_HOST}:{AIRFLOW_PORT}/api/v1/xtended/purge_dags"""
    )
    assert (answer["message"], answer["status"]) == ("DAG directory purged!!", "success")
    assert not (server.dags / "test_dag.py").exists()


def test_the_documented_module_wording_holds_for_a_file_in_a_folder(server: Server, name: str) -> None:
    answer = server.admin.post(
        "/deploy_dag", files={"dag_file": (f"{name}.py", dag_files.dag(name))}, data={"path": "team/daily"}
    )
    assert re.fullmatch(
        rf"DAG File \[<module '{name}' from '/dags/team/daily/{name}.py'>\] has been uploaded",
        answer.json()["message"],
    )
