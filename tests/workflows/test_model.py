"""A workflow that is sent: what is refused, and where the refusal points."""

from __future__ import annotations

import copy
import importlib
from pathlib import Path
from typing import Any

import pytest

from xtended.problems import BadRequest
from xtended.settings import Settings
from xtended.workflows.model import read_workflow
from xtended.workflows.operators import MOVED, allowed_path, current_path

ALLOWED = Settings().workflow_operators
SENT: dict[str, Any] = {
    "name": "wf",
    "force": "true",
    "pause": "false",
    "unpause": "yes",
    "dag_config": {
        "the_dag": {
            "default_args": {"start_date": "2021-10-29T00:00:00.000Z", "retry_delay_sec": 300},
            "default_view": "tree",
            "tasks": {
                "one": {"operator": "airflow.operators.dummy_operator.DummyOperator"},
                "two": {
                    "operator": "airflow.operators.python_operator.PythonOperator",
                    "python_callable_name": "work",
                    "python_callable_file": "work.py",
                    "dependencies": ["one"],
                },
            },
        }
    },
}


@pytest.fixture
def callables(tmp_path: Path) -> Path:
    (tmp_path / "work.py").write_text("def work(): ...\n")
    return tmp_path


def test_words_are_booleans_and_older_paths_are_current_ones(callables: Path) -> None:
    workflow = read_workflow(SENT, ALLOWED, callables)
    assert (workflow.force, workflow.pause, workflow.unpause) == (True, False, True)
    tasks = workflow.dags["the_dag"]["tasks"]
    assert tasks["one"]["operator"] == "airflow.providers.standard.operators.empty.EmptyOperator"
    assert tasks["two"]["operator"] == "airflow.providers.standard.operators.python.PythonOperator"
    assert workflow.warnings == ("default_view has no effect.",)
    assert "default_view" not in workflow.dags["the_dag"]


def _changed(path: str, value: Any) -> dict[str, Any]:
    sent = copy.deepcopy(SENT)
    *steps, last = path.split("/")
    place = sent
    for step in steps:
        place = place[step]
    place[last] = value
    return sent


DAG = "dag_config/the_dag"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", "../evil"),
        ("name", "a/b"),
        ("name", ".hidden"),
        ("name", 'x"); import os; ("'),
        ("force", "perhaps"),
        ("dag_config/a b", {"tasks": {}}),
        (f"{DAG}/default_args/start_date", "yesterday"),
        (f"{DAG}/default_args/retry_delay_sec", "soon"),
        (f"{DAG}/tasks/one/operator", "os.system"),
        (f"{DAG}/tasks/one/operator", "airflow.providers.standard.operators..os"),
        (f"{DAG}/tasks/one/operator", "airflow.providers.standard.operators.python.__builtins__"),
        (f"{DAG}/tasks/one/operator", "airflow.providers.standard.operators.python.os;import x"),
        (f"{DAG}/tasks/one/python_callable", "os.system"),
        (f"{DAG}/tasks/one/task_id", "other"),
        (f"{DAG}/tasks/one/__class__", "x"),
        (f"{DAG}/tasks/two/dependencies", ["no_such_task"]),
        (f"{DAG}/tasks/two/dependencies", ["two"]),
        (f"{DAG}/tasks/two/python_callable_file", "../work.py"),
        (f"{DAG}/tasks/two/python_callable_file", "/etc/passwd"),
        (f"{DAG}/tasks/two/python_callable_file", "missing.py"),
        (f"{DAG}/tasks/two/python_callable_name", "__import__"),
    ],
)
def test_what_is_wrong_is_pointed_at(callables: Path, path: str, value: Any) -> None:
    with pytest.raises(BadRequest) as refused:
        read_workflow(_changed(path, value), ALLOWED, callables)
    assert refused.value.extra["pointer"].startswith("/workflow/")
    assert path.rsplit("/", 1)[-1] in refused.value.extra["pointer"] or "/tasks/" in path


def test_a_callable_needs_its_file(callables: Path) -> None:
    sent = copy.deepcopy(SENT)
    del sent["dag_config"]["the_dag"]["tasks"]["two"]["python_callable_file"]
    with pytest.raises(BadRequest, match="belong together"):
        read_workflow(sent, ALLOWED, callables)


def test_pause_and_unpause_contradict_each_other(callables: Path) -> None:
    with pytest.raises(BadRequest, match="contradict"):
        read_workflow({**SENT, "pause": True}, ALLOWED, callables)


@pytest.mark.parametrize(
    ("older", "current"),
    [
        ("airflow.operators.bash_operator.BashOperator", "operators.bash.BashOperator"),
        ("airflow.operators.bash.BashOperator", "operators.bash.BashOperator"),
        ("airflow.operators.python.PythonOperator", "operators.python.PythonOperator"),
        ("airflow.operators.dummy.DummyOperator", "operators.empty.EmptyOperator"),
        (
            "airflow.sensors.external_task_sensor.ExternalTaskSensor",
            "sensors.external_task.ExternalTaskSensor",
        ),
        ("airflow.sensors.filesystem.FileSensor", "sensors.filesystem.FileSensor"),
    ],
)
def test_paths_of_every_airflow_are_understood(older: str, current: str) -> None:
    assert current_path(older) == f"airflow.providers.standard.{current}"


def test_the_setting_says_what_is_allowed() -> None:
    path = "airflow.providers.http.operators.http.HttpOperator"
    with pytest.raises(BadRequest, match="workflow_operators"):
        allowed_path(path, ALLOWED)
    assert allowed_path(path, ("airflow.providers.http.*",)) == path


def test_every_current_path_can_be_imported() -> None:
    for name, module in MOVED.items():
        assert hasattr(importlib.import_module(module), name), f"{module}.{name}"
