"""An Airflow 3 of its own for these tests: a fresh home and a migrated database.

Airflow reads its environment when it is imported: nothing here may import it before the home is made.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from typing import Any

import pytest

HOME = tempfile.mkdtemp(prefix="xtended-airflow3-")
for _name in [name for name in os.environ if name.startswith("AIRFLOW")]:
    del os.environ[_name]
os.environ.update(AIRFLOW_HOME=HOME, AIRFLOW__CORE__LOAD_EXAMPLES="False")


def pytest_sessionfinish() -> None:
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def host() -> Any:
    """The host, with an empty DAG folder and a database that no DAG processor has seen."""
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)
    from xtended.airflow_host.airflow3.host import Airflow3Host

    made = Airflow3Host()
    made.dag_folder().mkdir(parents=True, exist_ok=True)
    return made
