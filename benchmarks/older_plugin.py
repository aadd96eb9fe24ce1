"""The older plugin, airflow-xtended-api, on Airflow 2: in an environment of its own, never a dependency."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

import deploys
import latency
import restarts
from measures import Row, Samples
from server import CLONE, XTENDED, Airflow, Client, clean_environment

sys.path.insert(0, str(CLONE / "scripts"))
from local_airflow.home import Home
from local_airflow.processes import ProcessGroup

PACKAGE = "airflow-xtended-api==0.1.6"
ENVIRONMENT = CLONE / ".venv" / "older-plugin"
READY_SECONDS = 180
# It sometimes leaves a deploy without an answer.
ANSWER_SECONDS = 30
ROUNDS = 20


def python() -> str:
    """The interpreter of its environment, which is made once: Airflow 2 as this extension has it, and the plugin."""
    uv, made = str(CLONE / ".venv/uv/bin/uv"), ENVIRONMENT / ".done"
    interpreter = str(ENVIRONMENT / "bin/python")
    if not made.exists():
        for command in (
            ["venv", "--allow-existing", "--python", str(CLONE / ".venv/uv/bin/python"), str(ENVIRONMENT)],
            ["pip", "sync", "--python", interpreter, str(CLONE / "requirements/airflow2.txt")],
            ["pip", "install", "--no-deps", "--python", interpreter, PACKAGE],
        ):
            subprocess.run([uv, *command, "--quiet"], check=True)
        made.touch()
    return interpreter


@contextmanager
def running(home: Path, *components: str) -> Iterator[Airflow]:
    """The webserver with the older plugin in it, and other `components`, in a home that may hold files already."""
    password = secrets.token_urlsafe(12)
    environment = {
        **clean_environment(home),
        "ADMIN_PASSWORD": password,
        "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "3600",
    }
    settings = Home(environment)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    interpreter = python()
    variables = settings.variables(port)
    variables["PATH"] = f"{Path(interpreter).parent}{os.pathsep}{variables['PATH']}"
    users = str(CLONE / "scripts/local_airflow/fab_users.py")
    subprocess.run(
        [interpreter, "-m", "airflow", "db", "migrate"], env=variables, check=True, capture_output=True
    )
    passwords = json.dumps(settings.passwords()).encode()
    subprocess.run([interpreter, users], env=variables, check=True, capture_output=True, input=passwords)
    group = ProcessGroup(variables, home / "logs")
    try:
        for component in ("webserver", *components):
            group.start(component, [interpreter, "-m", "airflow", component])
        airflow = Airflow(f"http://127.0.0.1:{port}", home / "dags", password, "airflow2")
        _wait(airflow)
        yield airflow
    finally:
        group.stop(10)


def _wait(airflow: Airflow) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            if airflow.basic().get("/api/v1/health").status == 200:
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            sys.exit("The webserver with the older plugin does not answer.")
        time.sleep(0.5)


def deploy(airflow: Airflow, files: int) -> tuple[Samples | None, int]:
    """How long until a DAG that it deploys can be triggered, and how many deploys failed.

    It scans in the background, which is the faster of its two ways.
    """
    airflow.wait_until_known(files)
    seconds, failed = [], 0
    for number in range(ROUNDS):
        time.sleep(deploys.PAUSE_SECONDS)
        took = _deploy(airflow.basic(ANSWER_SECONDS), f"measured_older_{files}_{number}")
        if took is None:
            failed += 1
        else:
            seconds.append(took)
    return (Samples(tuple(seconds)) if len(seconds) > 1 else None), failed


def _deploy(client: Client, dag_id: str) -> float | None:
    began = time.perf_counter()
    try:
        answer = client.deploy(deploys.FILE, deploys.CODE.format(dag_id=dag_id), force="on")
        while answer.status == 200:
            sent = time.perf_counter() - began
            if client.trigger(dag_id).status == 200:
                return sent
            if sent > ANSWER_SECONDS:
                return None
            time.sleep(deploys.POLL_SECONDS)
    except (OSError, HTTPException):
        # No answer in time, or none that is one.
        return None
    return None


def cheapest_request(airflow: Airflow, requests: int) -> Samples:
    """A request that it refuses for want of a DAG id once it knows who is asking."""
    return Samples(tuple(latency.timed(airflow.basic(), f"{XTENDED}/restart_failed_task", requests, 400)))


def restart(airflow: Airflow) -> Samples:
    """The same run as `restarts.measure`, in the same home."""
    client = airflow.basic()
    path = f"{XTENDED}/restart_failed_task?dag_id={restarts.DAG_ID}&run_id={restarts.RUN_ID}"
    return restarts.timed(airflow, lambda: client.get(path))


def beside(row: Row, older: Samples | None, failed: int = 0) -> Row:
    """The same measurement of this extension, with the older plugin in Airflow's place."""
    told = "none worked" if older is None else str(older)
    lost = f", {failed} of {ROUNDS} failed" if failed else ""
    ratio = f"{row.p50 / older.p50:.2f}" if older and row.p50 else "-"
    return Row(row.what, row.ours, f"older plugin: {told}{lost}", ratio, "-", None)
