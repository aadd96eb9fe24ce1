"""A real Airflow to measure, started by scripts/run.py in a home of its own, and a client for it."""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CLONE = Path(__file__).resolve().parent.parent
XTENDED = "/api/v1/xtended"
QUIET_SECONDS = 10


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One keep-alive connection, with one way to authenticate; `api` is where Airflow's own API is."""

    def __init__(self, url: str, authorization: str, api: str = "/api/v2", timeout: float = 600) -> None:
        address = urlsplit(url)
        self.api = api
        self._connection = HTTPConnection(address.hostname or "", address.port, timeout=timeout)
        self._headers = {"Authorization": authorization}

    def ask(self, method: str, path: str, body: bytes | None = None, content_type: str = "") -> Answer:
        headers = {**self._headers, **({"Content-Type": content_type} if content_type else {})}
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        return Answer(response.status, response.read())

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def post_json(self, path: str, value: Mapping[str, Any]) -> Answer:
        return self.ask("POST", path, json.dumps(value).encode(), "application/json")

    def deploy(self, name: str, code: str, **options: str) -> Answer:
        """POST deploy_dag with a file and its options."""
        file = (f'name="dag_file"; filename="{name}"\r\nContent-Type: text/x-python', code)
        return self.form(f"{XTENDED}/deploy_dag", options, file)

    def form(self, path: str, fields: Mapping[str, str], *files: tuple[str, str]) -> Answer:
        """POST a form: fields, and files as (the head of their part, their text)."""
        boundary = uuid.uuid4().hex
        parts = [*((f'name="{key}"', value) for key, value in fields.items()), *files]
        form = "".join(
            f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n"
            for head, value in parts
        )
        body = f"{form}--{boundary}--\r\n".encode()
        return self.ask("POST", path, body, f"multipart/form-data; boundary={boundary}")

    def trigger(self, dag_id: str) -> Answer:
        body = {"logical_date": None} if self.api == "/api/v2" else {}
        return self.post_json(f"{self.api}/dags/{dag_id}/dagRuns", body)


@dataclass(frozen=True)
class Airflow:
    """A running Airflow and its DAG folder."""

    url: str
    dag_folder: Path
    password: str
    host: str = "airflow3"

    @property
    def api(self) -> str:
        """Path of Airflow's own API."""
        return "/api/v2" if self.host == "airflow3" else "/api/v1"

    def client(self) -> Client:
        """A client that proves who it is in the way that costs Airflow the least; Airflow 2 has no tokens."""
        return self.bearer() if self.host == "airflow3" else self.basic()

    def bearer(self) -> Client:
        answer = Client(self.url, "").post_json(
            "/auth/token", {"username": "admin", "password": self.password}
        )
        return Client(self.url, f"Bearer {answer.json()['access_token']}")

    def basic(self, timeout: float = 600) -> Client:
        pair = base64.b64encode(f"admin:{self.password}".encode()).decode()
        return Client(self.url, f"Basic {pair}", self.api, timeout)

    def wait_until_known(self, dags: int) -> None:
        """Wait until the DAG processor has been through the folder once, and the machine is quiet."""
        client = self.client()
        while client.get(f"{self.api}/dags?limit=1").json()["total_entries"] < dags:
            time.sleep(1)
        time.sleep(QUIET_SECONDS)


def clean_environment(home: Path) -> dict[str, str]:
    """The caller's environment without its own Airflow settings, pointing to `home`.

    And without what keeps Python from storing compiled code, which Airflow's users have no reason to set.
    """
    left_out = ("PORT", "PYTHONDONTWRITEBYTECODE", "ADMIN_PASSWORD")
    kept = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW_") and k not in left_out}
    return {**kept, "AIRFLOW_HOME": str(home)}


@contextmanager
def running(
    home: Path, settings: Mapping[str, str] | None = None, only: Sequence[str] = ()
) -> Iterator[Airflow]:
    """All of Airflow, or `only` some of it, as `make run` starts it, on a free port; `home`/dags may hold files.

    `settings` are environment variables of its own.

    One setting differs from `make run`: a file that did not change is parsed again after an hour rather than
    after 30 s, so that a thousand of them do not keep a small machine busy during the measurement.
    """
    password = secrets.token_urlsafe(12)
    ready = home / "ready.json"
    environment = {
        **clean_environment(home),
        "ADMIN_PASSWORD": password,
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
        "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "3600",  # the same, as Airflow 2 calls it
        **(settings or {}),
    }
    command = [sys.executable, str(CLONE / "scripts" / "run.py"), "--port", "0", "--ready-file", str(ready)]
    command += ["--only", ",".join(only)] if only else []
    home.mkdir(parents=True, exist_ok=True)
    log = home / "run.log"
    with log.open("wb") as output:
        started = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        while not ready.exists():
            if started.poll() is not None:
                sys.exit(f"Airflow did not start:\n{log.read_text(errors='replace')}")
            time.sleep(0.2)
        about = json.loads(ready.read_text())
        url = about["url"].replace("localhost", "127.0.0.1")
        yield Airflow(url, home / "dags", password, about["host"])
    finally:
        started.send_signal(signal.SIGTERM)
        started.wait()
