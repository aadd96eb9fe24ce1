"""The Airflow 2.11 installation whose webserver this extension is mounted in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import airflow
from airflow.configuration import AIRFLOW_HOME, conf

from xtended.airflow_host.airflow2 import folder
from xtended.airflow_host.airflow2.catalogue import Airflow2Catalogue
from xtended.airflow_host.airflow2.database import writing
from xtended.airflow_host.airflow2.identity import Airflow2Identity
from xtended.airflow_host.airflow2.publish import Airflow2Transaction
from xtended.airflow_host.base import Versions
from xtended.settings import SECTION


class Airflow2Host:
    """Implements `airflow_host.base.Host`."""

    def __init__(self) -> None:
        self.identity = Airflow2Identity()
        self.catalogue = Airflow2Catalogue()

    def option(self, key: str) -> str | None:
        value = conf.get(SECTION, key, fallback=None)
        return None if value is None else str(value)

    def home(self) -> Path:
        return Path(AIRFLOW_HOME)

    def dag_folder(self) -> Path:
        return folder.dag_folder()

    def bundle_name(self) -> str:
        return folder.BUNDLE_NAME

    def parse_backend(self) -> str:
        return "xtended.airflow_host.airflow2.parsing:parse"

    @contextmanager
    def transaction(self) -> Iterator[Airflow2Transaction]:
        with writing() as session:
            yield Airflow2Transaction(session)

    def versions(self) -> Versions:
        return Versions(
            airflow=airflow.__version__, connexion=metadata.version("connexion"), host="airflow2"
        )
