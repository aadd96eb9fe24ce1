"""How long from sending a DAG file to a DAG that can be triggered: this extension, and Airflow by itself."""

from __future__ import annotations

import sys
import time
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

from measures import Row, Samples
from server import Airflow, Client

TARGET_SECONDS = 0.10
WARM_UP = 3
POLL_SECONDS = 0.02
# Airflow is busy for a moment with the run that shows a round to have worked; the next round is not to wait for it.
PAUSE_SECONDS = 1.0
GIVE_UP_SECONDS = 120
FILE = "measured.py"

# Each round puts another DAG id into the same file, so that a DAG of an earlier round never counts as live.
IMPORTS = (
    "from airflow import DAG\nfrom airflow.decorators import task"
    if version("apache-airflow").startswith("2.")
    else "from airflow.sdk import DAG, task"
)
# The older plugin takes a DAG whose variable is called `dag`, and no other.
CODE = f"""\
from airflow.providers.standard.operators.bash import BashOperator
{IMPORTS}

with DAG("{{dag_id}}", schedule=None) as dag:

    @task
    def extract():
        return 1

    extract() >> BashOperator(task_id="load", bash_command="true")
"""


def fill(folder: Path, files: int) -> None:
    """A DAG folder of so many files, the measured one included."""
    folder.mkdir(parents=True)
    (folder / FILE).write_text(CODE.format(dag_id="measured"))
    for number in range(files - 1):
        (folder / f"other_{number:04}.py").write_text(CODE.format(dag_id=f"other_{number:04}"))


def deploy_with_extension(client: Client, rounds: int) -> Samples:
    """Until `deploy_dag` with `otf_sync` answers; that the DAG can be triggered then is checked."""
    seconds = []
    for number in range(WARM_UP + rounds):
        time.sleep(PAUSE_SECONDS)
        dag_id = f"measured_ours_{number}"
        began = time.perf_counter()
        answer = client.deploy(FILE, CODE.format(dag_id=dag_id), force="true", otf_sync="true")
        seconds.append(time.perf_counter() - began)
        if answer.status != 200:
            sys.exit(f"deploy_dag answered {answer.status}: {answer.body.decode(errors='replace')}")
        triggered = client.trigger(dag_id)
        if triggered.status != 200:
            sys.exit(f"{dag_id} is deployed but can't be triggered: {triggered.status} {triggered.body!r}")
    return Samples(tuple(seconds[WARM_UP:]))


def deploy_with_airflow(airflow: Airflow, client: Client, rounds: int) -> Samples:
    """Write the file, ask for it to be parsed first, and try to trigger until that works.

    The time of a round ends where the try that succeeds is sent.
    """
    token = quote(client.get(f"{client.api}/dags/measured").json()["file_token"], safe="")
    file = airflow.dag_folder / FILE
    seconds = []
    for number in range(rounds):
        time.sleep(PAUSE_SECONDS)
        dag_id = f"measured_airflow_{number}"
        began = time.perf_counter()
        written = file.with_suffix(".tmp")
        written.write_text(CODE.format(dag_id=dag_id))
        written.replace(file)
        asked = client.ask("PUT", f"{client.api}/parseDagFile/{token}")
        if asked.status != 201:
            sys.exit(f"parseDagFile answered {asked.status}: {asked.body!r}")
        while True:
            sent = time.perf_counter() - began
            if client.trigger(dag_id).status == 200:
                break
            if sent > GIVE_UP_SECONDS:
                sys.exit(f"{dag_id} can't be triggered after {GIVE_UP_SECONDS} s")
            time.sleep(POLL_SECONDS)
        seconds.append(sent)
    return Samples(tuple(seconds))


def measure(airflow: Airflow, files: int, rounds: int) -> Row:
    client = airflow.client()
    airflow.wait_until_known(files)
    native = deploy_with_airflow(airflow, client, rounds)
    ours = deploy_with_extension(client, rounds)
    return Row(
        what=f"deploy until triggerable, {files:,} {'file' if files == 1 else 'files'} in the folder",
        ours=str(ours),
        other=f"priority parsing: {native}",
        ratio=f"{ours.p50 / native.p50:.2f}",
        target=f"p50 <= {TARGET_SECONDS:.2f} s",
        reached=ours.p50 <= TARGET_SECONDS,
        p50=ours.p50,
    )
