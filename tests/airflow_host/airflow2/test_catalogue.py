"""What the `dag` table says, in terms of files below the DAG folder."""

from __future__ import annotations

from typing import Any

from conftest import DAGS

from xtended.airflow_host.base import KnownDag


def record(dag_id: str, fileloc: str, **columns: Any) -> None:
    from airflow.models import DagModel
    from airflow.utils.session import create_session

    with create_session() as session:
        session.add(
            DagModel(dag_id=dag_id, fileloc=fileloc, **{"is_active": True, "is_paused": False, **columns})
        )


def test_files_are_named_from_the_dag_folder_on(host: Any) -> None:
    record("plain", f"{DAGS}/plain.py")
    record("below", f"{DAGS}/team/a/below.py", is_paused=True)
    record("packed", f"{DAGS}/pack.zip/module.py", is_active=False)
    assert {dag.dag_id: dag.path for dag in host.catalogue.in_files(None)} == {
        "plain": "plain.py",
        "below": "team/a/below.py",
        "packed": "pack.zip",
    }
    assert host.catalogue.find(["below", "packed", "unknown"]) == {
        "below": KnownDag("below", "team/a/below.py", "dags-folder", paused=True, stale=False),
        "packed": KnownDag("packed", "pack.zip", "dags-folder", paused=False, stale=True),
    }


def test_a_folder_may_be_called_zip(host: Any) -> None:
    (DAGS / "odd.zip").mkdir()
    record("odd", f"{DAGS}/odd.zip/odd.py")
    assert [dag.path for dag in host.catalogue.in_files(None)] == ["odd.zip/odd.py"]


def test_dags_of_other_places_have_no_path(host: Any) -> None:
    record("example", "/somewhere/else/example.py")
    record("sibling", f"{DAGS}_of_others/x.py")
    assert host.catalogue.in_files(None) == []
    assert host.catalogue.find(["example", "sibling"]) == {
        name: KnownDag(name, None, None, paused=False, stale=False) for name in ("example", "sibling")
    }


def test_only_the_dags_of_the_files_asked_for(host: Any) -> None:
    for name in ("one.py", "one.pyx", "on_.py", "pack.zip/a.py", "pack.zip/b.py", "other.zip/a.py"):
        record(name, f"{DAGS}/{name}")
    for paths in (["pack.zip"], ["on_.py"], ["one.py", "pack.zip"]):
        found = host.catalogue.in_files(paths)
        assert [dag.dag_id for dag in found] == sorted(
            name
            for name in ("one.py", "on_.py", "pack.zip/a.py", "pack.zip/b.py")
            if name.partition("/")[0] in paths
        )


def test_a_thousand_ids_at_once(host: Any) -> None:
    record("the_one", f"{DAGS}/x.py")
    assert list(host.catalogue.find(["the_one", *(f"no_{number}" for number in range(3000))])) == ["the_one"]


def test_an_answering_database_is_reachable(host: Any) -> None:
    assert host.catalogue.reachable()
