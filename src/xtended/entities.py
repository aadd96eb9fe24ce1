"""Read and change Variables, Connections and Pools, each by Airflow's own right on it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from xtended.access import require_named
from xtended.airflow_host.entities import Connection, NewConnection, Pool, Resource, Variable
from xtended.api import Call
from xtended.problems import BadRequest, Conflict, NotFound

# Airflow 2 takes no letters but those of ASCII.
_CONN_ID = re.compile(r"[\w#!()\-.:/\\]+", re.ASCII)
MAX_NAME = 250
T = TypeVar("T")


def variables(call: Call) -> list[Variable]:
    """Those that the caller may read."""
    found = call.services.host.entities.variables()
    return [each for each in found if _readable(call, "variables", each.key)]


def variable(call: Call, key: str) -> Variable:
    """Raises NotFound, Forbidden."""
    require_named(call.services.host.identity, call.user, "GET", "variables", key)
    return _only(call.services.host.entities.variables(key), "variable", key)


def set_variable(call: Call, key: str, value: str, description: str | None, *, only_new: bool) -> bool:
    """Answers whether it is new. Raises Conflict where it may be `only_new` and is not."""
    _check_name(key)
    with call.services.host.entities.change() as changes:
        new = _may_put(call, not changes.has("variables", key), "variables", key, only_new=only_new)
        changes.put_variable(key, value, description)
        changes.audit("xtended.set_variable", call.user.name, {"key": key})
    return new


def import_variables(call: Call, content: bytes) -> list[str]:
    """Set all of them or none, from a JSON object of values by key. Answers the keys."""
    try:
        values = json.loads(content)
    except ValueError as error:
        raise BadRequest(f"The variables are no JSON: {error}") from None
    if not isinstance(values, dict):
        raise BadRequest("The variables are no JSON object of values by key.")
    with call.services.host.entities.change() as changes:
        for key, value in values.items():
            _check_name(key)
            _may_put(call, not changes.has("variables", key), "variables", key, only_new=False)
            changes.put_variable(key, value if isinstance(value, str) else json.dumps(value), None)
        changes.audit("xtended.import_variables", call.user.name, {"keys": sorted(values)})
    return sorted(values)


def connections(call: Call) -> list[Connection]:
    found = call.services.host.entities.connections()
    return [each for each in found if _readable(call, "connections", each.conn_id)]


def connection(call: Call, conn_id: str) -> Connection:
    require_named(call.services.host.identity, call.user, "GET", "connections", conn_id)
    return _only(call.services.host.entities.connections(conn_id), "connection", conn_id)


def set_connection(call: Call, wanted: NewConnection, *, only_new: bool) -> bool:
    """Answers whether it is new. Raises Conflict where it may be `only_new` and is not."""
    _check_name(wanted.conn_id)
    if not _CONN_ID.fullmatch(wanted.conn_id):
        raise BadRequest(f"{wanted.conn_id!r} can't be the id of a connection.")
    parts = {name for name, value in asdict(wanted).items() if value is not None}
    if (wanted.uri is None) is (wanted.conn_type is None):
        raise BadRequest("Give either uri, or conn_type and the other parts.")
    if wanted.uri is not None and parts & {"host", "login", "password", "schema", "port"}:
        raise BadRequest(
            "uri has all parts of a connection: give nothing beside it but extra and description."
        )
    if wanted.extra:
        _check_extra(wanted.extra)
    with call.services.host.entities.change() as changes:
        is_new = not changes.has("connections", wanted.conn_id)
        new = _may_put(call, is_new, "connections", wanted.conn_id, only_new=only_new)
        changes.put_connection(wanted)
        changes.audit("xtended.set_connection", call.user.name, {"conn_id": wanted.conn_id})
    return new


def pools(call: Call) -> list[Pool]:
    found = call.services.host.entities.pools()
    return [each for each in found if _readable(call, "pools", each.name)]


def pool(call: Call, name: str) -> Pool:
    require_named(call.services.host.identity, call.user, "GET", "pools", name)
    return _only(call.services.host.entities.pools(name), "pool", name)


def set_pool(call: Call, wanted: Pool, *, only_new: bool) -> bool:
    """Answers whether it is new. Raises Conflict where it may be `only_new` and is not."""
    _check_name(wanted.name)
    with call.services.host.entities.change() as changes:
        new = _may_put(call, not changes.has("pools", wanted.name), "pools", wanted.name, only_new=only_new)
        changes.put_pool(wanted)
        changes.audit("xtended.set_pool", call.user.name, {"name": wanted.name, "slots": wanted.slots})
    return new


def change(call: Call, resource: Resource, name: str, parts: Mapping[str, Any]) -> None:
    """Change these parts of what is there and leave the others; a text that is empty takes its part away.

    Raises NotFound, Forbidden, BadRequest.
    """
    require_named(call.services.host.identity, call.user, "PUT", resource, name)
    if not parts:
        raise BadRequest("Give at least one part to change.")
    if parts.get("extra"):
        _check_extra(parts["extra"])
    # Of a Variable an empty value is one, too.
    wanted = {part: None if value == "" and part != "value" else value for part, value in parts.items()}
    with call.services.host.entities.change() as changes:
        changes.patch(resource, name, wanted)
        changes.audit(
            f"xtended.change_{resource[:-1]}", call.user.name, {"name": name, "parts": sorted(parts)}
        )


def delete(call: Call, resource: Resource, name: str) -> None:
    require_named(call.services.host.identity, call.user, "DELETE", resource, name)
    with call.services.host.entities.change() as changes:
        changes.delete(resource, name)
        changes.audit(f"xtended.delete_{resource[:-1]}", call.user.name, {"name": name})


def _may_put(call: Call, new: bool, resource: Resource, name: str, *, only_new: bool) -> bool:
    require_named(call.services.host.identity, call.user, "POST" if new else "PUT", resource, name)
    if only_new and not new:
        raise Conflict(f"There is a {resource[:-1]} {name!r} already.")
    return new


def _readable(call: Call, resource: Resource, name: str) -> bool:
    return call.services.host.identity.may_use(call.user, "GET", resource, name)


def _only(found: Sequence[T], kind: str, name: str) -> T:
    if not found:
        raise NotFound(f"There is no {kind} {name!r}.")
    return found[0]


def _check_name(name: str) -> None:
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise BadRequest(f"{name[:MAX_NAME]!r} is no name of 1 to {MAX_NAME} printable characters.")


def _check_extra(extra: str) -> Mapping[str, Any]:
    try:
        parsed = json.loads(extra)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise BadRequest("extra is not a JSON object.")
    return parsed
