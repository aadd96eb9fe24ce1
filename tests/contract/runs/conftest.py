"""An Airflow with a scheduler and a triggerer, and the DAGs that its runs are controlled with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from contract import hosts
from contract import server as servers
from contract.server import Server

DAGS = Path(__file__).with_name("dags.py")
SECONDS = 240
# What only one host does is tested on that host.
collect_ignore = [kind for kind in ("airflow2", "airflow3") if kind != hosts.installed().kind]
DONE = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


@dataclass(frozen=True)
class Control:
    """The extension's API, and what is seen of runs through Airflow's own."""

    server: Server
    started: Path

    @property
    def api(self) -> httpx.Client:
        return self.server.admin

    def runs_of(self, dag_id: str, path: str = "", **query: Any) -> Any:
        answer = self.server.airflow.api.get(f"/dags/{dag_id}/dagRuns{path}", params=query)
        assert answer.is_success, answer.text
        return answer.json()

    def trigger(self, dag_id: str, run_id: str, conf: Mapping[str, Any] | None = None) -> None:
        self.server.airflow.trigger(dag_id, run_id, conf)

    def logical_date(self, dag_id: str, run_id: str) -> datetime | None:
        date = self.runs_of(dag_id, f"/{run_id}")["logical_date"]
        return None if date is None else datetime.fromisoformat(date)

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        found = self.runs_of(dag_id, f"/{run_id}/taskInstances", limit=100)
        return list(found["task_instances"])

    def states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        return {_name(task): task["state"] for task in self.tasks(dag_id, run_id)}

    def finished(self, dag_id: str, run_id: str) -> str:
        """Wait for the run's end; answers its state."""
        return str(
            until(
                lambda: self.runs_of(dag_id, f"/{run_id}")["state"],
                lambda state: state in ("success", "failed"),
                lambda: self.states(dag_id, run_id),
            )
        )

    def reach(self, dag_id: str, run_id: str, **states: str) -> None:
        """Wait until these tasks have these states."""
        until(
            lambda: self.states(dag_id, run_id),
            lambda seen: all(seen.get(task) == state for task, state in states.items()),
            lambda: self.states(dag_id, run_id),
        )

    def marks(self, run_id: str) -> list[str]:
        """What has started in this run, in that order: each task leaves its name."""
        file = self.started / run_id
        return file.read_text().split() if file.exists() else []

    def run_selected(self, dag_id: str, run_id: str, tasks: str, **more: str) -> httpx.Response:
        fields = {"dag_id": dag_id, "run_id": run_id, "tasks": tasks, **more}
        return self.api.post(
            "/run_task_instance", files={name: (None, text) for name, text in fields.items()}
        )


def _name(task: Mapping[str, Any]) -> str:
    index = task["map_index"]
    return str(task["task_id"]) if index < 0 else f"{task['task_id']}[{index}]"


def until(look: Callable[[], Any], enough: Callable[[Any], bool], explain: Callable[[], Any]) -> Any:
    """The first value of `look` that is enough; fails, with an explanation, where it never comes."""
    deadline = time.monotonic() + SECONDS
    while not enough(value := look()):
        assert time.monotonic() < deadline, f"{value!r} after {SECONDS} s: {explain()}"
        time.sleep(0.3)
    return value


# Ends with this folder: a scheduler is never idle, and would take its share from all tests that follow.
@pytest.fixture(scope="package")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    home = tmp_path_factory.mktemp("running")
    started = home / "started"
    started.mkdir()
    settings = {
        "XTENDED_TEST_MARKS": str(started),
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "3600",
        "AIRFLOW__CORE__MAX_ACTIVE_RUNS_PER_DAG": "64",
        "AIRFLOW__CORE__PARALLELISM": "3",
        "AIRFLOW__XTENDED_API__OUTBOUND_ALLOW": "127.0.0.1/32",
        **hosts.installed().run_settings,
    }
    running = servers.start(home, settings, ("web", "scheduler", "triggerer"))
    try:
        answer = running.admin.post(
            "/deploy_dag",
            files={"dag_file": ("dags.py", DAGS.read_bytes())},
            data={"otf_sync": "y", "unpause": "y", "force": "y"},
        )
        assert answer.status_code == 200, answer.text
        yield Control(running, started)
    finally:
        running.close()
