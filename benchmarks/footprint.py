"""What the extension adds to Airflow's web process: time to import, and memory, its own and its warm parser's."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
from deploys import CODE
from latency import CHEAPEST_OF_AIRFLOW
from measures import Row
from server import CLONE, XTENDED, Airflow, clean_environment

sys.path.insert(0, str(CLONE / "scripts"))
from local_airflow.home import Home
from local_airflow.processes import ProcessGroup

TARGET_SECONDS = 0.3
TARGET_MEGABYTES = 150
IMPORTS = 7
STARTS = 3
REQUESTS = 50
READY_SECONDS = 180
SETTLE_SECONDS = 3
MEGABYTE = 1024 * 1024

HIDING = str(Path(__file__).parent / "without_extension")
# Hidden from Airflow's own plugin manager, the extension is imported by hand, on top of a whole application.
IMPORT = """
import sys
import time
from {module} import create_app
create_app()
if "xtended" in sys.modules:
    sys.exit("The extension is not hidden: Airflow has imported it already.")
began = time.perf_counter()
from xtended.plugin import XtendedPlugin
XtendedPlugin().{mounted}
print("SECONDS", time.perf_counter() - began)
"""
# What each task, each command and the scheduler do with every plugin that is installed.
LOAD = """
import time
import airflow.plugins_manager
began = time.perf_counter()
from xtended.plugin import XtendedPlugin
XtendedPlugin()
print("SECONDS", time.perf_counter() - began)
"""


@dataclass(frozen=True)
class Web:
    """Airflow's web process: its name, and the names that its application and its plugins' mounts have."""

    command: str
    module: str
    mounted: str


WEB = {
    "airflow3": Web("api-server", "airflow.api_fastapi.app", "fastapi_apps"),
    "airflow2": Web("webserver", "airflow.www.app", "flask_blueprints"),
}


def import_time(home: Path) -> Iterator[Row]:
    """In the web process, which mounts it, and in all others."""
    environment = {**clean_environment(home), "PYTHONPATH": HIDING}
    web = WEB[Home(environment).kind]
    median = _median_of(IMPORT.format(module=web.module, mounted=web.mounted), environment)
    yield Row(
        what=f"import time added to the {web.command}",
        ours=f"{median:.2f} s",
        other="-",
        ratio="-",
        target=f"<= {TARGET_SECONDS} s",
        reached=median <= TARGET_SECONDS,
    )
    elsewhere = _median_of(LOAD, environment)
    yield Row("import time added to any other process", f"{elsewhere * 1000:.1f} ms", "-", "-", "-", None)


def _median_of(program: str, environment: Mapping[str, str]) -> float:
    """Seconds that it prints: the median over fresh processes, the files in the operating system's cache."""
    seconds = []
    for _ in range(IMPORTS):
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"Importing the extension failed:\n{done.stderr}")
        seconds.append(float(done.stdout.rpartition("SECONDS")[2]))
    return statistics.median(seconds)


def memory(home: Path) -> list[Row]:
    """Proportional set sizes after the same requests, with and without the extension, by turns."""
    without, with_it, parser = [], [], []
    for _ in range(STARTS):
        without.append(_sizes(home, extension=False)[0])
        server, warm = _sizes(home, extension=True)
        with_it.append(server)
        parser.append(warm)
    web = WEB[Home(clean_environment(home)).kind]
    server_before, server_after = statistics.median(without), statistics.median(with_it)
    warm_parser = statistics.median(parser)
    added = server_after - server_before
    return [
        Row(
            f"memory of the {web.command}",
            f"{server_after:.0f} MB",
            f"without: {server_before:.0f} MB",
            "-",
            "-",
            None,
        ),
        Row("memory of the warm parser", f"{warm_parser:.0f} MB", "-", "-", "-", None),
        Row(
            what="memory added, parser warm",
            ours=f"{added + warm_parser:.0f} MB",
            other="-",
            ratio="-",
            target=f"<= {TARGET_MEGABYTES} MB",
            reached=added + warm_parser <= TARGET_MEGABYTES,
        ),
    ]


def _sizes(home: Path, *, extension: bool) -> tuple[float, float]:
    """Megabytes of the web process and its children, and of the parser's."""
    environment = clean_environment(home)
    if not extension:
        environment["PYTHONPATH"] = HIDING
    settings = Home(environment)
    # The one of the last start: Airflow 2 has it in its database.
    password = settings.passwords()["admin"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    group = ProcessGroup(settings.variables(port), home / "logs")
    try:
        web = WEB[settings.kind].command
        group.start(web, [sys.executable, "-m", "airflow", web])
        _use(Airflow(f"http://127.0.0.1:{port}", home / "dags", password, settings.kind), extension)
        time.sleep(SETTLE_SECONDS)
        everything = {p.pid for p in psutil.Process(os.getpid()).children(recursive=True)}
        parser = {pid for pid in everything | _detached_parsers(home) if _is_parser(pid)}
        return _proportional(everything - parser), _proportional(parser)
    finally:
        group.stop(10)


def _use(airflow: Airflow, extension: bool) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            client = airflow.client()
            client.get(airflow.api + CHEAPEST_OF_AIRFLOW)
            break
        except OSError:
            if time.monotonic() > deadline:
                sys.exit("The web process does not answer.")
            time.sleep(0.5)
    # What is compared has to be what it is taken for.
    expected = 200 if extension else 404
    status = client.get(f"{XTENDED}/version").status
    if status != expected:
        sys.exit(
            f"GET version answered {status}, not {expected}: is the extension hidden where it should be?"
        )
    for number in range(REQUESTS):
        client.get(airflow.api + CHEAPEST_OF_AIRFLOW)
        if extension:
            client.get(f"{XTENDED}/version")
            if number % 10 == 0:
                answer = client.deploy("small.py", CODE.format(dag_id="small"), force="true", otf_sync="true")
                if answer.status != 200:
                    sys.exit(f"deploy_dag answered {answer.status}: {answer.body!r}")


def _command(pid: int) -> str:
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.NoSuchProcess:
        return ""


def _is_parser(pid: int) -> bool:
    return "xtended.dagparse" in _command(pid)


def _detached_parsers(home: Path) -> set[int]:
    return {pid for pid in psutil.pids() if _is_parser(pid) and str(home) in _command(pid)}


def _proportional(pids: set[int]) -> float:
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total / MEGABYTE
