"""Airflow connections, from whichever secrets backend has them."""

from __future__ import annotations

from airflow.exceptions import AirflowException, AirflowNotFoundException
from airflow.models.connection import Connection as AirflowConnection

from xtended.airflow_host.base import Connection
from xtended.problems import BadRequest, NotFound


def find_connection(conn_id: str) -> Connection:
    """Raises NotFound, and BadRequest where Airflow can't read it."""
    try:
        found = AirflowConnection.get_connection_from_secrets(conn_id)
        return Connection(
            conn_id=conn_id,
            conn_type=found.conn_type or "",
            host=found.host or None,
            port=found.port,
            login=found.login or None,
            password=found.password or None,
            schema=found.schema or None,
            extra=found.extra_dejson,
        )
    except AirflowNotFoundException:
        raise NotFound(f"There is no Airflow connection {conn_id!r}.") from None
    except (AirflowException, ValueError, TypeError):
        # What they say can hold parts of the connection.
        raise BadRequest(f"Airflow can't read its connection {conn_id!r}.") from None
