"""The examples of the older API's document for run control, as they are printed there.

Host and credentials are filled in, and the credentials and quotes that one of them lacks.
"""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any
from urllib.parse import urlsplit

from contract.runs.conftest import Control, until

RUN = r"""curl -X POST -H 'Content-Type: multipart/form-data' \
 --user "username:password" \
 -F 'dag_id=test_dag' \
 -F 'run_id=test_run' \
 -F 'tasks=test_task' \
 http://{AIRFLOW_HOST}:{AIRFLOW_PORT}/api/v1/xtended/run_task_instance"""
KILL = r"""curl -X GET --user "username:password" \
'http://{AIRFLOW_HOST}:{AIRFLOW_PORT}/api/v1/xtended/kill_running_tasks?dag_id=test_dag&run_id=test_run&task_id=test_task'"""
RESTART = r"""curl -X GET --user "username:password" \
'http://{AIRFLOW_HOST}:{AIRFLOW_PORT}/api/v1/xtended/restart_failed_task?dag_id=test_dag&run_id=test_run'"""
SKIP = r"""curl -X GET --user "username:password" \
'http://{AIRFLOW_HOST}:{AIRFLOW_PORT}/api/v1/xtended/skip_task_instance?dag_id=test_dag&run_id=test_run&task_id=test_task'"""


def _curl(control: Control, example: str) -> Any:
    place = urlsplit(control.server.url)
    filled = example.replace("{AIRFLOW_HOST}", str(place.hostname)).replace("{AIRFLOW_PORT}", str(place.port))
    filled = filled.replace("username:password", f"admin:{control.server.passwords['admin']}")
    done = subprocess.run(["bash", "-c", filled], capture_output=True, text=True, timeout=60, check=True)
    answer = json.loads(done.stdout)
    assert answer["status"] == "success", answer
    return answer


def test_the_examples_work_one_after_the_other(control: Control) -> None:
    answer = _curl(control, RUN)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+0000", answer["execution_date"])
    assert control.finished("test_dag", "test_run") == "success"
    assert control.states("test_dag", "test_run") == {"test_task": "success", "next_task": "skipped"}
    control.server.airflow.delete_runs("test_dag")

    control.trigger("test_dag", "test_run", {"sleep": 60})
    until(lambda: control.marks("test_run"), lambda marks: len(marks) == 2, lambda: None)
    assert _curl(control, KILL)["message"] == "tasks in test_run killed!!"
    assert control.finished("test_dag", "test_run") == "failed"
    assert _curl(control, RESTART)["message"] == {"failed_task_count": 1, "clear_task_count": 2}
    until(lambda: control.marks("test_run"), lambda marks: len(marks) == 3, lambda: None)
    answer = _curl(control, SKIP)
    when = control.logical_date("test_dag", "test_run") or "test_run"
    assert answer["message"] == f"<TaskInstance: test_dag.test_task {when} [skipped]> skipped!!"
    assert control.finished("test_dag", "test_run") == "success"
    assert control.states("test_dag", "test_run") == {"test_task": "skipped", "next_task": "skipped"}
