"""Sources of syncs that are kept under a name, each as an Airflow connection that holds all of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xtended.airflow_host.base import AuditEntry, Connection
from xtended.airflow_host.identity import Method
from xtended.api import Call
from xtended.origins import KINDS
from xtended.problems import BadRequest, Forbidden, NotFound

_PREFIX = "xtended_sync_"
_KEY = "xtended_sync"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
_CONN_TYPES = {"s3": "aws", "mongo": "mongo"}
_SECRETS = frozenset({"s3_secret_key", "s3_session_token", "connection_string"})
_MASK = "***"


@dataclass(frozen=True)
class SavedSource:
    """`fields` are those of `s3_sync` or `mongo_sync`, secrets included."""

    name: str
    kind: str
    fields: Mapping[str, Any] = field(repr=False)

    def public(self) -> dict[str, Any]:
        """The SyncSource of the spec: secrets are masked."""
        shown = {key: _MASK if key in _SECRETS else value for key, value in sorted(self.fields.items())}
        return {"name": self.name, "kind": self.kind, "connection": _PREFIX + self.name, "fields": shown}


def add(call: Call, name: str, kind: str, fields: Mapping[str, Any]) -> SavedSource:
    """Raises BadRequest, Forbidden (connections), Conflict (the name is taken), and what the source raises."""
    if not _NAME.fullmatch(name):
        raise BadRequest("A source's name has 1 to 100 letters, digits, - or _.")
    _may_connect(call, "POST")
    source = SavedSource(name, kind, {key: value for key, value in fields.items() if value != ""})
    _keep(call, source, replace=False)
    return source


def update(call: Call, name: str, fields: Mapping[str, Any]) -> SavedSource:
    """Sets the fields that are given, and forgets those that are given empty. Raises as `add`, and NotFound."""
    _may_connect(call, "PUT")
    old = get(call, name)
    merged = {key: value for key, value in {**old.fields, **fields}.items() if value != ""}
    source = SavedSource(name, old.kind, merged)
    _keep(call, source, replace=True)
    return source


def remove(call: Call, name: str) -> SavedSource:
    """Raises NotFound, Forbidden."""
    _may_connect(call, "DELETE")
    source = get(call, name)
    call.services.host.connections.remove(_PREFIX + name)
    _audit(call, "xtended.delete_sync_source", source)
    return source


def get(call: Call, name: str) -> SavedSource:
    """Raises NotFound."""
    found = [source for source in every(call) if source.name == name]
    if not found:
        raise NotFound(f"There is no sync source {name[:100]!r}.")
    return found[0]


def every(call: Call) -> list[SavedSource]:
    """All of them, by name."""
    found = (_read(connection) for connection in call.services.host.connections.kept(_PREFIX))
    return [source for source in found if source is not None]


def _keep(call: Call, source: SavedSource, *, replace: bool) -> None:
    unknown = sorted(source.fields.keys() - KINDS[source.kind].fields)
    if unknown:
        raise BadRequest(f"A source of kind {source.kind} has no {', '.join(unknown)}.")
    missing = sorted(KINDS[source.kind].required - source.fields.keys())
    if missing:
        raise BadRequest(f"A source of kind {source.kind} needs {', '.join(missing)}.")
    # What can be known to be wrong without asking the source is said now.
    with KINDS[source.kind].open(call.services, source.fields):
        pass
    call.services.host.connections.keep(_write(source), replace=replace)
    _audit(call, "xtended.save_sync_source", source)


def _write(source: SavedSource) -> Connection:
    fields = dict(source.fields)
    login = fields.pop("s3_access_key", None)
    password = fields.pop("s3_secret_key", None) or fields.pop("connection_string", None)
    token = fields.pop("s3_session_token", None)
    extra: dict[str, Any] = {_KEY: {"kind": source.kind, "fields": fields}}
    if token is not None:
        extra["aws_session_token"] = token
    return Connection(
        conn_id=_PREFIX + source.name,
        conn_type=_CONN_TYPES[source.kind],
        login=login,
        password=password,
        extra=extra,
        description="A source that the DAG folder is synced from; change it with sync_sources.",
    )


def _read(connection: Connection) -> SavedSource | None:
    kept = connection.extra.get(_KEY)
    if not isinstance(kept, dict) or kept.get("kind") not in KINDS:
        return None
    secret = "s3_secret_key" if kept["kind"] == "s3" else "connection_string"
    found = {
        **kept.get("fields", {}),
        "s3_access_key": connection.login,
        secret: connection.password,
        "s3_session_token": connection.extra.get("aws_session_token"),
    }
    fields = {key: value for key, value in found.items() if value is not None}
    return SavedSource(connection.conn_id.removeprefix(_PREFIX), kept["kind"], fields)


def _may_connect(call: Call, method: Method) -> None:
    if not call.services.host.identity.may_use(call.user, method, "connections", None):
        raise Forbidden(f"You lack the right to {method} connections of Airflow.", missing_right=method)


def _audit(call: Call, event: str, source: SavedSource) -> None:
    with call.services.host.transaction() as transaction:
        details = {"name": source.name, "kind": source.kind}
        transaction.audit(AuditEntry(event, call.user, (), details))
