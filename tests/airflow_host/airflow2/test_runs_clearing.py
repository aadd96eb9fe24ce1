"""Clearing many task instances at once leaves in the database what Airflow's own way, one by one, leaves there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from conftest import DAGS

from xtended.airflow_host.base import ParsedDag, ParsedFile
from xtended.airflow_host.runs import NewRun
from xtended.problems import BadRequest, Conflict

Rows = Callable[[str], list[tuple[Any, ...]]]

DAY = datetime(2026, 1, 1, tzinfo=UTC)
STATES = {
    "fine": "success",
    "broken": "failed",
    "running": "running",
    "deferred": "deferred",
    "again": "up_for_reschedule",
    "gone": "failed",
    "fresh": None,
}
# What says when it happened, or which run it is.
_OWN = [
    "run_id",
    "start_date",
    "end_date",
    "duration",
    "updated_at",
    "id",
    "queued_at",
    "execution_date",
    "job_id",
    "data_interval_start",
    "data_interval_end",
]


def _publish(host: Any, dag_id: str, tasks: set[str]) -> None:
    from airflow import DAG
    from airflow.operators.empty import EmptyOperator
    from airflow.serialization.serialized_objects import SerializedDAG

    with DAG(dag_id, schedule=None) as made:
        for name in tasks:
            EmptyOperator(task_id=name, retries=2, priority_weight=7)
    made.fileloc = str(DAGS / "wide.py")
    (DAGS / "wide.py").write_text("# stands for the code")
    parsed = ParsedFile("wide.py", (ParsedDag.of(dag_id, SerializedDAG.to_dict(made)),), (), (), 0.1)
    with host.transaction() as change:
        change.publish([parsed])
        change.set_paused([dag_id], paused=False)


@pytest.fixture
def dag(host: Any) -> str:
    _publish(host, "wide", STATES.keys() - {"gone"})
    return "wide"


def _run(host: Any, dag_id: str, run_id: str, day: int) -> None:
    """A failed run with an instance in each state, and one of a task that the DAG no longer has."""
    from airflow.jobs.job import Job
    from airflow.models import DagRun, TaskInstance, TaskReschedule
    from airflow.operators.empty import EmptyOperator
    from airflow.utils.session import create_session

    host.runs.change(lambda change: change.create(NewRun(dag_id, run_id, DAY + timedelta(day), {}, "me")))
    with create_session() as session:
        run = session.query(DagRun).filter_by(run_id=run_id).one()
        gone = TaskInstance(EmptyOperator(task_id="gone", start_date=DAY), run_id=run_id)
        gone.dag_id = dag_id
        session.add(gone)
        session.flush()
        job = Job(state="running")
        session.add(job)
        session.flush()
        for instance in session.query(TaskInstance).filter_by(run_id=run_id):
            instance.state = STATES[instance.task_id]
            instance.try_number, instance.max_tries = 1, 1
            instance.start_date = DAY
            instance.end_date = DAY if instance.state in ("success", "failed") else None
            instance.external_executor_id = "at the executor"
            if instance.task_id == "running":
                instance.job_id = job.id
            if instance.task_id == "deferred":
                instance.next_method, instance.next_kwargs = "resume", {"x": 1}
            if instance.task_id == "again":
                session.flush()
                where = {"task_id": "again", "dag_id": dag_id, "run_id": run_id, "try_number": 1}
                when = {"start_date": DAY, "end_date": DAY, "reschedule_date": DAY}
                session.add(TaskReschedule(**where, **when))
        run.state = "failed"


def _plain(value: Any) -> Any:
    """Airflow writes JSON's null where there is nothing, and reads both alike."""
    return None if value == "null" else value


def _left(host: Any, run_id: str) -> dict[str, list[dict[str, Any]]]:
    from airflow.utils.session import create_session
    from sqlalchemy import text

    found = {}
    with create_session() as session:
        for table, order in (
            ("task_instance", "task_id"),
            ("task_instance_history", "task_id"),
            ("task_reschedule", "id"),
            ("dag_run", "id"),
        ):
            query = text(f"SELECT * FROM {table} WHERE run_id = :run ORDER BY {order}")
            rows = session.execute(query, {"run": run_id}).mappings()
            found[table] = [{k: _plain(v) for k, v in row.items() if k not in _OWN} for row in rows]
        job = text(
            "SELECT state FROM job WHERE id = (SELECT max(job_id) FROM task_instance WHERE run_id = :run)"
        )
        found["job"] = [dict(row) for row in session.execute(job, {"run": run_id}).mappings()]
    return found


def test_clearing_leaves_what_airflows_own_way_leaves(host: Any, dag: str) -> None:
    from airflow.models import DagBag, TaskInstance
    from airflow.models.taskinstance import clear_task_instances
    from airflow.utils.session import create_session

    _run(host, dag, "ours", 0)
    _run(host, dag, "theirs", 1)
    with create_session() as session:
        instances = session.query(TaskInstance).filter_by(run_id="theirs").all()
        clear_task_instances(
            instances, session, dag=DagBag(read_dags_from_db=True).get_dag(dag, session=session)
        )

    def clear(change: Any) -> None:
        run = change.hold(change.run(dag, "ours", None))
        change.clear(run, change.instances(run))

    host.runs.change(clear)
    ours, theirs = _left(host, "ours"), _left(host, "theirs")
    assert ours == theirs
    assert {row["state"] for row in ours["task_instance"]} == {None, "restarting"}
    assert [row["state"] for row in ours["job"]] == ["restarting"]
    assert ours["task_reschedule"] == []


def test_a_run_that_is_there_is_not_created_again(host: Any, dag: str) -> None:
    _run(host, dag, "once", 3)
    for new in (NewRun(dag, "once", None, {}, "me"), NewRun(dag, None, DAY + timedelta(3), {}, "me")):
        with pytest.raises(Conflict, match="already"):
            host.runs.change(lambda change, new=new: change.create(new))
    with pytest.raises(BadRequest, match="no/way"):
        host.runs.change(lambda change: change.create(NewRun(dag, "no/way", None, {}, "me")))


def test_a_dag_that_is_published_anew_is_seen_at_once(host: Any, dag: str) -> None:
    with host.runs.read() as reader:
        assert reader.shape(dag).tasks.keys() == STATES.keys() - {"gone"}
    _publish(host, dag, {"only"})
    with host.runs.read() as reader:
        assert reader.shape(dag).tasks.keys() == {"only"}
