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
from collections.abc import Callable, Iterator, Mapping
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


def measure_deploys(options: argparse.Namespace, scratch: Path) -> Iterator[Row]:
    for files in (1, 1000):
        with started(scratch / f"files-{files}", files) as airflow:
            yield deploys.measure(airflow, files, options.deploys)
            if files == 1:
                for clients in (1, 4):
                    yield from latency.measure(airflow, clients, REQUESTS)


def measure_reparse(options: argparse.Namespace, scratch: Path) -> Iterator[Row]:
    home = scratch / "reparse"
    deploys.fill(home / "dags", 1000)
    say("Parsing 1,000 files again and again")
    with running(home, only=("web",)) as airflow:
        yield reparse.measure(airflow, 1000)


def measure_syncs(options: argparse.Namespace, scratch: Path) -> Iterator[Row]:
    say(f"Syncing {options.sync_files:,} files")
    # Not beside a scheduler: that of Airflow 2 can't wait for as long as SQLite takes a thousand new DAGs.
    with running(scratch / "syncs", syncs.settings(), only=("web",)) as airflow:
        yield from syncs.measure(airflow, options.sync_files, scratch / "sources")


def measure_history(options: argparse.Namespace, scratch: Path) -> Iterator[Row]:
    say("Changing folders of several sizes")
    yield from history.measure(scratch / "history", CHANGES)


def measure_footprint(options: argparse.Namespace, scratch: Path) -> Iterator[Row]:
    say("Starting Airflow's web process with and without the extension")
    home = scratch / "footprint"
    with started(home, 1):
        pass  # That its database is made is all.
    yield from footprint.import_time(home)
    yield from footprint.memory(home)


def measure_runs(options: argparse.Namespace, scratch: Path) -> Iterator[Row]:
    say("Controlling runs, on PostgreSQL")
    yield from runs.measure(scratch)


def measure_older_plugin(options: argparse.Namespace, scratch: Path) -> Iterator[Row]:
    """What the older plugin does too, on the same Airflow 2: each row once more, with the plugin in Airflow's place."""
    for files in (1, 200):
        home = scratch / f"older-{files}"
        with started(home, files) as airflow:
            row = deploys.measure(airflow, files, options.deploys)
        say(f"Starting it with the older plugin and {files} DAG file{'s' * (files > 1)}")
        with older_plugin.running(home, "scheduler") as airflow:
            yield row
            yield older_plugin.beside(row, *older_plugin.deploy(airflow, files))
    home = scratch / "older-restart"
    with running(home, only=("web",)) as airflow:
        restarts.prepare(airflow)
        restart = restarts.measure(airflow)
        no_op = latency.measure(airflow, 1, REQUESTS)[0]
    with older_plugin.running(home) as airflow:
        yield restart
        yield older_plugin.beside(restart, older_plugin.restart(airflow))
        yield no_op
        yield older_plugin.beside(no_op, older_plugin.cheapest_request(airflow, REQUESTS))


PARTS: Mapping[str, Callable[[argparse.Namespace, Path], Iterator[Row]]] = {
    "deploys": measure_deploys,
    "reparse": measure_reparse,
    "syncs": measure_syncs,
    "history": measure_history,
    "footprint": measure_footprint,
    **({"older-plugin": measure_older_plugin} if HOST == "airflow2" else {"runs": measure_runs}),
}


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
    parser.add_argument(
        "--only", choices=PARTS, help="measure this alone, and leave the document as it is (everything)"
    )
    options = parser.parse_args()
    # So that what was started is stopped, whoever ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="xtended-bench-") as scratch:
        for name, part in PARTS.items():
            if options.only in (None, name):
                for row in part(options, Path(scratch)):
                    rows.append(row)
                    say(f"{row.what}: {row.ours}; {row.other}")
    about = f"{datetime.now(UTC):%Y-%m-%d}; {machine()}; {versions()}; {options.deploys} deploys each."
    if options.only is None:
        write(f"{about}\n\n{table(rows)}")
    say(f"\n{about}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
