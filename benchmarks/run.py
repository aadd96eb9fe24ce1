"""Measure this extension against what a user would use instead; what `make bench` calls.

Prints a table, and puts it into docs/benchmarks.md with the machine and the versions.
"""

from __future__ import annotations

import argparse
import platform
import re
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import deploys
import footprint
import history
import latency
import older_plugin
import psutil
import reparse
import restarts
import runs
import syncs
from measures import Row, table
from server import CLONE, Airflow, running

DOCUMENT = CLONE / "docs" / "benchmarks.md"
HOST = f"airflow{version('apache-airflow').split('.')[0]}"
BEGIN, END = f"<!-- measured on {HOST}: begin -->", f"<!-- measured on {HOST}: end -->"
DEPLOYS = 100
REQUESTS = 200
SYNC_FILES = 1000
CHANGES = 50


def machine() -> str:
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return (
        f"{psutil.cpu_count()} cores ({cpu.group(1) if cpu else platform.machine()}), "
        f"{psutil.virtual_memory().total / 2**30:.0f} GB, Linux {platform.release()}"
    )


def versions() -> str:
    named = ", ".join(
        f"{title} {version(name)}"
        for title, name in (
            ("Airflow", "apache-airflow"),
            ("Connexion", "connexion"),
            ("this extension", "airflow-xtended"),
        )
    )
    return f"Python {platform.python_version()}, {named}"


def say(text: str) -> None:
    print(text, flush=True)


def measure(deploy_rounds: int, sync_files: int, scratch: Path) -> list[Row]:
    rows: list[Row] = []
    for files in (1, 1000):
        home = scratch / f"files-{files}"
        with started(home, files) as airflow:
            rows.append(deploys.measure(airflow, files, deploy_rounds))
            say(table(rows[-1:]))
            if files == 1:
                rows += [row for clients in (1, 4) for row in latency.measure(airflow, clients, REQUESTS)]
            else:
                rows.append(reparse.measure(airflow, files))
    say(f"Syncing {sync_files:,} files")
    home = scratch / "syncs"
    with running(home, syncs.settings()) as airflow:
        rows += syncs.measure(airflow, sync_files, scratch / "sources")
    say("Changing folders of several sizes")
    rows += history.measure(scratch / "history", CHANGES)
    say("Starting Airflow's web process with and without the extension")
    home = scratch / "files-1"
    return [*rows, footprint.import_time(home), *footprint.memory(home)]


def measure_beside_older_plugin(deploy_rounds: int, scratch: Path) -> list[Row]:
    """What the older plugin does too, on the same Airflow 2: each row once more, with the plugin in Airflow's place."""
    rows: list[Row] = []
    for files in (1, 200):
        home = scratch / f"older-{files}"
        with started(home, files) as airflow:
            row = deploys.measure(airflow, files, deploy_rounds)
        say(f"Starting it with the older plugin and {files} DAG file{'s' * (files > 1)}")
        with older_plugin.running(home, "scheduler") as airflow:
            rows += [row, older_plugin.beside(row, *older_plugin.deploy(airflow, files))]
        say(table(rows[-2:]))
    home = scratch / "older-restart"
    with running(home, only=("web",)) as airflow:
        restarts.prepare(airflow)
        restart = restarts.measure(airflow)
        no_op = latency.measure(airflow, 1, REQUESTS)[0]
    with older_plugin.running(home) as airflow:
        restart_beside = older_plugin.beside(restart, older_plugin.restart(airflow))
        no_op_beside = older_plugin.beside(no_op, older_plugin.cheapest_request(airflow, REQUESTS))
    return [*rows, restart, restart_beside, no_op_beside]


@contextmanager
def started(home: Path, files: int) -> Iterator[Airflow]:
    say(f"Starting Airflow with {files} DAG file{'s' * (files > 1)}")
    deploys.fill(home / "dags", files)
    with running(home) as airflow:
        yield airflow


def write(result: str) -> None:
    """Replace what the last run left between the markers; the text around it stays."""
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{result}\n{END}{rest.partition(END)[2]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--deploys", type=int, default=DEPLOYS, help="deploys per way and folder (%(default)s)"
    )
    parser.add_argument(
        "--sync-files", type=int, default=SYNC_FILES, help="files in the synced bucket (%(default)s)"
    )
    options = parser.parse_args()
    # So that what was started is stopped, whoever ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))
    with tempfile.TemporaryDirectory(prefix="xtended-bench-") as scratch:
        rows = measure(options.deploys, options.sync_files, Path(scratch))
        if HOST == "airflow2":
            rows += measure_beside_older_plugin(options.deploys, Path(scratch))
        else:
            say("Controlling runs, on PostgreSQL")
            rows += runs.measure(Path(scratch))
    about = f"{datetime.now(UTC):%Y-%m-%d}; {machine()}; {versions()}; {options.deploys} deploys each."
    write(f"{about}\n\n{table(rows)}")
    say(f"\n{about}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
