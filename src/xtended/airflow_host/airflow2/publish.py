"""Changes to Airflow 2's database, visible together: what its DAG processor and its UI would write."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from airflow.dag_processing.processor import DagFileProcessor
from airflow.models.dag import DAG, DagModel
from airflow.models.dagbag import DagPriorityParsingRequest
from airflow.models.dagcode import DagCode
from airflow.models.errors import ParseImportError
from airflow.models.serialized_dag import SerializedDagModel
from airflow.serialization.serialized_objects import SerializedDAG
from airflow.utils import timezone
from airflow.www.security_appless import ApplessAirflowSecurityManager
from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from xtended.airflow_host.airflow2 import folder
from xtended.airflow_host.airflow2.serialized import SerializedForm
from xtended.airflow_host.base import AuditEntry, ParsedFile
from xtended.airflow_host.records import PORTION, chunks, delete_records, write_audit


class DagTransaction:
    """Works in a session that commits when the surrounding context ends (see `database.writing`)."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def publish(self, files: Sequence[ParsedFile]) -> None:
        for portion in chunks(files, PORTION):
            self._publish(portion)
            self._session.flush()
            self._session.expunge_all()

    def _publish(self, files: Sequence[ParsedFile]) -> None:
        forms = [SerializedForm(dag.form) for file in files for dag in file.dags]
        dags = [form.dag for form in forms]
        subdir = str(folder.dag_folder())
        self._forget_code({dag.fileloc for dag in dags})
        DAG.bulk_write_to_db(dags, processor_subdir=subdir, session=self._session)
        self._session.flush()
        for form in forms:
            if form.write(self._session, subdir):
                self._sync_permissions(form.dag)
        self._record_import_errors(files, subdir)
        self._warn_of_missing_pools(dags)

    def _forget_code(self, filelocs: set[str]) -> None:
        """Have Airflow read the source again: by itself it does so only where the file's time says so."""
        hashes = [DagCode.dag_fileloc_hash(fileloc) for fileloc in filelocs]
        self._session.execute(delete(DagCode).where(DagCode.fileloc_hash.in_(hashes)))

    def _sync_permissions(self, dag: SerializedDAG) -> None:
        manager = ApplessAirflowSecurityManager(session=self._session)
        manager.sync_perm_for_dag(dag.dag_id, dag.access_control)

    def _record_import_errors(self, files: Sequence[ParsedFile], subdir: str) -> None:
        errors = {
            folder.absolute(problem.file): problem.stacktrace or problem.message
            for file in files
            for problem in file.import_problems
        }
        parsed = {folder.absolute(file.path): timezone.utcnow() for file in files}
        DagFileProcessor.update_import_errors(
            file_last_changed=parsed, import_errors=errors, processor_subdir=subdir, session=self._session
        )

    def _warn_of_missing_pools(self, dags: Sequence[SerializedDAG]) -> None:
        pools = {dag.dag_id: {task.pool for task in dag.tasks} for dag in dags}
        DagFileProcessor._validate_task_pools_and_update_dag_warnings(
            pools, set(pools), session=self._session
        )

    def retire(self, paths: Collection[str], keep: Collection[str] = ()) -> list[str]:
        paths, keep = set(paths), set(keep)
        rows = self._session.execute(select(DagModel.dag_id, DagModel.fileloc).where(DagModel.is_active))
        retired = sorted(
            dag_id for dag_id, fileloc in rows if folder.is_in(fileloc, paths) and dag_id not in keep
        )
        for dag_ids in chunks(retired):
            self._update_dags(dag_ids, is_active=False)
            self._session.execute(
                delete(SerializedDagModel)
                .where(SerializedDagModel.dag_id.in_(dag_ids))
                .execution_options(synchronize_session=False)
            )
        self._clear_errors_of_missing_files(paths)
        return retired

    def _clear_errors_of_missing_files(self, paths: Collection[str]) -> None:
        """A file that is gone has no error; the DAG processor sees that only when it lists the folder."""
        gone = {path for path in paths if not (folder.dag_folder() / path).exists()}
        if not gone:
            return
        errors = self._session.execute(select(ParseImportError.id, ParseImportError.filename))
        ids = [error_id for error_id, filename in errors if folder.is_in(filename, gone)]
        for chunk in chunks(ids):
            self._session.execute(
                delete(ParseImportError)
                .where(ParseImportError.id.in_(chunk))
                .execution_options(synchronize_session=False)
            )

    def request_parse(self, paths: Collection[str]) -> None:
        for path in sorted(set(paths)):
            fileloc = folder.absolute(path)
            waiting = select(DagPriorityParsingRequest.id).where(DagPriorityParsingRequest.fileloc == fileloc)
            if self._session.scalar(waiting.limit(1)) is None:
                self._session.add(DagPriorityParsingRequest(fileloc=fileloc))

    def set_paused(self, dag_ids: Collection[str], *, paused: bool) -> None:
        for chunk in chunks(sorted(set(dag_ids))):
            self._update_dags(chunk, is_paused=paused)

    def _update_dags(self, dag_ids: Sequence[str], **values: Any) -> None:
        """Set columns of DAGs and of their subdags."""
        self._session.execute(
            update(DagModel)
            .where(or_(DagModel.dag_id.in_(dag_ids), DagModel.root_dag_id.in_(dag_ids)))
            .values(**values)
            .execution_options(synchronize_session="fetch")
        )

    def delete_dag(self, dag_id: str) -> None:
        self._session.flush()
        delete_records(self._session, dag_id)

    def audit(self, entry: AuditEntry) -> None:
        write_audit(self._session, entry)
