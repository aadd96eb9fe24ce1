"""Start a whole Airflow with this extension in it, on this machine; what `make run` calls.

It runs the Airflow of the Python that runs it. It ends when the web server ends, or another component twice in
a minute (exit status 1), and on Ctrl-C or SIGTERM (exit status 0), and leaves no process behind.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any, NoReturn

from local_airflow.home import USERS, Home
from local_airflow.processes import Component, ProcessGroup, tail

API = "/api/v1/xtended"
# What is started, in the names of `--only` and this order, with Airflow's own command for it. Without log
# servers: the web server reads the logs where they lie, and their ports would be the same for every Airflow.
COMPONENTS: dict[str, dict[str, tuple[str, ...]]] = {
    "web": {"airflow3": ("api-server",), "airflow2": ("webserver",)},
    "dag-processor": {"airflow3": ("dag-processor",)},  # Airflow 2 on SQLite has it inside the scheduler
    "triggerer": dict.fromkeys(("airflow3", "airflow2"), ("triggerer", "--skip-serve-logs")),
    "scheduler": dict.fromkeys(("airflow3", "airflow2"), ("scheduler", "--skip-serve-logs")),
}
AIRFLOW_HEALTH = {"airflow3": "/api/v2/monitor/health", "airflow2": "/api/v1/health"}
READY_SECONDS = 300.0
# How long the extension may answer anything but 200 once Airflow itself is up.
EXTENSION_SECONDS = 60.0
STOP_SECONDS = 10.0
# What ends again sooner than this after it was started again does not stay up.
RESTART_SECONDS = 60.0
LOOK_SECONDS = 0.25


class StartFailed(Exception):
    """Airflow did not come up, or did not stay up; the message is for the person at the terminal."""


class StopAsked(Exception):
    """Ctrl-C or SIGTERM."""


class LocalAirflow:
    """One run: prepare the home, start the components, wait until they serve, watch them."""

    def __init__(self, home: Home, port: int, components: Sequence[str]) -> None:
        self.home = home
        self.port = port
        self.url = f"http://localhost:{port}"
        self.passwords = home.passwords()
        self.stop_asked = threading.Event()
        self.components = [n for n, of in COMPONENTS.items() if n in components and home.kind in of]
        self._group = ProcessGroup(home.variables(port), home.path / "logs")
        self._restarted: dict[str, float] = {}
        # A proxy of the environment is for other machines than this one.
        self._http = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def prepare(self) -> None:
        """Bring the database to this version, and make the users where they live in it."""
        self._finish("db-migrate", ["-m", "airflow", "db", "migrate"])
        if self.home.uses_fab:
            program = Path(__file__).with_name("local_airflow") / "fab_users.py"
            self._finish("users", [str(program)], json.dumps(self.passwords).encode())

    def start(self) -> None:
        """Start the components. Raises StartFailed where one of them ends."""
        for name in self.components:
            if name == "scheduler":
                # A task that the scheduler finds waiting fails where it can't reach the web server.
                self._wait(self._web_trouble, READY_SECONDS, "web")
            self._start(name)

    def _start(self, name: str) -> None:
        command = COMPONENTS[name][self.home.kind]
        self._group.start(command[0], [sys.executable, "-m", "airflow", *command])

    def wait_until_ready(self) -> str | None:
        """Wait for Airflow, then for the extension. Returns what is wrong with its settings, if anything."""
        for name in self.components:
            self._wait(partial(self._heartbeat_trouble, name), READY_SECONDS, name)
        status, answer = self._get(f"{API}/health")
        if status == 503 and str(answer.get("type")).endswith(":misconfigured"):
            return str(answer.get("detail"))
        self._wait(self._extension_trouble, EXTENSION_SECONDS, "web")
        return None

    def watch(self) -> NoReturn:
        """Keep it running until it does not stay up (StartFailed) or a stop is asked for (StopAsked)."""
        while True:
            self._pause()
            self._group.bury()
            if ended := self._group.ended():
                self._start_again(ended)

    def _start_again(self, ended: Component) -> None:
        """As a service manager would: on SQLite, Airflow's scheduler ends where a DAG is deleted during its run."""
        why, now = self._why_ended(ended), time.monotonic()
        again = now - self._restarted.get(ended.name, -RESTART_SECONDS) < RESTART_SECONDS
        # All but the web server have the name of their command; without it there is nothing to keep up.
        if again or ended.name not in COMPONENTS:
            raise StartFailed(why)
        say(f"{why}\nStarting it again.")
        self._restarted[ended.name] = now
        self._group.finish(ended)
        self._start(ended.name)

    def stop(self) -> None:
        self._group.stop(STOP_SECONDS)

    def _wait(self, trouble: Callable[[], str], seconds: float, name: str) -> None:
        """Wait until there is no more trouble; the log of component `name` says why there still is."""
        deadline = time.monotonic() + seconds
        while what := trouble():
            self._look()
            if time.monotonic() > deadline:
                log = self._log(name)
                raise StartFailed(f"After {seconds:.0f} s still {what}. {log} says:\n{tail(log)}")

    def _log(self, name: str) -> Path:
        return self.home.path / "logs" / f"{COMPONENTS[name][self.home.kind][0]}.log"

    def _web_trouble(self) -> str:
        return "" if self._get(AIRFLOW_HEALTH[self.home.kind])[0] == 200 else "no answer from the web server"

    def _heartbeat_trouble(self, name: str) -> str:
        if name == "web":
            return self._web_trouble()
        health = self._get(AIRFLOW_HEALTH[self.home.kind])[1].get(name.replace("-", "_")) or {}
        return "" if health.get("status") == "healthy" else f"no heartbeat from the {name}"

    def _extension_trouble(self) -> str:
        status, answer = self._get(f"{API}/health")
        return "" if status == 200 else f"status {status} from {API}/health: {answer.get('detail', answer)}"

    def _get(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and JSON object at a path of the web server; status 0 where nothing answers."""
        address = self.home.address.replace("0.0.0.0", "127.0.0.1")  # noqa: S104 - replaced, not bound
        try:
            with self._http.open(f"http://{address}:{self.port}{path}", timeout=10) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, body = error.code, error.read()
        except OSError:
            return 0, {}
        try:
            parsed = json.loads(body)
        except ValueError:
            parsed = None
        return status, parsed if isinstance(parsed, dict) else {}

    def _finish(self, name: str, arguments: list[str], stdin: bytes = b"") -> None:
        component = self._group.start(name, [sys.executable, *arguments], stdin)
        while component.process.poll() is None:
            self._pause()
        if self._group.finish(component):
            raise StartFailed(self._why_ended(component))

    def _look(self) -> None:
        self._pause()
        self._group.bury()
        if ended := self._group.ended():
            raise StartFailed(self._why_ended(ended))

    def _pause(self) -> None:
        if self.stop_asked.wait(LOOK_SECONDS):
            raise StopAsked

    @staticmethod
    def _why_ended(component: Component) -> str:
        status = component.process.returncode
        return f"{component.name} ended with status {status}. {component.log} says:\n{tail(component.log)}"


def choose_port(asked: str | None, home: Home) -> int:
    """The port to listen at; "0" asks for any that is free. Raises StartFailed where it is taken."""
    port = int(asked) if asked else home.port
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((home.address, port))
        except OSError as error:
            raise StartFailed(
                f"Port {port} of {home.address} can't be used ({error.strerror}). "
                f"Name another one: make run PORT={port + 1}"
            ) from None
        return int(probe.getsockname()[1])


def say(text: str) -> None:
    print(text, flush=True)


def banner(airflow: LocalAirflow, warning: str | None, seconds: float) -> str:
    """What to do now that Airflow is up."""
    admin = airflow.passwords["admin"]
    lines = [f"\nAirflow {airflow.home.airflow_version} is ready at {airflow.url} after {seconds:.0f} s.\n"]
    if warning:
        lines.append(f"But Airflow Xtended is not: {warning}\n")
    lines += [f"  {name:<8}{airflow.passwords[name]}" for name in USERS]
    lines += [
        "",
        f"  API docs    {airflow.url}{API}/ui/",
        f"  DAG folder  {airflow.home.option('core', 'dags_folder') or airflow.home.path / 'dags'}",
        f"  Logs        {airflow.home.path / 'logs'}",
        "",
        "Deploy a DAG:",
        f"  curl -u {quote(f'admin:{admin}')} -F dag_file=@examples/daily_report.py "
        f"-F unpause=y -F otf_sync=y {airflow.url}{API}/deploy_dag",
        "",
        "Ctrl-C stops everything.",
    ]
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--port", default=os.environ.get("PORT"), help="0: any free one (default: PORT, airflow.cfg, 8080)"
    )
    parser.add_argument(
        "--only",
        default=",".join(COMPONENTS),
        type=lambda text: text.split(","),
        help="the components to start, of %(default)s",
    )
    parser.add_argument("--ready-file", type=Path, help="write the URL and version here, as JSON, when ready")
    parsed = parser.parse_args()
    if unknown := set(parsed.only) - set(COMPONENTS):
        parser.error(f"no component {', '.join(sorted(unknown))}: there are {', '.join(COMPONENTS)}")
    if "web" not in parsed.only:
        parser.error("the web component is always needed: it tells when the others are up")
    return parsed


def run(options: argparse.Namespace) -> NoReturn:
    """Start, report, and watch until StopAsked or StartFailed."""
    began = time.monotonic()
    home = Home(os.environ)
    with (home.path / "run.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartFailed(f"An Airflow runs in {home.path} already.") from None
        airflow = LocalAirflow(home, choose_port(options.port, home), options.only)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: airflow.stop_asked.set())
        try:
            say(f"Preparing Airflow {home.airflow_version} in {home.path}")
            airflow.prepare()
            say(f"Starting {', '.join(airflow.components)}")
            airflow.start()
            warning = airflow.wait_until_ready()
            say(banner(airflow, warning, time.monotonic() - began))
            if options.ready_file:
                about = {"url": airflow.url, "host": home.kind, "airflow": home.airflow_version}
                # Whoever waits for it must not find it empty.
                unfinished = options.ready_file.with_name(f"{options.ready_file.name}.unfinished")
                unfinished.write_text(json.dumps(about))
                unfinished.replace(options.ready_file)
            airflow.watch()
        except StopAsked:
            say("\nStopping")
            raise
        finally:
            airflow.stop()


def main() -> int:
    try:
        run(arguments())
    except StartFailed as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    except StopAsked:
        return 0


if __name__ == "__main__":
    sys.exit(main())
