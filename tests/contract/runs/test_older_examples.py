"""Every example of the two older documents at its own address, verbatim but for host, credentials and ids.

What those do that need no scheduler is in `test_older_urls.py`, `test_entities.py` and `test_services.py`, too.
"""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from contract.runs.conftest import Control

DATE = "2019-03-04T03:04:05"
NAMED = f"dag_id=value&task_id=value&execution_date={DATE}"
MOMENT = re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT")
CLI_FIELDS = {
    "airflow_cmd",
    "arguments",
    "post_arguments",
    "call_time",
    "output",
    "response_time",
    "status",
    "warning",
    "http_response_code",
}
FIRST, SECOND, THIRD, FOURTH = (
    "manual__2020-11-28T16:15:19.427214+00:00",
    "manual__2020-11-28T16:31:17.247035+00:00",
    "manual__2020-11-28T17:36:28.838356+00:00",
    "manual__2020-11-28T17:43:10.053716+00:00",
)


@pytest.fixture
def http(control: Control) -> httpx.Client:
    login = ("admin", control.server.passwords["admin"])
    return httpx.Client(base_url=control.server.url, auth=login, timeout=120)


def printed(http: httpx.Client, query: str) -> str:
    """What a function of the command-line family printed."""
    answer = http.get(f"/admin/rest_api/api?api={query}")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert set(body) == CLI_FIELDS
    assert (body["status"], body["http_response_code"]) == ("OK", 200)
    assert body["airflow_cmd"].startswith(f"airflow {query.partition('&')[0]}")
    assert MOMENT.fullmatch(body["call_time"])
    assert MOMENT.fullmatch(body["response_time"])
    return str(body["output"])


def managed(http: httpx.Client, query: str) -> dict[str, Any]:
    """What a function of the managed family answered."""
    answer = http.get(f"/admin/rest_api/api?api={query}")
    assert answer.status_code == 200, answer.text
    body = dict(answer.json())
    assert body.pop("status") == "success"
    return body


def encoded(run_id: str) -> str:
    return run_id.replace(":", "%3A").replace("+", "%2B")


def test_the_examples_about_a_dag(control: Control, http: httpx.Client) -> None:
    assert "test_id" in printed(http, "list_dags").split()
    assert printed(http, "list_tasks&dag_id=test_id") == "only"
    assert "only" in printed(http, "list_tasks&dag_id=test_id&tree")
    assert printed(http, "pause&dag_id=test_id") == "Dag: test_id, paused: True"
    assert printed(http, "unpause&dag_id=test_id") == "Dag: test_id, paused: False"
    assert "test_id" in printed(http, "trigger_dag&dag_id=test_id")
    run_id = "run_id_2016_01_02"
    printed(http, f"trigger_dag&dag_id=test_id&run_id={run_id}&conf=%7B%22key%22%3A%22value%22%7D")
    assert control.finished("test_id", run_id) == "success"
    assert control.runs_of("test_id", f"/{run_id}")["conf"] == {"key": "value"}
    printed(http, "clear&dag_id=test_id")
    assert control.finished("test_id", run_id) == "success"
    printed(http, f"backfill&dag_id=daily&start_date={DATE}&end_date={DATE}&dry_run")


def test_the_examples_about_a_task(control: Control, http: httpx.Client) -> None:
    assert "value" in printed(http, f"test&{NAMED}")
    made = control.api.post(
        "/trigger_dag", files={"dag_id": (None, "value"), "logical_date": (None, DATE)}
    ).json()["run_id"]
    assert control.finished("value", made) == "success"
    assert printed(http, f"dag_state&dag_id=value&execution_date={DATE}") == "success"
    assert printed(http, f"task_state&{NAMED}") == "success"
    printed(http, f"task_failed_deps&{NAMED}")
    assert "# property: op_args" in printed(http, f"render&{NAMED}&subdir=value")
    printed(http, f"run&{NAMED}&force=true")
    assert control.finished("value", made) == "success"


def test_the_examples_of_managed_dags(control: Control, http: httpx.Client) -> None:
    control.trigger("dag_test", FIRST)
    assert control.finished("dag_test", FIRST) == "success"
    body = managed(http, f"dag_state&dag_id=dag_test&run_id={encoded(FIRST)}")
    assert body["state"] == "success"
    assert body["startDate"] < body["endDate"]

    named = f"dag_id=dag_test&run_id={encoded(SECOND)}"
    control.trigger("dag_test", SECOND, {"fail": ["task_test"]})
    assert control.finished("dag_test", SECOND) == "failed"
    body = managed(http, f"task_instance_detail&{named}&task_id=task_test")
    assert (body["taskId"], body["dagId"], body["state"], body["tryNumber"]) == (
        "task_test",
        "dag_test",
        "failed",
        1,
    )
    assert {"maxTries", "startDate", "endDate", "duration"} <= set(body)
    body = managed(http, f"restart_failed_task&{named}")
    assert {name: body[name] for name in ("failed_task_count", "clear_task_count")} == {
        "failed_task_count": 1,
        "clear_task_count": 1,
    }
    managed(http, f"kill_running_tasks&{named}&task_id=task_test")
    assert control.finished("dag_test", SECOND) == "failed"

    sent = {"dag_id": "dag_test", "run_id": THIRD, "tasks": "task_test_3,task_test_4,task_test_6"}
    form = {name: (None, value) for name, value in sent.items()}
    answer = http.post("/admin/rest_api/api?api=run_task_instance", files=form).json()
    assert answer["status"] == "success"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.*", answer["execution_date"])
    assert control.finished("dag_test", THIRD) == "success"
    assert sorted(control.marks(THIRD)) == ["task_test_3", "task_test_4", "task_test_6"]

    control.trigger("dag_test", FOURTH, {"sleep": 1})
    managed(http, f"skip_task_instance&dag_id=dag_test&run_id={encoded(FOURTH)}&task_id=task_test_2")
    assert control.finished("dag_test", FOURTH) == "success"
    assert control.states("dag_test", FOURTH)["task_test_2"] == "skipped"
