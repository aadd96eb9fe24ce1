"""The examples in the clients' READMEs run as they are printed, the Python client's beside Airflow's own client."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import real_servers
from real_servers import S3Server

from contract import dag_files
from contract.checks import success
from contract.runs.conftest import Control
from contract.server import CHECKOUT

CLIENTS = CHECKOUT / "clients"
PYTHON = CHECKOUT / ".venv" / "client" / "bin" / "python"
NODE = CHECKOUT / ".venv" / "tools" / "bin" / "node"
LANGUAGES = ("python", "typescript")


def _examples(language: str) -> dict[str, str]:
    text = (CLIENTS / language / "README.md").read_text()
    return dict(re.findall(r"^## (.+?)\n.*?```(?:python|js)\n(.*?)```", text, re.MULTILINE | re.DOTALL))


EXAMPLES = {language: _examples(language) for language in LANGUAGES}


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with real_servers.s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _command(language: str, example: str, scratch: Path) -> list[str | Path]:
    if language == "python":
        return [PYTHON, "-W", "error::ResourceWarning", "-c", example]
    # Below the package, whose name leads to itself there.
    program = CLIENTS / "typescript" / "dist" / f"{scratch.name}.mjs"
    program.write_text(example)
    return [NODE, program]


def run(control: Control, language: str, title: str, scratch: Path, **more: str) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "AIRFLOW_URL": control.server.url,
        "ADMIN_PASSWORD": control.server.passwords["admin"],
        **more,
    }
    done = subprocess.run(
        _command(language, EXAMPLES[language][title], scratch),
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_deploy_wait_trigger_watch_roll_back(control: Control, language: str, tmp_path: Path) -> None:
    said = run(control, language, "Deploy, wait, trigger, watch, roll back", tmp_path)
    assert re.search(r"^deployed \[ ?'daily_report' ?\] as revision [0-9a-f]{40}$", said, re.MULTILINE)
    assert "the run ended in success" in said
    assert re.search(r"without \[ ?'daily_report' ?\]$", said, re.MULTILINE)
    assert not (control.server.dags / "daily_report.py").exists()


def test_errors_are_typed(control: Control, language: str, tmp_path: Path) -> None:
    said = run(control, language, "Errors", tmp_path)
    assert re.search(r"^broken\.py:2: .*no_such_module", said, re.MULTILINE)


def test_a_token_logs_in(control: Control, language: str, tmp_path: Path) -> None:
    assert run(control, language, "Ways to log in", tmp_path).startswith("Airflow Xtended")


def test_the_session_of_airflows_pages_reads(control: Control, language: str, tmp_path: Path) -> None:
    server = control.server
    sent = {"dag_file": ("read_by_session.py", dag_files.dag("read_by_session"))}
    deployed = success(server.admin.post("/deploy_dag", files=sent, data={"otf_sync": "y"}))
    cookie = f"{server.airflow.session_cookie}={server.airflow.session('admin', server.passwords['admin'])}"
    title = "The session of Airflow's pages"
    assert deployed["revision"] in run(control, language, title, tmp_path, AIRFLOW_COOKIE=cookie)
    success(server.admin.delete("/delete_dag", params={"dag_id": "read_by_session"}))


def test_progress_comes_line_by_line(control: Control, s3: S3Server, language: str, tmp_path: Path) -> None:
    name = f"from_{language}"
    s3.fill(f"{language}-bucket", {f"{name}.py": dag_files.dag(name)})
    where = {"S3_URL": s3.url, "S3_KEY": s3.access_key, "S3_SECRET": s3.secret_key}
    said = run(control, language, "Progress", tmp_path, BUCKET=f"{language}-bucket", **where)
    assert re.search(r"'?stage'?: 'listed'", said)
    assert f"'{name}.py'" in said


def test_the_python_client_is_installed_beside_airflows_own() -> None:
    check = "import airflow_client.client, airflow_xtended_client; print(airflow_xtended_client.__version__)"
    done = subprocess.run([PYTHON, "-c", check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
