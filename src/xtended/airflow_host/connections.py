"""Airflow connections: from whichever secrets backend has them, and those that this extension keeps."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from airflow.exceptions import AirflowException, AirflowNotFoundException
from airflow.models.connection import Connection as AirflowConnection
from airflow.utils.session import create_session
from sqlalchemy import delete, select

from xtended.airflow_host.base import Connection
from xtended.airflow_host.records import refusals_as_problems
from xtended.problems import BadRequest, Conflict, NotFound

Result = TypeVar("Result")


class AirflowConnections:
    """`base.Connections` for both hosts."""

    def find(self, conn_id: str) -> Connection:
        return _apart(lambda: _find(conn_id))

    def kept(self, prefix: str) -> list[Connection]:
        def read() -> list[Connection]:
            with refusals_as_problems(), create_session() as session:
                chosen = AirflowConnection.conn_id.startswith(prefix, autoescape=True)
                query = select(AirflowConnection).where(chosen).order_by(AirflowConnection.conn_id)
                return [_neutral(found) for found in session.scalars(query)]

        return _apart(read)

    def keep(self, connection: Connection, *, replace: bool) -> None:
        def write() -> None:
            with refusals_as_problems(), create_session() as session:
                chosen = AirflowConnection.conn_id == connection.conn_id
                row = session.scalar(select(AirflowConnection).where(chosen))
                if row is not None and not replace:
                    raise Conflict(f"There is an Airflow connection {connection.conn_id!r} already.")
                if row is None:
                    row = AirflowConnection(conn_id=connection.conn_id)
                    session.add(row)
                row.conn_type = connection.conn_type
                row.description = connection.description
                row.login = connection.login
                row.set_password(connection.password)
                row.set_extra(json.dumps(dict(connection.extra)))

        _apart(write)

    def remove(self, conn_id: str) -> None:
        def write() -> None:
            with refusals_as_problems(), create_session() as session:
                session.execute(delete(AirflowConnection).where(AirflowConnection.conn_id == conn_id))

        _apart(write)


def _apart(work: Callable[[], Result]) -> Result:
    """Done in a thread of its own: Airflow 2 keeps one database session a thread, and ends it after each use of
    its own, with the caller's user in it."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()


def _find(conn_id: str) -> Connection:
    try:
        return _neutral(AirflowConnection.get_connection_from_secrets(conn_id))
    except AirflowNotFoundException:
        raise NotFound(f"There is no Airflow connection {conn_id!r}.") from None
    except (AirflowException, ValueError, TypeError):
        # What they say can hold parts of the connection.
        raise BadRequest(f"Airflow can't read its connection {conn_id!r}.") from None


def _neutral(found: AirflowConnection) -> Connection:
    return Connection(
        conn_id=str(found.conn_id),
        conn_type=found.conn_type or "",
        host=found.host or None,
        port=found.port,
        login=found.login or None,
        password=found.password or None,
        schema=found.schema or None,
        extra=found.extra_dejson,
    )
