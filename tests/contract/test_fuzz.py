"""Whatever is sent, the answer is one that the contract declares, and never a 5xx."""

from __future__ import annotations

import os
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract import dag_files
from contract import server as servers
from contract.checks import success
from contract.server import CHECKOUT, Server

FUZZING = CHECKOUT / "tests" / "contract" / "fuzzing"
EXAMPLES = 15
SEED = 20261124


@pytest.fixture
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of its own: among what is sent are purges and deletes."""
    running = servers.start(tmp_path_factory.mktemp("fuzzed"), {})
    # The DAG that the examples of the contract name.
    sent = {"dag_file": ("example_dag.py", dag_files.dag("example_dag"))}
    success(running.admin.post("/deploy_dag", files=sent, data={"otf_sync": "y"}))
    yield running
    running.close()


@pytest.fixture(scope="module")
def schemathesis() -> str:
    """The program: from the environment of the tools, else from the path."""
    installed = CHECKOUT / ".venv" / "tools" / "bin" / "schemathesis"
    found = str(installed) if installed.exists() else shutil.which("schemathesis")
    assert found, "schemathesis is not installed: make .venv/tools/.done"
    return found


def test_every_answer_is_one_that_the_contract_declares(
    fuzzed: Server, schemathesis: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [
            schemathesis,
            f"--config-file={FUZZING / 'schemathesis.toml'}",
            "run",
            f"{fuzzed.api}/openapi.json",
            f"--max-examples={EXAMPLES}",
            f"--seed={SEED}",
            "--header",
            f"Authorization: Basic {b64encode(('admin:' + fuzzed.passwords['admin']).encode()).decode()}",
        ],
        cwd=FUZZING,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=850,
    )
    assert done.returncode == 0, done.stdout
    assert fuzzed.airflow.healthy()
    assert fuzzed.client(None).get("/health").status_code == 200
