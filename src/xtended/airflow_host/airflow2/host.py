"""The Airflow 2.11 installation whose webserver this extension is mounted in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Literal

from airflow.utils.log.secrets_masker import redact
from flask import Flask, current_app

from xtended.airflow_host.airflow2 import folder
from xtended.airflow_host.airflow2.catalogue import DagCatalogue
from xtended.airflow_host.airflow2.database import reading, writing
from xtended.airflow_host.airflow2.identity import WebserverIdentity
from xtended.airflow_host.airflow2.publish import DagTransaction
from xtended.airflow_host.airflow2.runs import RunTables
from xtended.airflow_host.base import Catalogue, Transaction, Versions
from xtended.airflow_host.entities import Entities
from xtended.airflow_host.entity_records import DatabaseEntities
from xtended.airflow_host.installation import Installation
from xtended.airflow_host.runs import Runs
from xtended.airflow_host.runs_database import DatabaseRuns


class Airflow2Host(Installation):
    """`base.Host` for Airflow 2.11."""

    @cached_property
    def identity(self) -> WebserverIdentity:
        return WebserverIdentity(self.settings.auth_cache_seconds)

    @cached_property
    def catalogue(self) -> Catalogue:
        return DagCatalogue()

    @cached_property
    def runs(self) -> Runs:
        return DatabaseRuns(RunTables())

    @cached_property
    def entities(self) -> Entities:
        return DatabaseEntities(reading, writing, redact)

    def dag_folder(self) -> Path:
        return folder.dag_folder()

    def ignore_syntax(self) -> Literal["glob", "glob_first", "regexp"]:
        syntax = super().ignore_syntax()
        return "glob_first" if syntax == "glob" else syntax

    def bundle_name(self) -> str:
        return folder.BUNDLE_NAME

    def parse_backend(self) -> str:
        return "xtended.airflow_host.airflow2.parsing:FileProcess"

    def task_program(self) -> str:
        return "xtended.airflow_host.airflow2.task_process"

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with writing() as session:
            yield DagTransaction(session)

    def carried(self, work: Callable[[], None]) -> Callable[[], None]:
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]

        def run() -> None:
            with app.app_context():
                work()

        return run

    def versions(self) -> Versions:
        return self.versions_of("airflow2")
