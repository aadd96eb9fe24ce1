"""What the README and the documentation print for a shell does what they say, typed line by line."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract import hosts
from contract import server as servers
from contract.server import CHECKOUT, Server

DOCUMENTS = {
    "docs/index.md": ['"state": "success"', "dag-invalid", "[daily_report] deleted", "Rolled back"],
    "docs/deploying.md": ["team_a/sql/orders.sql"],
    "docs/operating.md": ["healthy"],
    "docs/restarting.md": ['"failed_task_count": 1', '"state": "success"', '"dry_run": true'],
}
if hosts.installed().kind == "airflow3":
    # It triggers by Airflow 3's own API.
    DOCUMENTS["README.md"] = ["Rolled back"]
SECONDS = 300


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An Airflow as `make run` starts it."""
    settings = {"AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2", **hosts.installed().run_settings}
    server = servers.start(tmp_path_factory.mktemp("followed"), settings, ("web", "scheduler"))
    yield server
    server.close()


def _commands(document: str) -> str:
    """All that it prints for a shell, but for `make`, which is how the tests themselves were started."""
    blocks = re.findall(r"^```bash\n(.*?)^```", (CHECKOUT / document).read_text(), re.MULTILINE | re.DOTALL)
    return "".join(block for block in blocks if not re.search(r"^make ", block, re.MULTILINE))


def test_no_document_with_commands_is_left_out() -> None:
    documents = [CHECKOUT / "README.md", *(CHECKOUT / "docs").glob("*.md")]
    found = {path.relative_to(CHECKOUT).as_posix() for path in documents}
    assert {name for name in found if _commands(name)} == DOCUMENTS.keys() | {"README.md"}


@pytest.mark.parametrize("document", sorted(DOCUMENTS))
def test_what_a_document_prints_for_a_shell_works(followed: Server, document: str, tmp_path: Path) -> None:
    commands = (
        _commands(document)
        .replace("/tmp/", f"{tmp_path}/")
        .replace("http://localhost:8080", followed.url)
        .replace(".airflow/", f"{followed.home}/")
    )
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", commands],
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"], "ADMIN_PASSWORD": followed.passwords["admin"]},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for text in DOCUMENTS[document]:
        assert text in done.stdout
