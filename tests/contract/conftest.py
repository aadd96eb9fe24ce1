"""The servers of the suite: one for nearly all of it."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Callable, Iterator

import httpx
import pytest
from real_servers import S3Server

from contract import hosts
from contract import server as servers
from contract.file_server import FileServer, running
from contract.recording import recording
from contract.server import Server

MAX_FILE_MB = 3
TOKEN = "older-token-t0ken"
_numbers = itertools.count(1)

SETTINGS = {
    "MAX_FILE_MB": str(MAX_FILE_MB),
    "MAX_ARCHIVE_MB": "8",
    "MAX_ARCHIVE_MEMBERS": "50",
    "PARSE_TIMEOUT": "8",
    "PARSE_MEMORY_MB": "300",
    "OUTBOUND_ALLOW": "127.0.0.1/32",
    "OUTBOUND_TIMEOUT": "5",
    "ALLOW_TASK_EXECUTION": "False",
    "PURGE_KEEP": "kept/*.txt, keep_me.py",
}


@pytest.fixture(scope="session", autouse=True)
def _recorded() -> Iterator[None]:
    with recording():
        yield


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An Airflow with the simple auth manager and no DAG processor."""
    home = tmp_path_factory.mktemp("airflow")
    (home / "shared").mkdir()
    settings = {f"AIRFLOW__XTENDED_API__{name}": value for name, value in SETTINGS.items()}
    settings["AIRFLOW__XTENDED_API__UPLOAD_ROOTS"] = str(home / "shared")
    settings["AIRFLOW__XTENDED_API__LEGACY_TOKEN_USER"] = "user"
    settings["AIRFLOW__REST_API_PLUGIN__REST_API_PLUGIN_EXPECTED_HTTP_TOKEN"] = TOKEN
    # What the web server may do on AWS by itself.
    settings["AWS_ACCESS_KEY_ID"], settings["AWS_SECRET_ACCESS_KEY"] = (
        S3Server.access_key,
        S3Server.secret_key,
    )
    # Gunicorn, under Airflow 2, drops headers with underscores unless it is told not to.
    settings["GUNICORN_CMD_ARGS"] = "--header-map=dangerous"
    running = servers.start(home, settings)
    yield running
    running.close()


@pytest.fixture(scope="session")
def fab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An Airflow with the FAB auth manager, which knows rights on single DAGs."""
    home = tmp_path_factory.mktemp("fab")
    (home / "shared").mkdir()
    settings = {"AIRFLOW__XTENDED_API__UPLOAD_ROOTS": str(home / "shared")}
    running = servers.start(home, {**settings, **hosts.installed().fab_settings})
    yield running
    running.close()


@pytest.fixture
def admin(server: Server) -> httpx.Client:
    return server.admin


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A DAG id and file stem that no other test uses."""
    test = re.sub(r"\W+", "_", request.node.originalname)
    return f"{test.removeprefix('test_')[:60]}_{next(_numbers)}"


@pytest.fixture
def deploy(admin: httpx.Client) -> Callable[..., httpx.Response]:
    """POST deploy_dag as admin: a file name, its bytes, and fields."""

    def send(filename: str, content: bytes, **fields: str) -> httpx.Response:
        return admin.post("/deploy_dag", files={"dag_file": (filename, content)}, data=fields)

    return send


@pytest.fixture
def empty_folder(server: Server) -> Server:
    """The server, with nothing in its DAG folder and no DAG in its database that is not stale."""
    for path in server.dags.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    answer = server.admin.post("/refresh_all_dags")
    assert answer.status_code == 200, answer.text
    return server


@pytest.fixture
def file_server() -> Iterator[FileServer]:
    with running() as served:
        yield served
