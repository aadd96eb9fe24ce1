"""What is published is what Airflow's DAG processor would have written, all of it or nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import DAGS

from xtended.airflow_host.base import AuditEntry, ParsedFile
from xtended.airflow_host.identity import User
from xtended.dagparse import Parser, ParseTree
from xtended.problems import Conflict, NotFound, Unavailable

Rows = Callable[[str], list[tuple[Any, ...]]]
Parse = Callable[..., list[ParsedFile]]

RICH = """
import datetime
from airflow import DAG, Dataset
from airflow.decorators import task
from airflow.operators.bash import BashOperator

class Mine(BashOperator):
    "An operator of the file itself."

with DAG("rich.dag", schedule="@daily", start_date=datetime.datetime(2024, 1, 1), catchup=False,
         tags=["b", "a"], params={"x": 3}, default_args={"owner": "me"}, owner_links={"me": "https://x.org"},
         description="words", max_active_runs=3, access_control={"Viewer": {"can_edit"}}):
    @task
    def add(x):
        return x
    Mine(task_id="b", bash_command="echo {{ ds }}", outlets=[Dataset("s3://a/b")]) >> add.expand(x=[1, 2])

with DAG("follower", schedule=[Dataset("s3://a/b")], start_date=datetime.datetime(2024, 1, 1)):
    BashOperator(task_id="c", bash_command="true")
"""


@pytest.fixture(scope="module")
def parser(app: Any) -> Iterator[Parser]:
    from xtended.airflow_host.airflow2.host import Airflow2Host

    host = Airflow2Host()
    made = Parser(
        host.parse_backend(),
        host.home() / "run",
        timeout=20.0,
        memory_mb=300,
        concurrency=2,
        idle_seconds=60.0,
    )
    yield made
    made.close()


@pytest.fixture
def parse(parser: Parser, host: Any) -> Parse:
    """Write files to the DAG folder and parse them there."""

    def write_and_parse(**sources: str) -> list[ParsedFile]:
        for name, source in sources.items():
            (DAGS / f"{name}.py").write_text(source)
        return parser.parse(ParseTree(DAGS, DAGS, "dags-folder"), [f"{name}.py" for name in sources])

    return write_and_parse


def plain(dag_id: str) -> str:
    return f"from airflow import DAG\ndag = DAG({dag_id!r}, schedule=None)\n"


def publish(host: Any, files: list[ParsedFile]) -> None:
    with host.transaction() as transaction:
        transaction.publish(files)


def sizes_of_writes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many DAGs Airflow is given at a time, from now on."""
    from airflow.models.dag import DAG

    sizes: list[int] = []
    write = DAG.bulk_write_to_db

    def counted(dags: Any, **options: Any) -> None:
        sizes.append(len(dags))
        write(dags, **options)

    monkeypatch.setattr(DAG, "bulk_write_to_db", counted)
    return sizes


def process(path: str) -> None:
    """What Airflow's DAG processor does with a file, without its delay between two writes."""
    import logging

    from airflow import settings
    from airflow.dag_processing.processor import DagFileProcessor

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "MIN_SERIALIZED_DAG_UPDATE_INTERVAL", 0)
        processor = DagFileProcessor(dag_ids=None, dag_directory=str(DAGS), log=logging.getLogger("test"))
        processor.process_file(f"{DAGS}/{path}", callback_requests=[])


RECORDED = {
    "serialized_dag": "dag_id, data, dag_hash, last_updated, fileloc, fileloc_hash, processor_subdir",
    "dag": (
        "dag_id, root_dag_id, is_paused, is_subdag, is_active, fileloc, processor_subdir, owners, description,"
        " default_view, schedule_interval, timetable_description, max_active_tasks, max_active_runs,"
        " has_task_concurrency_limits, has_import_errors, next_dagrun, next_dagrun_create_after,"
        " next_dagrun_data_interval_start, next_dagrun_data_interval_end, dataset_expression"
    ),
    "dag_tag": "dag_id, name",
    "dag_owner_attributes": "dag_id, owner, link",
    "dag_code": "fileloc, fileloc_hash, source_code",
    "dag_schedule_dataset_reference": "dag_id, dataset_id",
    "task_outlet_dataset_reference": "dag_id, task_id, dataset_id",
    "ab_view_menu": "name",
    "import_error": "filename",
}


def recorded(rows: Rows) -> dict[str, list[tuple[Any, ...]]]:
    return {
        table: sorted(rows(f"SELECT {columns} FROM {table}"), key=repr) for table, columns in RECORDED.items()
    }


