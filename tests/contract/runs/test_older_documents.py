"""The examples of the documents of two older plugins, argument by argument as they are printed there.

Those plugins had one URL, with the operation in `api`; here the operation is the last part of the path.
"""

from __future__ import annotations

from typing import Any

import httpx

from contract.checks import success
from contract.runs.conftest import Control

# The one of REST endpoints for Airflow's command line.
CLI = "http://{HOST}:{PORT}/admin/rest_api/api?api="
DATE = "2017-01-02T03:04:05"
# The one of managed DAGs.
MANAGED = "http://localhost:8080/admin/rest_api/api?api="
RUN_IDS = (
    "manual__2020-10-28T16:15:19.427214+00:00",
    "manual__2020-10-28T16:31:17.247035+00:00",
    "manual__2020-10-28T17:36:28.838356+00:00",
    "manual__2020-10-28T17:43:10.053716+00:00",
)


def _get(control: Control, url: str) -> Any:
    operation, _, query = url.partition("?api=")[2].partition("&")
    answer = control.api.get(f"/{operation}?{query}" if query else f"/{operation}")
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "success"
    return answer.json()


def _post(control: Control, operation: str, *fields: str) -> httpx.Response:
    files = {name: (None, value) for name, _, value in (field.partition("=") for field in fields)}
    return control.api.post(f"/{operation}", files=files)


def test_the_command_lines_examples_about_a_dag(control: Control) -> None:
    assert "test_id" in _get(control, f"{CLI}list_dags")["message"].split()
    assert _get(control, f"{CLI}list_tasks&dag_id=test_id")["message"] == "only"
    assert _get(control, f"{CLI}pause&dag_id=test_id")["message"] == "Dag: test_id, paused: True"
    assert _get(control, f"{CLI}unpause&dag_id=test_id")["message"] == "Dag: test_id, paused: False"
    run_id = _get(control, f"{CLI}trigger_dag&dag_id=test_id")["run_id"]
    assert control.finished("test_id", run_id) == "success"
    _get(
        control,
        f"{CLI}trigger_dag&dag_id=test_id&run_id=run_id_2016_01_01&conf=%7B%22key%22%3A%22value%22%7D",
    )
    assert control.finished("test_id", "run_id_2016_01_01") == "success"
    assert control.runs_of("test_id", "/run_id_2016_01_01")["conf"] == {"key": "value"}
    assert _get(control, f"{CLI}clear&dag_id=test_id")["clear_task_count"] == 2
    assert control.finished("test_id", "run_id_2016_01_01") == "success"
    success(_post(control, "trigger_dag", "dag_id=test_id", f"exec_date={DATE}"))
    state = _get(control, f"{CLI}dag_state&dag_id=test_id&execution_date={DATE}")["state"]
    assert state in ("queued", "running", "success")


def test_the_command_lines_examples_about_a_task(control: Control) -> None:
    named = f"dag_id=value&task_id=value&execution_date={DATE}"
    # Without recording its state: there is no run yet, and none afterwards.
    assert _get(control, f"{CLI}test&{named}")["exit_code"] == 0
    assert control.runs_of("value")["dag_runs"] == []
    made = success(_post(control, "trigger_dag", "dag_id=value", f"logical_date={DATE}"))
    assert control.finished("value", made["run_id"]) == "success"
    assert _get(control, f"{CLI}task_state&{named}")["state"] == "success"
    _get(control, f"{CLI}task_failed_deps&{named}")
    rendered = _get(control, f"{CLI}render&{named}&subdir=value")
    assert "# property: op_args" in rendered["message"]
    _get(control, f"{CLI}run&{named}&force=true")
    assert control.finished("value", made["run_id"]) == "success"


def test_the_examples_of_managed_dags(control: Control) -> None:
    first, second, third, fourth = RUN_IDS
    control.trigger("dag_test", first)
    assert control.finished("dag_test", first) == "success"
    body = _get(
        control, f"{MANAGED}dag_state&dag_id=dag_test&run_id=manual__2020-10-28T16%3A15%3A19.427214%2B00%3A00"
    )
    assert body["state"] == "success"
    assert body["startDate"] < body["endDate"]

    named = "dag_id=dag_test&run_id=manual__2020-10-28T16%3A31%3A17.247035%2B00%3A00"
    control.trigger("dag_test", second, {"fail": ["task_test"]})
    assert control.finished("dag_test", second) == "failed"
    body = _get(control, f"{MANAGED}task_instance_detail&{named}&task_id=task_test")
    assert (body["taskId"], body["dagId"], body["state"]) == ("task_test", "dag_test", "failed")
    body = _get(control, f"{MANAGED}restart_failed_task&{named}")
    assert (body["failed_task_count"], body["clear_task_count"]) == (1, 1)
    _get(control, f"{MANAGED}kill_running_tasks&{named}&task_id=task_test")
    assert control.finished("dag_test", second) == "failed"

    answer = _post(
        control,
        "run_task_instance",
        "dag_id=dag_test",
        f"run_id={third}",
        "tasks=task_test_3,task_test_4,task_test_6",
    )
    assert success(answer)["execution_date"].endswith("+0000")
    assert control.finished("dag_test", third) == "success"
    assert sorted(control.marks(third)) == ["task_test_3", "task_test_4", "task_test_6"]

    control.trigger("dag_test", fourth, {"sleep": 1})
    _get(
        control,
        f"{MANAGED}skip_task_instance&dag_id=dag_test"
        "&run_id=manual__2020-10-28T17%3A43%3A10.053716%2B00%3A00&task_id=task_test_2",
    )
    assert control.finished("dag_test", fourth) == "success"
    assert control.states("dag_test", fourth)["task_test_2"] == "skipped"
