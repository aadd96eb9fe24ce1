"""Variables, Connections and Pools in Airflow's database; both hosts keep them alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from airflow.models import Connection as ConnectionRow
from airflow.models import Pool as PoolRow
from airflow.models import Variable as VariableRow
from sqlalchemy import select
from sqlalchemy.orm import Session

from xtended.airflow_host.base import AuditEntry
from xtended.airflow_host.entities import Connection, EntityChanges, NewConnection, Pool, Resource, Variable
from xtended.airflow_host.identity import User
from xtended.airflow_host.records import write_audit
from xtended.problems import BadRequest, Conflict, NotFound

Redact = Callable[[Any, str | None], Any]
"""Airflow's own: what is to be shown of a value under this name."""
_KEYS: dict[Resource, tuple[Any, Any]] = {
    "variables": (VariableRow, VariableRow.key),
    "connections": (ConnectionRow, ConnectionRow.conn_id),
    "pools": (PoolRow, PoolRow.pool),
}


# What Airflow encrypts.
_SETTERS = {"value": "set_val", "password": "set_password", "extra": "set_extra"}


class DatabaseEntities:
    """`entities.Entities` on sessions that the host opens."""

    def __init__(
        self,
        reading: Callable[[], AbstractContextManager[Session]],
        writing: Callable[[], AbstractContextManager[Session]],
        redact: Redact,
    ) -> None:
        self._reading = reading
        self._writing = writing
        self._redact = redact

    def variables(self, key: str | None = None) -> Sequence[Variable]:
        with self._reading() as session:
            return [self._variable(row) for row in _rows(session, "variables", key)]

    def connections(self, conn_id: str | None = None) -> Sequence[Connection]:
        with self._reading() as session:
            return [self._connection(row) for row in _rows(session, "connections", conn_id)]

    def pools(self, name: str | None = None) -> Sequence[Pool]:
        with self._reading() as session:
            return [
                Pool(row.pool, row.slots, row.description, bool(row.include_deferred))
                for row in _rows(session, "pools", name)
            ]

    @contextmanager
    def change(self) -> Iterator[EntityChanges]:
        with self._writing() as session:
            yield _Changes(session)

    def _variable(self, row: Any) -> Variable:
        value = row.val
        if value is None:
            return Variable(row.key, None, False, row.description)
        try:
            parsed = json.loads(value)
        except ValueError:
            parsed = value
        redacted = self._redact(parsed, row.key)
        if redacted == parsed:
            return Variable(row.key, value, False, row.description)
        shown = redacted if isinstance(redacted, str) else json.dumps(redacted)
        return Variable(row.key, shown, True, row.description)

    def _connection(self, row: Any) -> Connection:
        extra = row.extra
        if extra:
            try:
                extra = json.dumps(self._redact(json.loads(extra), None))
            except ValueError:
                # Airflow takes JSON alone now; what an older one left may be a secret as it stands.
                extra = str(self._redact(extra, "password"))
        return Connection(
            row.conn_id,
            row.conn_type,
            row.description,
            row.host,
            row.login,
            str(self._redact(row.password, "password")) if row.password else None,
            row.schema,
            row.port,
            extra or None,
        )


def _rows(session: Session, resource: Resource, name: str | None) -> Sequence[Any]:
    model, key = _KEYS[resource]
    query = select(model).order_by(key)
    return list(session.scalars(query if name is None else query.where(key == name)))


class _Changes:
    def __init__(self, session: Session) -> None:
        self._session = session

    def has(self, resource: Resource, name: str) -> bool:
        return bool(_rows(self._session, resource, name))

    def put_variable(self, key: str, value: str, description: str | None) -> None:
        for row in _rows(self._session, "variables", key):
            row.set_val(value)
            if description is not None:
                row.description = description
            return
        self._session.add(VariableRow(key=key, val=value, description=description))

    def put_connection(self, wanted: NewConnection) -> None:
        row = _connection_row(wanted)
        for known in _rows(self._session, "connections", wanted.conn_id):
            for name in ("conn_type", "description", "host", "login", "schema", "port"):
                setattr(known, name, getattr(row, name))
            # Its own setter leaves the one that is there where there is to be none.
            known._password = None
            known.set_password(row.password)
            known.set_extra(row.extra)
            return
        self._session.add(row)

    def put_pool(self, wanted: Pool) -> None:
        for row in _rows(self._session, "pools", wanted.name):
            row.slots = wanted.slots
            row.description = wanted.description
            row.include_deferred = wanted.include_deferred
            return
        self._session.add(
            PoolRow(
                pool=wanted.name,
                slots=wanted.slots,
                description=wanted.description,
                include_deferred=wanted.include_deferred,
            )
        )

    def patch(self, resource: Resource, name: str, parts: Mapping[str, Any]) -> None:
        rows = _rows(self._session, resource, name)
        if not rows:
            raise NotFound(f"There is no {resource[:-1]} {name!r}.")
        for part, value in parts.items():
            if part == "password":
                # Its own setter leaves the one that is there where there is to be none.
                rows[0]._password = None
            if part in _SETTERS:
                getattr(rows[0], _SETTERS[part])(value)
            else:
                setattr(rows[0], part, value)

    def delete(self, resource: Resource, name: str) -> None:
        if resource == "pools" and name == PoolRow.DEFAULT_POOL_NAME:
            raise Conflict(f"{name!r} is the pool that every task is in by default; it can't be deleted.")
        rows = _rows(self._session, resource, name)
        if not rows:
            raise NotFound(f"There is no {resource[:-1]} {name!r}.")
        for row in rows:
            self._session.delete(row)

    def audit(self, event: str, user_name: str, details: dict[str, object]) -> None:
        write_audit(self._session, AuditEntry(event, User(user_name, None), (), details))


def _connection_row(wanted: NewConnection) -> Any:
    """Raises BadRequest; it never repeats what was sent, which may be a secret."""
    refusal = BadRequest("The URI can't be read, or what it says makes no connection.")
    try:
        row = _unchecked_row(wanted)
    except Exception:  # noqa: BLE001 - Airflow raises several kinds, with the URI in their words
        raise refusal from None
    if not row.conn_type:
        raise refusal
    return row


def _unchecked_row(wanted: NewConnection) -> Any:
    if wanted.uri is not None:
        row: Any = ConnectionRow(conn_id=wanted.conn_id, uri=wanted.uri, description=wanted.description)
        if wanted.extra is not None:
            row.set_extra(wanted.extra)
        return row
    return ConnectionRow(
        conn_id=wanted.conn_id,
        conn_type=wanted.conn_type,
        description=wanted.description,
        host=wanted.host,
        login=wanted.login,
        password=wanted.password,
        schema=wanted.schema,
        port=wanted.port,
        extra=wanted.extra,
    )
