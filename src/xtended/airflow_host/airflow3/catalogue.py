"""What Airflow 3's database says about DAGs."""

from __future__ import annotations

import logging
from collections.abc import Collection

from airflow.models.dag import DagModel
from airflow.models.errors import ParseImportError
from airflow.utils.session import create_session
from sqlalchemy import or_, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from xtended.airflow_host.base import KnownDag, ListedDag, RecordedError
from xtended.airflow_host.records import CHUNK, split_owners

log = logging.getLogger(__name__)


class DagCatalogue:
    """`base.Catalogue` for one bundle."""

    def __init__(self, bundle_name: str) -> None:
        self._bundle = bundle_name

    def reachable(self) -> bool:
        try:
            with create_session(scoped=False) as session:
                session.execute(text("SELECT 1"))
        except SQLAlchemyError:
            log.exception("The metadata database does not answer")
            return False
        return True

    def find(self, dag_ids: Collection[str]) -> dict[str, KnownDag]:
        wanted = sorted(set(dag_ids))
        found: dict[str, KnownDag] = {}
        with create_session(scoped=False) as session:
            for start in range(0, len(wanted), CHUNK):
                rows = session.scalars(
                    select(DagModel).where(DagModel.dag_id.in_(wanted[start : start + CHUNK]))
                )
                found.update((row.dag_id, _known(row, self._bundle)) for row in rows)
        return found

    def in_files(self, paths: Collection[str] | None) -> list[KnownDag]:
        with create_session(scoped=False) as session:
            return dags_in_files(session, self._bundle, paths)

    def broken_files(self) -> set[str]:
        with create_session(scoped=False) as session:
            return {file_of(filename) for _, filename in import_errors(session, self._bundle)}

    def listing(self) -> list[ListedDag]:
        query = (
            select(
                DagModel.dag_id,
                DagModel.relative_fileloc,
                DagModel.bundle_name,
                DagModel.is_paused,
                DagModel.owners,
                DagModel.last_parsed_time,
                DagModel.last_parse_duration,
            )
            .where(~DagModel.is_stale)
            .order_by(DagModel.dag_id)
        )
        with create_session(scoped=False) as session:
            return [
                ListedDag(
                    dag_id=row.dag_id,
                    path=file_of(row.relative_fileloc) if row.relative_fileloc else None,
                    bundle=row.bundle_name,
                    paused=bool(row.is_paused),
                    owners=split_owners(row.owners),
                    parsed_at=row.last_parsed_time,
                    parse_seconds=row.last_parse_duration,
                )
                for row in session.execute(query)
            ]

    def import_errors(self) -> list[RecordedError]:
        query = select(
            ParseImportError.filename, ParseImportError.bundle_name, ParseImportError.stacktrace
        ).order_by(ParseImportError.bundle_name, ParseImportError.filename)
        with create_session(scoped=False) as session:
            return [
                RecordedError(file_of(row.filename), row.bundle_name, row.stacktrace or "")
                for row in session.execute(query)
                if row.filename
            ]


def dags_in_files(session: Session, bundle_name: str, paths: Collection[str] | None) -> list[KnownDag]:
    """`Catalogue.in_files`, as one session sees the database."""
    ours = select(DagModel).where(DagModel.bundle_name == bundle_name)
    if paths is None:
        return [_known(row, bundle_name) for row in session.scalars(ours)]
    wanted = sorted(set(paths))
    found: list[KnownDag] = []
    for start in range(0, len(wanted), CHUNK):
        chunk = wanted[start : start + CHUNK]
        inside = [
            DagModel.relative_fileloc.startswith(f"{path}/", autoescape=True)
            for path in chunk
            if path.endswith(".zip")
        ]
        rows = session.scalars(ours.where(or_(DagModel.relative_fileloc.in_(chunk), *inside)))
        found.extend(_known(row, bundle_name) for row in rows)
    return found


def import_errors(session: Session, bundle_name: str) -> list[tuple[int, str]]:
    """Id and file name, which may be a place inside a zip, of each import error in the bundle."""
    ours = select(ParseImportError.id, ParseImportError.filename).where(
        ParseImportError.bundle_name == bundle_name
    )
    return [(error_id, filename) for error_id, filename in session.execute(ours) if filename]


def _known(row: DagModel, bundle_name: str) -> KnownDag:
    path = row.relative_fileloc if row.bundle_name == bundle_name else None
    return KnownDag(
        dag_id=row.dag_id,
        path=file_of(path) if path else None,
        bundle=row.bundle_name,
        paused=bool(row.is_paused),
        stale=bool(row.is_stale),
    )


def file_of(relative_fileloc: str) -> str:
    """The file of the DAG folder that holds a DAG: the zip, where Airflow records a place inside one."""
    head, zip_suffix, _ = relative_fileloc.partition(".zip/")
    return head + ".zip" if zip_suffix else relative_fileloc
