"""The Airflow 3 installation that this extension finds itself in."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path

from airflow._shared.secrets_masker import redact
from airflow.dag_processing.bundles.local import LocalDagBundle
from airflow.dag_processing.bundles.manager import DagBundlesManager

from xtended.airflow_host.airflow3.catalogue import DagCatalogue
from xtended.airflow_host.airflow3.identity import AuthManagerIdentity
from xtended.airflow_host.airflow3.publish import database_session, transaction
from xtended.airflow_host.airflow3.runs import RunTables
from xtended.airflow_host.base import Catalogue, Transaction, Versions
from xtended.airflow_host.entities import Entities
from xtended.airflow_host.entity_records import DatabaseEntities
from xtended.airflow_host.identity import Identity
from xtended.airflow_host.installation import Installation
from xtended.airflow_host.runs import Runs
from xtended.airflow_host.runs_database import DatabaseRuns
from xtended.problems import FolderNotOurs


class Airflow3Host(Installation):
    """`base.Host` for Airflow 3."""

    @cached_property
    def identity(self) -> Identity:
        return AuthManagerIdentity(self.settings.auth_cache_seconds)

    @cached_property
    def catalogue(self) -> Catalogue:
        return DagCatalogue(self.bundle_name())

    @cached_property
    def runs(self) -> Runs:
        return DatabaseRuns(RunTables())

    @cached_property
    def entities(self) -> Entities:
        return DatabaseEntities(database_session, database_session, redact)

    def dag_folder(self) -> Path:
        return self._dag_folder

    @cached_property
    def _dag_folder(self) -> Path:
        # Reading the configured bundles costs time and a log line; they stay while Airflow runs.
        name = self.bundle_name()
        try:
            bundle = DagBundlesManager().get_bundle(name)
        except ValueError:
            raise FolderNotOurs(
                f"There is no DAG bundle {name!r}: see [xtended_api] bundle and "
                "[dag_processor] dag_bundle_config_list."
            ) from None
        if not isinstance(bundle, LocalDagBundle):
            raise FolderNotOurs(
                f"DAG bundle {name!r} is a {type(bundle).__name__}, which can't be written to; "
                "[xtended_api] bundle must name a LocalDagBundle."
            )
        return bundle.path

    def bundle_name(self) -> str:
        return self.settings.bundle

    def parse_backend(self) -> str:
        return "xtended.airflow_host.airflow3.parsing:FileProcess.fork"

    def task_program(self) -> str:
        return "xtended.airflow_host.airflow3.task_process"

    def transaction(self) -> AbstractContextManager[Transaction]:
        return transaction(self.bundle_name())

    def carried(self, work: Callable[[], None]) -> Callable[[], None]:
        return work

    def versions(self) -> Versions:
        return self.versions_of("airflow3")
