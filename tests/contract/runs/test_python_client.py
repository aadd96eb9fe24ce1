"""The examples in the Python client's README run as they are printed, where Airflow's own client is installed too."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import real_servers
from real_servers import S3Server

from contract import dag_files
from contract.runs.conftest import Control
from contract.server import CHECKOUT

README = CHECKOUT / "clients" / "python" / "README.md"
PYTHON = CHECKOUT / ".venv" / "client" / "bin" / "python"
EXAMPLES = dict(
    re.findall(r"^## (.+?)\n.*?```python\n(.*?)```", README.read_text(), re.MULTILINE | re.DOTALL)
)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with real_servers.s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


def run(control: Control, title: str, **more: str) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "AIRFLOW_URL": control.server.url,
        "ADMIN_PASSWORD": control.server.passwords["admin"],
        **more,
    }
    done = subprocess.run(
        [PYTHON, "-W", "error::ResourceWarning", "-c", EXAMPLES[title]],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_deploy_wait_trigger_watch_roll_back(control: Control) -> None:
    said = run(control, "Deploy, wait, trigger, watch, roll back")
    assert "deployed ['daily_report'] as revision" in said
    assert "the run ended in success" in said
    assert "without ['daily_report']" in said
    assert not (control.server.dags / "daily_report.py").exists()


def test_errors_are_typed(control: Control) -> None:
    assert re.search(r"^broken\.py:2: .*no_such_module", run(control, "Errors"), re.MULTILINE)


def test_every_way_to_log_in(control: Control) -> None:
    said = run(control, "Ways to log in")
    assert said.startswith("Airflow Xtended")
    assert "renewed: True" in said


def test_progress_comes_line_by_line(control: Control, s3: S3Server) -> None:
    s3.fill("client-bucket", {"from_client.py": dag_files.dag("from_client")})
    said = run(
        control,
        "Progress",
        BUCKET="client-bucket",
        S3_URL=s3.url,
        S3_KEY=s3.access_key,
        S3_SECRET=s3.secret_key,
    )
    assert "'stage': 'listed'" in said
    assert "'synced': ['from_client.py']" in said


def test_it_is_installed_beside_airflows_own_client() -> None:
    check = "import airflow_client.client, airflow_xtended_client; print(airflow_xtended_client.__version__)"
    done = subprocess.run([PYTHON, "-c", check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Path(sys.prefix).name not in done.stdout
