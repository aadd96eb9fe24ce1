"""How run control grows with a run, and compares with Airflow's own API, on PostgreSQL and without a scheduler."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import postgres
import psycopg2
from measures import Row, Samples
from server import XTENDED, Airflow, Answer, Client, running

SIZES = (200, 5000)
ROUNDS = {200: 10, 5000: 5}
# As many times as much is to take at most as many times as long.
GROWTH = SIZES[1] / SIZES[0]
DAGS, RUNS_EACH, TASKS_EACH = 1000, 10, 10
LOOKS = 30
MEASURED = "many_0500"

# Half of the tasks depend on the other half: those fail, and these with them.
WIDE = """\
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("wide_{tasks}", schedule=None):
    for number in range({tasks} // 2):
        EmptyOperator(task_id=f"first_{{number}}") >> EmptyOperator(task_id=f"then_{{number}}")
"""
MANY = """\
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

for dag_number in range({dags}):
    with DAG(f"many_{{dag_number:04}}", schedule=None):
        for number in range({tasks}):
            EmptyOperator(task_id=f"task_{{number}}")
"""
FAILED = "CASE WHEN task_id LIKE 'first%%' THEN 'failed' ELSE 'upstream_failed' END"


@dataclass(frozen=True)
class Operation:
    """One request of this extension, Airflow's own for the same where there is one, and the state before each."""

    name: str
    ours: Callable[[Client, str, int], Answer]
    airflows: tuple[str, Callable[[Client, str, int], Answer]] | None = None
    tasks: str = "'success'"
    run: str = "success"
    target: float | None = 1.0
    """Of the time that Airflow's own request takes."""


def _form(client: Client, path: str, **fields: str) -> Answer:
    parts = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    body = f"{parts}--x--\r\n".encode()
    return client.ask("POST", f"{XTENDED}/{path}", body, "multipart/form-data; boundary=x")


def _ours(method: str, path: str, **query: str) -> Callable[[Client, str, int], Answer]:
    def send(client: Client, dag_id: str, _: int) -> Answer:
        return client.ask(method, f"{XTENDED}/{path}?{urlencode({'dag_id': dag_id, **query})}")

    return send


def _airflow(path: str) -> Callable[[Client, str, int], Answer]:
    return lambda client, dag_id, _: client.get(f"/api/v2/dags/{dag_id}/{path}")


def _clear(client: Client, dag_id: str, _: int) -> Answer:
    wanted = {
        "dry_run": False,
        "dag_run_id": "run",
        "only_failed": True,
        "include_downstream": True,
        "reset_dag_runs": True,
    }
    return client.post_json(f"/api/v2/dags/{dag_id}/clearTaskInstances", wanted)


def _trigger(client: Client, dag_id: str, number: int) -> Answer:
    wanted = {"logical_date": None, "dag_run_id": f"theirs_{number}"}
    return client.post_json(f"/api/v2/dags/{dag_id}/dagRuns", wanted)


def _mark(client: Client, dag_id: str, _: int) -> Answer:
    item = {"action": "mark_success", "dag_id": dag_id, "run_id": "run"}
    return client.post_json(f"{XTENDED}/runs/bulk", {"items": [item]})


OPERATIONS = (
    Operation(
        "restart_failed_task",
        _ours("POST", "restart_failed_task", run_id="run"),
        ("clearTaskInstances", _clear),
        tasks=FAILED,
        run="failed",
        target=0.5,
    ),
    Operation(
        "kill_running_tasks",
        _ours("POST", "kill_running_tasks", run_id="run"),
        tasks="'running'",
        run="running",
    ),
    Operation("clear", _ours("POST", "clear", run_id="run")),
    Operation("runs/bulk, mark_success", _mark, tasks=FAILED, run="failed"),
    Operation(
        "trigger_dag",
        lambda client, dag_id, number: _form(client, "trigger_dag", dag_id=dag_id, run_id=f"ours_{number}"),
        ("POST dagRuns", _trigger),
    ),
    Operation(
        "run_task_instance, one task",
        lambda client, dag_id, number: _form(
            client, "run_task_instance", dag_id=dag_id, run_id=f"one_{number}", tasks="first_0"
        ),
    ),
    Operation(
        "skip_task_instance",
        _ours("POST", "skip_task_instance", run_id="run", task_id="first_0", include_downstream="y"),
    ),
    Operation("dag_state", _ours("GET", "dag_state", run_id="run"), ("GET dagRun", _airflow("dagRuns/run"))),
    Operation(
        "task_instance_detail",
        _ours("GET", "task_instance_detail", run_id="run", task_id="first_0"),
        ("GET taskInstance", _airflow("dagRuns/run/taskInstances/first_0")),
    ),
    Operation("list_tasks", _ours("GET", "list_tasks"), ("GET tasks", _airflow("tasks"))),
)


def measure(scratch: Path) -> list[Row]:
    """Rows for each operation at two sizes of a run, and for lists and states among many DAGs."""
    with postgres.running() as address:
        settings = {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{address}",
            "AIRFLOW__API__MAXIMUM_PAGE_LIMIT": str(DAGS),
        }
        with running(scratch / "runs", settings=settings, only=("web",)) as airflow:
            database = psycopg2.connect(f"postgresql://{address}")
            database.autocommit = True
            return _measure(airflow, database.cursor())


def _measure(airflow: Airflow, database: Any) -> list[Row]:
    client = airflow.bearer()
    for size in SIZES:
        _expect(client.deploy(f"wide_{size}.py", WIDE.format(tasks=size), otf_sync="y", unpause="y"))
        _expect(_form(client, "trigger_dag", dag_id=f"wide_{size}", run_id="run"))
    database.execute("ANALYZE")
    rows = [_grow(client, database, operation) for operation in OPERATIONS]
    return [*rows, *_among_many(client, database)]


def _expect(answer: Answer) -> None:
    if answer.status != 200:
        sys.exit(f"A request of the benchmark was answered {answer.status}: {answer.body!r}")


def _grow(client: Client, database: Any, operation: Operation) -> Row:
    ours: dict[int, Samples] = {}
    theirs: dict[int, Samples] = {}
    for size in SIZES:
        mine, other = [], []
        for number in range(ROUNDS[size] + 1):
            _reset(database, f"wide_{size}", operation)
            mine.append(_timed(operation.ours, client, f"wide_{size}", number))
            if operation.airflows is not None:
                _reset(database, f"wide_{size}", operation)
                other.append(_timed(operation.airflows[1], client, f"wide_{size}", number))
        # The first of each reads the DAG for the first time.
        ours[size] = Samples(tuple(mine[1:]))
        theirs[size] = Samples(tuple(other[1:]))
    small, large = SIZES
    growth = ours[large].p50 / ours[small].p50
    compared, ratio, fast = "-", "-", True
    goal = f"{GROWTH:.0f} times the tasks: <= {GROWTH:.0f}x the time"
    if operation.airflows is not None:
        compared = f"{operation.airflows[0]}: {theirs[small]}; {theirs[large]}"
        shares = [ours[size].p50 / theirs[size].p50 for size in SIZES]
        ratio = "; ".join(f"{share:.2f}" for share in shares)
        fast = operation.target is None or max(shares) <= operation.target
        goal = f"<= {operation.target}x; {goal}"
    return Row(
        what=f"{operation.name}, runs of {small:,} and {large:,} tasks",
        ours=f"{ours[small]}; {ours[large]} ({growth:.1f}x)",
        other=compared,
        ratio=ratio,
        target=goal,
        reached=fast and growth <= GROWTH,
    )


def _reset(database: Any, dag_id: str, operation: Operation) -> None:
    database.execute(
        f"UPDATE task_instance SET state = {operation.tasks}, try_number = 1, end_date = now(), start_date = now() "
        "WHERE dag_id = %s AND run_id = 'run'",
        [dag_id],
    )
    database.execute("DELETE FROM task_instance_history WHERE dag_id = %s", [dag_id])
    database.execute(
        "UPDATE dag_run SET state = %s WHERE dag_id = %s AND run_id = 'run'", [operation.run, dag_id]
    )


def _timed(send: Callable[[Client, str, int], Answer], client: Client, dag_id: str, number: int) -> float:
    began = time.perf_counter()
    answer = send(client, dag_id, number)
    seconds = time.perf_counter() - began
    _expect(answer)
    return seconds


def _among_many(client: Client, database: Any) -> Sequence[Row]:
    """DAGs with runs of their own, most of them copied in the database from one."""
    code = MANY.format(dags=DAGS, tasks=TASKS_EACH)
    _expect(client.deploy("many.py", code, otf_sync="y", unpause="y"))
    _expect(_form(client, "trigger_dag", dag_id="many_0000", run_id="run_0"))
    _copy_runs(database)
    instances = DAGS * RUNS_EACH * TASKS_EACH
    looks = (
        (
            "list_dags",
            lambda client, *_: client.get(f"{XTENDED}/list_dags"),
            ("GET dags", lambda client, *_: client.get(f"/api/v2/dags?limit={DAGS}")),
        ),
        (
            "dag_state",
            _ours("GET", "dag_state", run_id="run_5"),
            ("GET dagRun", _airflow("dagRuns/run_5")),
        ),
    )
    rows = []
    for name, ours, (other_name, other) in looks:
        mine, others = [], []
        for number in range(LOOKS + 1):
            mine.append(_timed(ours, client, MEASURED, number))
            others.append(_timed(other, client, MEASURED, number))
        own, airflows = Samples(tuple(mine[1:])), Samples(tuple(others[1:]))
        rows.append(
            Row(
                what=f"{name}, {DAGS:,} DAGs, {instances:,} task instances",
                ours=str(own),
                other=f"{other_name}: {airflows}",
                ratio=f"{own.p50 / airflows.p50:.2f}",
                target="<= 1x",
                reached=own.p50 <= airflows.p50,
            )
        )
    return rows


def _copy_runs(database: Any) -> None:
    """From the one run, by the database itself: a run of each number for each of the DAGs."""
    runs = _columns(
        database,
        "dag_run",
        {
            "dag_id": "dag.dag_id",
            "run_id": "'run_' || copy",
            "logical_date": "NULL",
            "created_dag_version_id": "version.id",
        },
        leave_out=("id",),
    )
    every = (
        f"FROM {{table}} one, dag, generate_series(0, {RUNS_EACH - 1}) AS copy, dag_version version "
        "WHERE one.dag_id = 'many_0000' AND one.run_id = 'run_0' AND dag.dag_id LIKE 'many%%' "
        "AND version.dag_id = dag.dag_id AND NOT (dag.dag_id = 'many_0000' AND copy = 0)"
    )
    database.execute(
        f"INSERT INTO dag_run ({', '.join(runs)}) SELECT {', '.join(runs.values())} "
        + every.format(table="dag_run"),
        (),
    )
    instances = _columns(
        database,
        "task_instance",
        {
            "id": "gen_random_uuid()",
            "dag_id": "dag.dag_id",
            "run_id": "'run_' || copy",
            "dag_version_id": "version.id",
        },
    )
    database.execute(
        f"INSERT INTO task_instance ({', '.join(instances)}) SELECT {', '.join(instances.values())} "
        + every.format(table="task_instance"),
        (),
    )
    database.execute("ANALYZE")


def _columns(
    database: Any, table: str, instead: dict[str, str], leave_out: Sequence[str] = ()
) -> dict[str, str]:
    database.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND table_schema = 'public'",
        [table],
    )
    return {
        name: instead.get(name, f"one.{name}") for (name,) in database.fetchall() if name not in leave_out
    }
