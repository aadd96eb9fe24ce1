"""How long a whole DAG folder takes to be parsed and published again: `scan_dags`, and Airflow's own command."""

from __future__ import annotations

import subprocess
import sys
import time

from measures import Row, Samples
from server import XTENDED, Airflow, clean_environment

TARGET_FACTOR = 5
ROUNDS = 3
BUNDLE = "dags-folder"


def reserialize(airflow: Airflow) -> float:
    """Seconds of `airflow dags reserialize`, in a process of its own, as it is used."""
    home = airflow.dag_folder.parent
    command = [sys.executable, "-m", "airflow", "dags", "reserialize"]
    command += ["--bundle-name", BUNDLE] if airflow.host == "airflow3" else []
    began = time.perf_counter()
    done = subprocess.run(command, env=clean_environment(home), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"airflow dags reserialize failed:\n{done.stderr}")
    return time.perf_counter() - began


def scan(airflow: Airflow, files: int) -> float:
    """Seconds of one `scan_dags` with `otf_sync`, which parses every file and publishes what it found."""
    client = airflow.basic()
    began = time.perf_counter()
    answer = client.ask("POST", f"{XTENDED}/scan_dags?otf_sync=true")
    seconds = time.perf_counter() - began
    if answer.status != 200 or answer.json()["parsed"] != files:
        sys.exit(f"scan_dags answered {answer.status}: {answer.body[:500]!r}")
    return seconds


def measure(airflow: Airflow, files: int) -> Row:
    """By turns, because both go over the same files and the same database; once before, they become known.

    Without a scheduler: in SQLite, that of Airflow 2 gives up while Airflow's own command writes so many DAGs.
    """
    scan(airflow, files)
    theirs, ours = [], []
    for _ in range(ROUNDS):
        theirs.append(reserialize(airflow))
        ours.append(scan(airflow, files))
    native, extension = Samples(tuple(theirs)), Samples(tuple(ours))
    factor = native.p50 / extension.p50
    return Row(
        what=f"parse and publish all of {files:,} files again",
        ours=str(extension),
        other=f"airflow dags reserialize: {native}",
        ratio=f"{extension.p50 / native.p50:.2f}",
        target=f"{TARGET_FACTOR}x as fast",
        reached=factor >= TARGET_FACTOR,
    )
