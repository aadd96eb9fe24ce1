"""A file that reads Variables or Connections gets what Airflow's DAG processor would give it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from parsed_host import HOST
from warm_parser import Folder, dag_ids

from xtended.airflow_host.base import ParsedFile

Parse = Callable[[str], ParsedFile]

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture(autouse=True, scope="module")
def _entries(migrated: Callable[..., str]) -> None:
    migrated("variables", "set", "dag_name", "from_variable")
    migrated("variables", "set", "dag_settings", '{"name": "from_json"}')
    connection = {
        "conn_type": "http",
        "host": "from_connection",
        "schema": "https",
        "login": "somebody",
        "password": "pass word",
        "port": 8443,
        "extra": {"name": "from_extra"},
    }
    migrated("connections", "add", "dag_source", "--conn-json", json.dumps(connection))


def test_a_variable_can_be_read(folder: Folder, parse: Parse) -> None:
    source = """
        from airflow.sdk import DAG, Variable
        one = DAG(Variable.get("dag_name"), schedule=None)
        two = DAG(Variable.get("dag_settings", deserialize_json=True)["name"], schedule=None)
        three = DAG(Variable.get("no_such_variable", default="from_default"), schedule=None)
        """
    assert dag_ids(parse(folder.write("variable.py", source))) == {
        "from_variable",
        "from_json",
        "from_default",
    }


def test_a_variable_can_be_read_the_old_way(folder: Folder, parse: Parse) -> None:
    source = """
        from airflow.models import Variable
        from airflow.sdk import DAG
        dag = DAG(Variable.get("dag_name"), schedule=None)
        """
    assert dag_ids(parse(folder.write("old_variable.py", source))) == {"from_variable"}


def test_a_missing_variable_is_a_problem_that_names_it(folder: Folder, parse: Parse) -> None:
    source = """
        from airflow.sdk import DAG, Variable
        dag = DAG(Variable.get("no_such_variable"), schedule=None)
        """
    (problem,) = parse(folder.write("missing.py", source)).import_problems
    assert "no_such_variable" in problem.message
    assert problem.line == 3


def test_a_variable_of_the_environment_wins(folder: Folder, parse: Parse) -> None:
    source = """
        import os
        from airflow.sdk import DAG, Variable
        os.environ["AIRFLOW_VAR_DAG_NAME"] = "from_environment"
        dag = DAG(Variable.get("dag_name"), schedule=None)
        """
    assert dag_ids(parse(folder.write("environment.py", source))) == {"from_environment"}


def test_a_connection_can_be_read(folder: Folder, parse: Parse) -> None:
    source = """
        from airflow.sdk import DAG, BaseHook
        found = BaseHook.get_connection("dag_source")
        assert (found.conn_type, found.schema, found.port) == ("http", "https", 8443), vars(found)
        assert (found.login, found.password) == ("somebody", "pass word")
        one = DAG(found.host, schedule=None)
        two = DAG(found.extra_dejson["name"], schedule=None)
        """
    assert dag_ids(parse(folder.write("connection.py", source))) == {"from_connection", "from_extra"}


def test_a_missing_connection_is_a_problem_that_names_it(folder: Folder, parse: Parse) -> None:
    source = """
        from airflow.sdk import DAG, BaseHook
        BaseHook.get_connection("no_such_connection")
        """
    (problem,) = parse(folder.write("missing.py", source)).import_problems
    assert "no_such_connection" in problem.message


def test_what_is_asked_seldom_is_answered_too(folder: Folder, parse: Parse) -> None:
    source = """
        from airflow.sdk import DAG, Variable
        Variable.set("set_while_loading", "from_set")
        dag = DAG(Variable.get("set_while_loading"), schedule=None)
        """
    assert dag_ids(parse(folder.write("sets.py", source))) == {"from_set"}


def test_the_database_itself_is_in_reach_where_airflow_gives_it_to_files(
    folder: Folder, parse: Parse
) -> None:
    source = """
        from airflow.sdk import DAG
        from airflow.utils.session import create_session
        with create_session() as session:
            session.execute("select 1")
        dag = DAG("direct", schedule=None)
        """
    parsed = parse(folder.write("direct.py", source))
    if HOST == "airflow2":
        assert dag_ids(parsed) == {"direct"}
    else:
        (problem,) = parsed.import_problems
        assert "not allowed" in problem.message
