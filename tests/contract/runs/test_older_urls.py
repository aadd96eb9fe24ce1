"""The older plugins' examples for runs and tasks, as printed but for host, credentials and ids.

No scheduler runs: what a function does is seen by what the next one answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from contract.checks import success
from contract.server import Server

RUN_ID = "manual__2020-10-28T17%3A36%3A28.838356%2B00%3A00"
DATE = "2017-01-02T03:04:05"
FILE = b"""
try:
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG
from airflow.providers.standard.operators.empty import EmptyOperator

with DAG("dag_test", schedule=None):
    EmptyOperator(task_id="task_test") >> EmptyOperator(task_id="task_test_2")
    EmptyOperator(task_id="task_test_3")
"""
WHEN = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+0000"


@pytest.fixture
def dag(server: Server) -> Iterator[None]:
    sent = {"dag_file": ("dag_test.py", FILE)}
    success(
        server.admin.post("/deploy_dag", files=sent, data={"otf_sync": "y", "unpause": "y", "force": "y"})
    )
    yield
    success(server.admin.delete("/delete_dag", params={"filename": "dag_test.py", "dag_id": "dag_test"}))


@pytest.fixture
def call(server: Server, dag: None) -> Any:
    """GET or POST what an example has after the host; answers the JSON that came back."""
    http = httpx.Client(auth=("admin", server.passwords["admin"]), base_url=server.url, timeout=60)

    def send(address: str, **form: str) -> Any:
        files = {name: (None, text) for name, text in form.items()}
        return (http.post(address, files=files) if form else http.get(address)).json()

    return send


def _ok(answer: Any) -> str:
    assert (answer["status"], answer["http_response_code"]) == ("OK", 200), answer
    return str(answer["output"])


def test_the_command_lines_functions_of_a_dag(call: Any) -> None:
    at = "/admin/rest_api/api?api="
    assert _ok(call(f"{at}pause&dag_id=dag_test")) == "Dag: dag_test, paused: True"
    assert _ok(call(f"{at}unpause&dag_id=dag_test")) == "Dag: dag_test, paused: False"
    assert "task_test_2" in _ok(call(f"{at}list_tasks&dag_id=dag_test")).splitlines()
    assert "task_test" in _ok(call(f"{at}list_tasks&dag_id=dag_test&tree"))


def test_the_command_lines_functions_of_a_run(call: Any) -> None:
    at = "/admin/rest_api/api?api="
    triggered = call(
        f"{at}trigger_dag&dag_id=dag_test&run_id=run_id_2016_01_01&conf=%7B%22key%22%3A%22value%22%7D"
    )
    assert triggered["airflow_cmd"].startswith("airflow trigger_dag dag_test")
    assert "run_id_2016_01_01" in _ok(triggered)
    missing = call(f"{at}dag_state&dag_id=dag_test&execution_date={DATE}")
    assert (missing["status"], missing["http_response_code"]) == ("ERROR", 404)
    cleared = call(f"{at}clear&dag_id=dag_test&task_regex=task_test_3&no_confirm&exclude_subdags")
    _ok(cleared)
    assert "no_confirm" in cleared["warning"]
    deps = call(f"{at}task_failed_deps&dag_id=dag_test&task_id=task_test&execution_date={DATE}&subdir=value")
    assert deps["http_response_code"] == 404


def test_the_command_lines_functions_of_a_run_by_its_date(call: Any, server: Server) -> None:
    form = {"dag_id": "dag_test", "run_id": "dated", "logical_date": f"{DATE}+00:00"}
    success(server.admin.post("/trigger_dag", files={name: (None, text) for name, text in form.items()}))
    named = f"dag_id=dag_test&execution_date={DATE}"
    assert _ok(call(f"/admin/rest_api/api?api=dag_state&{named}")) == "queued"
    task = f"{named}&task_id=task_test&subdir=value"
    answer = call(f"/admin/rest_api/api?api=task_state&{task}")
    assert (_ok(answer), answer["warning"]) == ("None", "subdir has no effect: the DAG is found by its id.")
    assert "dependencies" in _ok(call(f"/admin/rest_api/api?api=task_failed_deps&{task}"))


def test_the_managed_functions(call: Any) -> None:
    at = "/admin/rest_api/api?api="
    answer = call(
        f"{at}run_task_instance", dag_id="dag_test", run_id="manual__1", tasks="task_test_3,task_test"
    )
    assert answer.keys() == {"execution_date", "status"}
    assert re.fullmatch(WHEN, answer["execution_date"])
    run = "dag_id=dag_test&run_id=manual__1"
    answer = call(f"/rest_api/api?api=dag_state&{run}")
    assert answer == {"state": "queued", "startDate": None, "endDate": None, "status": "success"}
    answer = call(f"{at}task_instance_detail&{run}&task_id=task_test")
    assert answer.keys() == {
        "taskId",
        "dagId",
        "state",
        "tryNumber",
        "maxTries",
        "startDate",
        "endDate",
        "duration",
        "status",
    }
    assert (answer["taskId"], answer["dagId"], answer["status"]) == ("task_test", "dag_test", "success")
    assert call(f"{at}kill_running_tasks&{run}&task_id=task_test") == {"status": "success"}
    answer = call(f"{at}restart_failed_task&{run}")
    assert answer == {"failed_task_count": 1, "clear_task_count": 2, "status": "success"}
    assert call(f"{at}skip_task_instance&{run}&task_id=task_test") == {"status": "success"}
    for skipped in ("task_test", "task_test_2"):
        assert call(f"{at}task_instance_detail&{run}&task_id={skipped}")["state"] == "skipped"


def test_functions_that_run_dag_code_are_off_unless_they_are_allowed(call: Any) -> None:
    named = f"dag_id=dag_test&task_id=task_test&execution_date={DATE}"
    for function in ("test", "run"):
        answer = call(f"/admin/rest_api/api?api={function}&{named}&subdir=value")
        assert (answer["status"], answer["http_response_code"]) == ("ERROR", 403), answer
        assert "allow_task_execution" in answer["output"]
    answer = call(f"/admin/rest_api/api?api=render&{named}&subdir=value")
    assert (answer["status"], answer["http_response_code"]) == ("ERROR", 404), answer


def test_a_backfill_of_a_dag_without_a_schedule_says_so(call: Any) -> None:
    answer = call("/admin/rest_api/api?api=backfill&dag_id=dag_test&start_date=2026-01-01&dry_run")
    assert (answer["status"], answer["http_response_code"]) == ("ERROR", 409), answer
    assert "schedule" in answer["output"]


def test_an_encoded_run_id_is_taken_as_it_was_meant(call: Any) -> None:
    meant = "manual__2020-10-28T17:36:28.838356+00:00"
    call("/admin/rest_api/api?api=run_task_instance", dag_id="dag_test", run_id=meant, tasks="task_test")
    answer = call(f"/admin/rest_api/api?api=dag_state&dag_id=dag_test&run_id={RUN_ID}")
    assert answer["state"] == "queued"


def test_a_managed_function_that_fails_says_so_in_its_own_form(call: Any) -> None:
    answer = call("/rest_api/api?api=dag_state&dag_id=dag_test&run_id=no_such_run")
    assert answer["status"] == "error"
    assert "no_such_run" in answer["message"]
