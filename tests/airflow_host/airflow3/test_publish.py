"""What is published is all there, or nothing of it, however Airflow takes it and whatever the database does."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from xtended.airflow_host.base import ParsedDag, ParsedFile
from xtended.problems import Unavailable

_names = count()


def _parsed(host: Any, dag_id: str) -> ParsedFile:
    """What the parser would say of a file with one DAG."""
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    path = f"{dag_id}.py"
    file = host.dag_folder() / path
    file.write_text("# stands for the code\n")
    dag = DAG(dag_id, schedule=None)
    dag.fileloc, dag.relative_fileloc = str(file), path
    return ParsedFile(path, (ParsedDag.of(dag_id, DagSerialization.to_dict(dag)),), (), (), 0.1)


@pytest.fixture
def files(host: Any, monkeypatch: pytest.MonkeyPatch) -> list[ParsedFile]:
    """Three files, each of which is a portion."""
    monkeypatch.setattr("xtended.airflow_host.airflow3.publish.PORTION", 1)
    return [_parsed(host, f"portion_{next(_names)}") for _ in range(3)]


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], bool]], None]:
    """Have the database be busy for those of Airflow's writes whose number a function takes."""
    from airflow.serialization.definitions.dag import SerializedDAG

    write = SerializedDAG.bulk_write_to_db
    numbers = count(1)

    def install(is_busy: Callable[[int], bool]) -> None:
        def perhaps(*args: Any, **kwargs: Any) -> Any:
            if is_busy(next(numbers)):
                raise OperationalError("INSERT", {}, Exception("database is locked"))
            return write(*args, **kwargs)

        monkeypatch.setattr(SerializedDAG, "bulk_write_to_db", perhaps)

    return install


def _publish(host: Any, files: list[ParsedFile]) -> None:
    with host.transaction() as transaction:
        transaction.publish(files)


def _live(host: Any, files: list[ParsedFile]) -> set[str]:
    """The DAGs of these files that can be run."""
    from airflow.models.serialized_dag import SerializedDagModel

    known = host.catalogue.find([dag.dag_id for file in files for dag in file.dags])
    return {dag_id for dag_id, dag in known.items() if not dag.stale and SerializedDagModel.get_dag(dag_id)}


def _ids(files: list[ParsedFile]) -> set[str]:
    return {dag.dag_id for file in files for dag in file.dags}


def test_all_portions_become_live(host: Any, files: list[ParsedFile]) -> None:
    _publish(host, files)
    assert _live(host, files) == _ids(files)


def test_a_portion_is_written_at_a_time(
    host: Any, files: list[ParsedFile], writes: Callable[[Callable[[int], bool]], None]
) -> None:
    """What Airflow makes of ten thousand DAGs for that would not fit."""
    seen: list[int] = []
    writes(lambda number: bool(seen.append(number)))
    _publish(host, files)
    assert len(seen) == len(files)


def test_a_rollback_of_airflow_halfway_loses_no_portion(
    host: Any, files: list[ParsedFile], writes: Callable[[Callable[[int], bool]], None]
) -> None:
    writes(lambda number: number == 2)
    _publish(host, files)
    assert _live(host, files) == _ids(files)


def test_a_database_that_stays_busy_takes_nothing(
    host: Any, files: list[ParsedFile], writes: Callable[[Callable[[int], bool]], None]
) -> None:
    writes(lambda number: number > 2)
    with pytest.raises(Unavailable):
        _publish(host, files)
    assert _live(host, files) == set()


def test_a_database_that_is_busy_again_and_again_takes_nothing(
    host: Any, files: list[ParsedFile], writes: Callable[[Callable[[int], bool]], None]
) -> None:
    # In the midst of each attempt; Airflow's own second try of that portion succeeds.
    writes(lambda number: number % 4 == 2)
    with pytest.raises(Unavailable):
        _publish(host, files)
    assert _live(host, files) == set()


def test_a_database_that_does_not_answer_is_told_from_a_fault(host: Any) -> None:
    away = host.problem_of(OperationalError("SELECT", {}, Exception("server closed the connection")))
    assert isinstance(away, Unavailable)
    assert away.headers["Retry-After"]
    assert host.problem_of(KeyError("mine")) is None