def test_the_dag_processor_finds_nothing_to_change(host: Any, parse: Parse, rows: Rows) -> None:
    publish(host, parse(rich=RICH))
    ours = recorded(rows)
    assert [row[0] for row in ours["serialized_dag"]] == ["follower", "rich.dag"]
    process("rich.py")
    assert recorded(rows) == ours


def test_files_published_in_portions_are_as_those_published_at_once(
    host: Any, parse: Parse, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = parse(one=plain("one"), rich=RICH, broken="from airflow import DAG\n1 / 0\n", two=plain("two"))
    monkeypatch.setattr("xtended.airflow_host.airflow2.publish.PORTION", 1)
    written = sizes_of_writes(monkeypatch)
    publish(host, files)
    assert max(written) == 2  # of one file
    in_portions = recorded(rows)
    monkeypatch.undo()
    publish(host, files)
    assert recorded(rows) == in_portions
    assert [row[0] for row in in_portions["serialized_dag"]] == ["follower", "one", "rich.dag", "two"]
    assert in_portions["import_error"] == [(f"{DAGS}/broken.py",)]


def test_a_published_dag_can_be_triggered(app: Any, host: Any, parse: Parse) -> None:
    publish(host, parse(rich=RICH))
    answer = app.test_client().post("/api/v1/dags/rich.dag/dagRuns", json={}, auth=("admin", "admin"))
    assert answer.status_code == 200, answer.text
    assert answer.json["state"] == "queued"


def test_access_control_of_the_file_reaches_the_role(app: Any, host: Any, parse: Parse) -> None:
    publish(host, parse(rich=RICH))
    manager = app.appbuilder.sm
    manager.get_session.expire_all()
    viewer = {(right.action.name, right.resource.name) for right in manager.find_role("Viewer").permissions}
    assert ("can_edit", "DAG:rich.dag") in viewer
    assert ("can_edit", "DAG:follower") not in viewer


def test_publishing_again_follows_the_source_however_old_it_says_it_is(
    host: Any, parse: Parse, rows: Rows
) -> None:
    publish(host, parse(one=plain("first")))
    (DAGS / "one.py").write_text(plain("second"))
    os.utime(DAGS / "one.py", (0, 0))
    publish(host, parse(one=plain("second")))
    os.utime(DAGS / "one.py", (0, 0))
    assert rows("SELECT source_code FROM dag_code") == [(plain("second"),)]


def test_a_known_dag_keeps_its_pause(host: Any, parse: Parse) -> None:
    files = parse(one=plain("one"))
    publish(host, files)
    assert host.catalogue.find(["one"])["one"].paused
    with host.transaction() as transaction:
        transaction.set_paused(["one"], paused=False)
    publish(host, files)
    assert not host.catalogue.find(["one"])["one"].paused


def test_what_fails_leaves_nothing(host: Any, parse: Parse, rows: Rows) -> None:
    before = recorded(rows)
    files = parse(rich=RICH, broken="from airflow import DAG\n1 / 0\n")

    def fail_late() -> None:
        with host.transaction() as transaction:
            transaction.publish(files)
            transaction.audit(AuditEntry("xtended.deploy_dag", User("me", None), ("rich.dag",), {}))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_late()
    assert recorded(rows) == before
    assert rows("SELECT * FROM log") == []


def test_a_rollback_that_airflow_swallows_fails_the_transaction(
    host: Any, parse: Parse, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.providers.fab.auth_manager.security_manager.override import FabAirflowSecurityManagerOverride

    def give_up(manager: Any, action: str, resource: str) -> None:
        # What it does where another process creates the same right at this moment.
        manager.get_session.rollback()

    monkeypatch.setattr(FabAirflowSecurityManagerOverride, "create_permission", give_up)
    before = recorded(rows)
    with pytest.raises(Unavailable):
        publish(host, parse(rich=RICH))
    assert recorded(rows) == before


def test_import_errors_come_and_go_with_the_file(host: Any, parse: Parse, rows: Rows) -> None:
    publish(host, parse(broken="from airflow import DAG\n1 / 0\n", other="from airflow import DAG\nx\n"))
    ((first, text), (second, _)) = rows("SELECT filename, stacktrace FROM import_error ORDER BY filename")
    assert (first, second) == (f"{DAGS}/broken.py", f"{DAGS}/other.py")
    assert "ZeroDivisionError" in text
    publish(host, parse(broken=plain("repaired")))
    assert rows("SELECT filename FROM import_error") == [(f"{DAGS}/other.py",)]
    (DAGS / "other.py").unlink()
    with host.transaction() as transaction:
        assert transaction.retire(["other.py"]) == []
    assert rows("SELECT filename FROM import_error") == []


def test_a_missing_pool_is_a_warning(host: Any, parse: Parse, rows: Rows) -> None:
    source = (
        "from airflow import DAG\nfrom airflow.operators.bash import BashOperator\n"
        "with DAG('one', schedule=None):\n    BashOperator(task_id='t', bash_command='true', pool='none')\n"
    )
    publish(host, parse(one=source))
    assert rows("SELECT dag_id, warning_type FROM dag_warning") == [("one", "non-existent pool")]


def test_retired_dags_are_stale_and_can_not_be_triggered(
    app: Any, host: Any, parse: Parse, rows: Rows
) -> None:
    publish(host, parse(two=plain("gone") + plain("kept").replace("dag =", "dag2 ="), other=plain("other")))
    with host.transaction() as transaction:
        assert transaction.retire(["two.py"], keep=["kept"]) == ["gone"]
        assert transaction.retire(["two.py"], keep=["kept"]) == []
    known = host.catalogue.find(["gone", "kept", "other"])
    assert {name: dag.stale for name, dag in known.items()} == {"gone": True, "kept": False, "other": False}
    assert rows("SELECT dag_id FROM serialized_dag ORDER BY dag_id") == [("kept",), ("other",)]


def test_a_dag_that_moved_to_another_file_is_not_retired_with_the_first(host: Any, parse: Parse) -> None:
    publish(host, parse(old=plain("moving")))
    publish(host, parse(new=plain("moving")))
    with host.transaction() as transaction:
        assert transaction.retire(["old.py"]) == []
    assert host.catalogue.find(["moving"])["moving"].path == "new.py"


def test_a_parse_is_asked_for_once(host: Any, rows: Rows) -> None:
    for _ in range(2):
        with host.transaction() as transaction:
            transaction.request_parse(["a.py", "pack.zip", "a.py"])
    assert rows("SELECT fileloc FROM dag_priority_parsing_request ORDER BY fileloc") == [
        (f"{DAGS}/a.py",),
        (f"{DAGS}/pack.zip",),
    ]


def test_a_deleted_dag_leaves_its_audit_log_alone(host: Any, parse: Parse, rows: Rows) -> None:
    publish(host, parse(one=plain("one")))
    with host.transaction() as transaction:
        transaction.delete_dag("one")
        transaction.audit(AuditEntry("xtended.delete_dag", User("me", None), ("one",), {"file": "one.py"}))
    assert host.catalogue.find(["one"]) == {}
    assert rows("SELECT event, owner, dag_id, extra FROM log") == [
        ("xtended.delete_dag", "me", "one", '{"file": "one.py"}')
    ]


def test_an_unknown_dag_is_not_found(host: Any) -> None:
    with pytest.raises(NotFound, match="'nope'"), host.transaction() as transaction:
        transaction.delete_dag("nope")


def test_a_dag_whose_tasks_run_is_kept(app: Any, host: Any, parse: Parse) -> None:
    from airflow.models import TaskInstance
    from airflow.utils.session import create_session

    publish(host, parse(rich=RICH))
    app.test_client().post("/api/v1/dags/follower/dagRuns", json={}, auth=("admin", "admin"))
    with create_session() as session:
        session.query(TaskInstance).filter_by(dag_id="follower").update({"state": "running"})
    with pytest.raises(Conflict, match="follower"), host.transaction() as transaction:
        transaction.delete_dag("follower")
    assert "follower" in host.catalogue.find(["follower"])


def test_a_process_that_has_the_dag_already_sees_its_new_form_at_once(host: Any, parse: Parse) -> None:
    from airflow.models.dagbag import DagBag

    source = "from airflow import DAG\nfrom airflow.operators.empty import EmptyOperator\n"
    source += "with DAG('one', schedule=None):\n    EmptyOperator(task_id={!r})\n"
    publish(host, parse(one=source.format("before")))
    # What the scheduler and each web worker have.
    bag = DagBag(read_dags_from_db=True)
    assert bag.get_dag("one").task_ids == ["before"]
    publish(host, parse(one=source.format("after")))
    assert bag.get_dag("one").task_ids == ["after"]
