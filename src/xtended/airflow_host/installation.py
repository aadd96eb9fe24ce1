"""What both hosts read alike from the Airflow installation that they are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from airflow.configuration import AIRFLOW_HOME, conf
from sqlalchemy.exc import OperationalError

from xtended.airflow_host.base import ServiceName, Versions
from xtended.airflow_host.connections import AirflowConnections
from xtended.airflow_host.records import refused
from xtended.airflow_host.service_commands import service_command
from xtended.problems import Problem
from xtended.settings import SECTION, Settings


class Installation:
    """The part of `base.Host` that no Airflow does differently."""

    @cached_property
    def settings(self) -> Settings:
        """Raises SettingsError."""
        return Settings.load(self.option)

    def option(self, key: str, section: str = SECTION) -> str | None:
        value = conf.get(section, key, fallback=None)
        return None if value is None else str(value)

    def home(self) -> Path:
        return Path(AIRFLOW_HOME)

    def service_command(self, name: ServiceName) -> Sequence[str]:
        return service_command(name)

    def ignore_syntax(self) -> Literal["glob", "glob_first", "regexp"]:
        # Either Airflow's own default is in its configuration already.
        return "regexp" if conf.get("core", "dag_ignore_file_syntax") == "regexp" else "glob"

    def problem_of(self, error: Exception) -> Problem | None:
        return refused() if isinstance(error, OperationalError) else None

    @property
    def connections(self) -> AirflowConnections:
        return AirflowConnections()

    def versions_of(self, host: Literal["airflow3", "airflow2"]) -> Versions:
        return Versions(version("apache-airflow"), version("connexion"), host)
