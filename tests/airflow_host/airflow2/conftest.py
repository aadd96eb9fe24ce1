"""An Airflow 2.11 of its own for these tests: a fresh home, a migrated database, the webserver's application.

Airflow reads its environment when it is imported: nothing here may import it before the home is made.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HOME = Path(tempfile.mkdtemp(prefix="xtended-airflow2-"))
DAGS = HOME / "dags"
DAGS.mkdir()
for _name in [name for name in os.environ if name.startswith("AIRFLOW")]:
    del os.environ[_name]
os.environ.update(
    AIRFLOW_HOME=str(HOME),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__API__AUTH_BACKENDS=(
        "airflow.api.auth.backend.session,"
        "airflow.providers.fab.auth_manager.api.auth.backend.basic_auth,"
        "badge_backend"
    ),
)
sys.path.insert(0, str(Path(__file__).parent))


def pytest_sessionfinish() -> None:
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def app() -> Any:
    """Airflow's webserver, with one user of each role; their passwords are their names."""
    airflow = [sys.executable, "-m", "airflow"]
    subprocess.run([*airflow, "db", "migrate"], check=True, capture_output=True)
    from airflow.www.app import create_app

    app = create_app()
    app.appbuilder.sm.sync_roles()
    for name in ("admin", "op", "user", "viewer"):
        add_user(app, name, app.appbuilder.sm.find_role(name.capitalize()))
    return app


def add_user(app: Any, name: str, role: Any) -> None:
    user = app.appbuilder.sm.add_user(name, name, name, f"{name}@localhost", role, password=name)
    assert user, name


@pytest.fixture
def host(app: Any) -> Iterator[Any]:
    """The host, in the webserver's application, with an empty DAG folder and a database without DAGs."""
    from airflow.models import DagModel, Log
    from airflow.models.dagbag import DagPriorityParsingRequest
    from airflow.models.dagcode import DagCode
    from airflow.models.errors import ParseImportError
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.utils.session import create_session

    from xtended.airflow_host.airflow2.host import Airflow2Host

    for entry in DAGS.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    with app.app_context():
        with create_session() as session:
            for model in (SerializedDagModel, DagCode, ParseImportError, DagPriorityParsingRequest, Log):
                session.query(model).delete()
            for dag in session.query(DagModel):
                session.delete(dag)
        yield Airflow2Host()


@pytest.fixture
def rows(host: Any) -> Callable[[str], list[tuple[Any, ...]]]:
    """What the database answers to a query."""
    from airflow.utils.session import create_session
    from sqlalchemy import text

    def query(statement: str) -> list[tuple[Any, ...]]:
        with create_session() as session:
            return [tuple(row) for row in session.execute(text(statement))]

    return query
