"""What Airflow 2's database says about DAGs."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from airflow.models.dag import DagModel
from airflow.models.errors import ParseImportError
from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError

from xtended.airflow_host.airflow2 import folder
from xtended.airflow_host.airflow2.database import reading
from xtended.airflow_host.base import KnownDag, ListedDag, RecordedError
from xtended.airflow_host.records import CHUNK, split_owners

_COLUMNS = (DagModel.dag_id, DagModel.fileloc, DagModel.is_paused, DagModel.is_active)


class DagCatalogue:
    """The `dag` table."""

    def reachable(self) -> bool:
        try:
            with reading() as session:
                session.execute(text("SELECT 1"))
        except SQLAlchemyError:
            return False
        return True

    def find(self, dag_ids: Collection[str]) -> dict[str, KnownDag]:
        wanted = sorted(set(dag_ids))
        found: dict[str, KnownDag] = {}
        with reading() as session:
            for start in range(0, len(wanted), CHUNK):
                chunk = wanted[start : start + CHUNK]
                rows = session.execute(select(*_COLUMNS).where(DagModel.dag_id.in_(chunk)))
                found.update((dag.dag_id, dag) for dag in _known(rows))
        return found

    def in_files(self, paths: Collection[str] | None) -> list[KnownDag]:
        query = select(*_COLUMNS).where(~DagModel.is_subdag).order_by(DagModel.dag_id)
        if paths is not None and len(paths) == 1:
            only = folder.absolute(next(iter(paths)))
            query = query.where(
                (DagModel.fileloc == only) | DagModel.fileloc.startswith(only + "/", autoescape=True)
            )
        with reading() as session:
            dags = _known(session.execute(query))
        wanted = None if paths is None else set(paths)
        return [dag for dag in dags if dag.path is not None and (wanted is None or dag.path in wanted)]

    def broken_files(self) -> set[str]:
        with reading() as session:
            filelocs = list(session.scalars(select(ParseImportError.filename)))
        return {path for fileloc in filelocs if (path := folder.file_of(fileloc)) is not None}

    def listing(self) -> list[ListedDag]:
        columns = (*_COLUMNS[:3], DagModel.owners, DagModel.last_parsed_time)
        query = select(*columns).where(DagModel.is_active, ~DagModel.is_subdag).order_by(DagModel.dag_id)
        with reading() as session:
            rows = list(session.execute(query))
        found = []
        for dag_id, fileloc, paused, owners, parsed_at in rows:
            path = folder.file_of(fileloc)
            bundle = None if path is None else folder.BUNDLE_NAME
            found.append(ListedDag(dag_id, path, bundle, bool(paused), split_owners(owners), parsed_at, None))
        return found

    def import_errors(self) -> list[RecordedError]:
        query = select(ParseImportError.filename, ParseImportError.stacktrace)
        with reading() as session:
            rows = list(session.execute(query.order_by(ParseImportError.filename)))
        return [
            RecordedError(path, folder.BUNDLE_NAME, traceback or "")
            for filename, traceback in rows
            if (path := folder.file_of(filename)) is not None
        ]


def _known(rows: Iterable[Any]) -> list[KnownDag]:
    dags = []
    for dag_id, fileloc, paused, active in rows:
        path = folder.file_of(fileloc)
        dags.append(
            KnownDag(
                dag_id=dag_id,
                path=path,
                bundle=None if path is None else folder.BUNDLE_NAME,
                paused=bool(paused),
                stale=not active,
            )
        )
    return dags
