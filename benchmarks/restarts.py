"""How long restarting the failed half of a run of 200 tasks takes, without a scheduler that would change it."""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path

from measures import Row, Samples
from server import XTENDED, Airflow, Answer

TASKS = 200
ROUNDS = 20
DAG_ID, RUN_ID = "wide", "measured"
TARGET_RATIO = 0.5
CODE = f"""\
from airflow import DAG
from airflow.providers.standard.operators.empty import EmptyOperator

with DAG("{DAG_ID}", schedule=None) as dag:
    for number in range({TASKS // 2}):
        EmptyOperator(task_id=f"first_{{number}}") >> EmptyOperator(task_id=f"then_{{number}}")
"""


def prepare(airflow: Airflow) -> None:
    """The DAG, and a run of it."""
    client = airflow.basic()
    answer = client.deploy("wide.py", CODE, force="true", otf_sync="true", unpause="true")
    if answer.status == 200:
        answer = client.post_json(f"{airflow.api}/dags/{DAG_ID}/dagRuns", {"dag_run_id": RUN_ID})
    if answer.status != 200:
        sys.exit(f"The run to restart was not created: {answer.status} {answer.body!r}")


def timed(airflow: Airflow, restart: Callable[[], Answer]) -> Samples:
    """Times of the request alone; before each, half of the tasks have failed and the others wait for them."""
    seconds = []
    for _ in range(ROUNDS):
        _fail(airflow.dag_folder.parent)
        began = time.perf_counter()
        answer = restart()
        seconds.append(time.perf_counter() - began)
        if answer.status != 200:
            sys.exit(f"A restart answered {answer.status}: {answer.body!r}")
    return Samples(tuple(seconds))


def _fail(home: Path) -> None:
    connection = sqlite3.connect(home / "airflow.db", timeout=30)
    with connection:
        connection.execute("DELETE FROM task_instance_history")
        connection.execute(
            "UPDATE task_instance SET try_number = 1, start_date = CURRENT_TIMESTAMP, end_date = CURRENT_TIMESTAMP, "
            "state = CASE WHEN task_id LIKE 'first%' THEN 'failed' ELSE 'upstream_failed' END"
        )
        connection.execute("UPDATE dag_run SET state = 'failed'")
    connection.close()


def measure(airflow: Airflow) -> Row:
    client = airflow.basic()
    wanted = {
        "dry_run": False,
        "dag_run_id": RUN_ID,
        "only_failed": True,
        "include_downstream": True,
        "reset_dag_runs": True,
    }
    native = timed(
        airflow, lambda: client.post_json(f"{airflow.api}/dags/{DAG_ID}/clearTaskInstances", wanted)
    )
    path = f"{XTENDED}/restart_failed_task?dag_id={DAG_ID}&run_id={RUN_ID}"
    ours = timed(airflow, lambda: client.ask("POST", path))
    return Row(
        what=f"restart, {TASKS} tasks, {TASKS // 2} failed",
        ours=str(ours),
        other=f"clearTaskInstances: {native}",
        ratio=f"{ours.p50 / native.p50:.2f}",
        target=f"<= {TARGET_RATIO}x",
        reached=ours.p50 <= TARGET_RATIO * native.p50,
        p50=ours.p50,
    )
