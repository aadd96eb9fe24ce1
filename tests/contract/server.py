"""A real Airflow with the extension in it, started for the suite and ended with it."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from contract import hosts

CHECKOUT = Path(__file__).parents[2]
PREFIX = "/api/v1/xtended"
START_SECONDS = 240
_PR_SET_PDEATHSIG = 1
# Passwords are Unicode: one of them is in every suite that logs in.
PASSWORDS = {"admin": "adm1n:pass", "op": "op-Passwort", "user": "üser-pässwörd-✓", "viewer": "viewer pass"}
# Rows that change while nobody asks for anything.
_RESTLESS_TABLES = frozenset({"job", "session"})
# Columns of Flask-AppBuilder's users that change with each login, whatever it is for.
_RESTLESS_COLUMNS = frozenset({"last_login", "login_count", "fail_login_count"})


@dataclass
class Server:
    """One running Airflow; `home` is its AIRFLOW_HOME."""

    url: str
    home: Path
    process: subprocess.Popen[bytes]
    passwords: dict[str, str]
    airflow: hosts.Airflow
    _clients: dict[str | None, httpx.Client] = field(default_factory=dict)

    @property
    def dags(self) -> Path:
        return self.home / "dags"

    @property
    def api(self) -> str:
        return self.url + PREFIX

    def client(self, user: str | None) -> httpx.Client:
        """A client of the extension that logs in by password; None: anonymous."""
        if user not in self._clients:
            auth = None
            if user is not None:
                auth = httpx.BasicAuth(user.encode(), self.passwords[user].encode())
            self._clients[user] = httpx.Client(base_url=self.api, auth=auth, timeout=120)
        return self._clients[user]

    @property
    def admin(self) -> httpx.Client:
        return self.client("admin")

    def add_user(self, name: str, password: str, rights: Sequence[tuple[str, str]]) -> None:
        """Add a user who has these rights alone, where users live in Flask-AppBuilder's tables."""
        self.airflow.add_user(name, password, rights)
        self.passwords[name] = password

    def files(self) -> dict[str, bytes]:
        """Every file of the DAG folder, hidden ones too, but for Python's caches."""
        return {
            path.relative_to(self.dags).as_posix(): path.read_bytes()
            for path in sorted(self.dags.rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts
        }

    def database(self) -> dict[str, list[dict[str, Any]]]:
        """Every row of every table that changes with requests alone."""
        connection = sqlite3.connect(f"file:{self.home / 'airflow.db'}?mode=ro", uri=True)
        connection.row_factory = sqlite3.Row
        try:
            tables = [
                row["name"] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
            ]
            return {
                table: [
                    {column: row[column] for column in set(row.keys()) - _RESTLESS_COLUMNS}
                    for row in connection.execute(f'SELECT * FROM "{table}"')
                ]
                for table in tables
                if table not in _RESTLESS_TABLES
            }
        finally:
            connection.close()

    def log(self) -> str:
        """What Airflow's processes have written so far."""
        return "\n".join(
            path.read_text(errors="replace") for path in sorted((self.home / "logs").glob("*.log"))
        )

    def processes(self) -> list[psutil.Process]:
        """Every process that the server consists of. Orphans stay in it: run.py adopts them."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def commands(self) -> dict[int, str]:
        """The command line of each of them, by pid; those that end meanwhile are left out."""
        found = {}
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                found[process.pid] = " ".join(process.cmdline())
        return found

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        said = (self.home / "run.log").read_text(errors="replace")
        assert "Starting it again" not in said, f"A part of Airflow did not stay up:\n{said}"


@contextmanager
def unchanged(server: Server) -> Iterator[None]:
    """Holds that what happens inside leaves the DAG folder and the database as they were."""
    files, rows = server.files(), server.database()
    yield
    assert server.files() == files
    after = server.database()
    assert {table: after[table] for table in rows if after[table] != rows[table]} == {}


def start(home: Path, settings: Mapping[str, str], components: Sequence[str] = ("web",)) -> Server:
    """Start an Airflow in `home` and wait until it serves."""
    home.mkdir(parents=True, exist_ok=True)
    ready = home / "ready.json"
    ready.unlink(missing_ok=True)
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AIRFLOW__") and not name.upper().endswith("_PROXY")
    }
    environment |= {
        "AIRFLOW_HOME": str(home),
        # A test machine may be one of AWS, with a role of its own.
        "AWS_EC2_METADATA_DISABLED": "true",
        **{f"{name.upper()}_PASSWORD": p for name, p in PASSWORDS.items()},
    }
    environment |= settings
    output = home / "run.log"
    command = [
        sys.executable,
        str(CHECKOUT / "scripts" / "run.py"),
        "--port",
        "0",
        "--only",
        ",".join(components),
    ]
    with output.open("wb") as log:
        process = subprocess.Popen(
            [*command, "--ready-file", str(ready)],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C in the terminal is pytest's; its death, however it comes, stops the server too.
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ready.exists():
            assert process.poll() is None, f"Airflow did not start:\n{output.read_text(errors='replace')}"
            assert time.monotonic() < deadline, f"Airflow is not ready:\n{output.read_text(errors='replace')}"
            time.sleep(0.1)
        url = json.loads(ready.read_text())["url"].replace("localhost", "127.0.0.1")
        airflow = hosts.installed()(url, "admin", PASSWORDS["admin"])
    except BaseException:
        process.terminate()
        process.wait(60)
        raise
    return Server(url, home, process, dict(PASSWORDS), airflow)


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
