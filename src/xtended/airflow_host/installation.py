"""What both hosts read alike from the Airflow installation that they are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from airflow.configuration import AIRFLOW_HOME, conf

from xtended.airflow_host.base import Connection, Versions
from xtended.airflow_host.connections import find_connection
from xtended.settings import SECTION, Settings


class Installation:
    """The part of `base.Host` that no Airflow does differently."""

    @cached_property
    def settings(self) -> Settings:
        """Raises SettingsError."""
        return Settings.load(self.option)

    def option(self, key: str) -> str | None:
        value = conf.get(SECTION, key, fallback=None)
        return None if value is None else str(value)

    def home(self) -> Path:
        return Path(AIRFLOW_HOME)

    def ignore_syntax(self) -> Literal["glob", "regexp"]:
        # Either Airflow's own default is in its configuration already.
        return "regexp" if conf.get("core", "dag_ignore_file_syntax") == "regexp" else "glob"

    def connection(self, conn_id: str) -> Connection:
        # In a thread of its own: Airflow 2 keeps one database session a thread, and ends it after the look-up,
        # with the caller's user in it.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(find_connection, conn_id).result()

    def versions_of(self, host: Literal["airflow3", "airflow2"]) -> Versions:
        return Versions(version("apache-airflow"), version("connexion"), host)
