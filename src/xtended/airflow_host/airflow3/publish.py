"""Make a parse result live through Airflow 3's own functions for that, in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress

from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.collection import update_dag_parsing_results_in_db
from airflow.models.dag import DagModel
from airflow.models.dag_version import DagVersion
from airflow.models.dagbag import DagPriorityParsingRequest
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.errors import ParseImportError
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from airflow.utils.retries import MAX_DB_RETRIES
from airflow.utils.session import create_session
from sqlalchemy import delete, exists, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from xtended.airflow_host.airflow3.catalogue import dags_in_files, file_of, import_errors
from xtended.airflow_host.base import AuditEntry, ParsedFile
from xtended.airflow_host.records import (
    PORTION,
    chunks,
    delete_records,
    refusals_as_problems,
    refused,
    write_audit,
)


class DagTransaction:
    """`base.Transaction` on one database session."""

    def __init__(self, session: Session, bundle_name: str) -> None:
        self._session = session
        self._bundle = bundle_name

    def publish(self, files: Sequence[ParsedFile]) -> None:
        for _ in range(MAX_DB_RETRIES):
            if self._publish_all(files):
                return
        raise refused()

    def _publish_all(self, files: Sequence[ParsedFile]) -> bool:
        """Whether it is all there. Where the database is busy, Airflow rolls back, with what came before, and
        tries once more what it was asked for last."""
        self._know_bundle()
        begun = self._session.get_transaction()
        for portion in chunks(files, PORTION):
            self._publish(portion)
            if self._session.get_transaction() is not begun:
                return False
            self._session.expunge_all()
        return True

    def _publish(self, files: Sequence[ParsedFile]) -> None:
        dags = [LazyDeserializedDAG(data=dag.data()) for file in files for dag in file.dags]
        self._replace_versions(dags)
        update_dag_parsing_results_in_db(
            bundle_name=self._bundle,
            bundle_version=None,
            dags=dags,
            import_errors={
                (self._bundle, problem.file): problem.stacktrace or problem.message
                for file in files
                for problem in file.import_problems
            },
            parse_duration=sum(file.seconds for file in files) / len(files) if files else None,
            warnings=set(),
            session=self._session,
            files_parsed={(self._bundle, file.path) for file in files},
        )

    def _know_bundle(self) -> None:
        """Record the configured bundles, which each DAG refers to; else a first DAG processor does."""
        if self._session.get(DagBundleModel, self._bundle) is None:
            DagBundlesManager().sync_bundles_to_db(deactivate_missing=False, session=self._session)
            self._session.flush()

    def _replace_versions(self, dags: Sequence[LazyDeserializedDAG]) -> None:
        """Drop the unused version of each DAG that has changed, so that Airflow writes a new one.

        Airflow would rewrite a version that no task instance uses in place, at most once in
        `min_serialized_dag_update_interval`, and every web server and scheduler could go on with the old
        form from its cache as long. A new version is a new cache key: it is seen at once.
        """
        for dag in dags:
            current = self._session.execute(
                select(DagVersion.id, SerializedDagModel.dag_hash)
                .join(SerializedDagModel, SerializedDagModel.dag_version_id == DagVersion.id)
                .where(DagVersion.dag_id == dag.dag_id)
                .order_by(DagVersion.version_number.desc())
                .limit(1)
            ).first()
            if current is None or current.dag_hash == SerializedDagModel.hash(dag.data):
                continue
            used = self._session.scalar(
                select(
                    or_(
                        exists().where(TaskInstance.dag_version_id == current.id),
                        exists().where(DagRun.created_dag_version_id == current.id),
                    )
                )
            )
            if used:
                SerializedDagModel.write_dag(dag, bundle_name=self._bundle, session=self._session)
            else:
                self._session.execute(delete(DagVersion).where(DagVersion.id == current.id))
        self._session.flush()

    def retire(self, paths: Collection[str], keep: Collection[str] = ()) -> list[str]:
        keep = set(keep)
        gone = sorted(
            dag.dag_id
            for dag in dags_in_files(self._session, self._bundle, paths)
            if not dag.stale and dag.dag_id not in keep
        )
        for dag_ids in chunks(gone):
            self._session.execute(update(DagModel).where(DagModel.dag_id.in_(dag_ids)).values(is_stale=True))
        self._forget_import_errors(paths)
        return gone

    def _forget_import_errors(self, paths: Collection[str]) -> None:
        """The DAG processor forgets the errors of files that are gone only when it lists the folder."""
        wanted = set(paths)
        ids = [
            error_id
            for error_id, filename in import_errors(self._session, self._bundle)
            if file_of(filename) in wanted
        ]
        for error_ids in chunks(ids):
            self._session.execute(delete(ParseImportError).where(ParseImportError.id.in_(error_ids)))

    def request_parse(self, paths: Collection[str]) -> None:
        waiting = set(
            self._session.scalars(
                select(DagPriorityParsingRequest.relative_fileloc).where(
                    DagPriorityParsingRequest.bundle_name == self._bundle
                )
            )
        )
        for path in sorted(set(paths) - waiting):
            # Another request may ask for the same file at this moment: then it is asked for, which is enough.
            with suppress(IntegrityError), self._session.begin_nested():
                self._session.add(DagPriorityParsingRequest(bundle_name=self._bundle, relative_fileloc=path))

    def set_paused(self, dag_ids: Collection[str], *, paused: bool) -> None:
        for chunk in chunks(sorted(set(dag_ids))):
            self._session.execute(update(DagModel).where(DagModel.dag_id.in_(chunk)).values(is_paused=paused))

    def delete_dag(self, dag_id: str) -> None:
        delete_records(self._session, dag_id)

    def audit(self, entry: AuditEntry) -> None:
        write_audit(self._session, entry)


@contextmanager
def database_session() -> Iterator[Session]:
    """A session whose changes are committed together when the context ends, or not at all."""
    with refusals_as_problems(), create_session(scoped=False) as session:
        yield session


@contextmanager
def transaction(bundle_name: str) -> Iterator[DagTransaction]:
    """Changes that are committed together when the context ends, or not at all."""
    with database_session() as session:
        yield DagTransaction(session, bundle_name)
