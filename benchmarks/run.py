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
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import deploys
import footprint
import history
import latency
import psutil
import reparse
import syncs
from measures import Row, table
from server import CLONE, running

DOCUMENT = CLONE / "docs" / "benchmarks.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
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
        say(f"Starting Airflow with {files} DAG file{'s' * (files > 1)}")
        home = scratch / f"files-{files}"
        deploys.fill(home / "dags", files)
        with running(home) as airflow:
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
    say("Starting the api-server with and without the extension")
    home = scratch / "files-1"
    return [*rows, footprint.import_time(home), *footprint.memory(home)]


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
    if version("apache-airflow").startswith("2."):
        sys.exit("The benchmarks measure Airflow 3 so far.")
    with tempfile.TemporaryDirectory(prefix="xtended-bench-") as scratch:
        rows = measure(options.deploys, options.sync_files, Path(scratch))
    about = f"{datetime.now(UTC):%Y-%m-%d}; {machine()}; {versions()}; {options.deploys} deploys each."
    write(f"{about}\n\n{table(rows)}")
    say(f"\n{about}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
