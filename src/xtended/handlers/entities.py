"""Airflow's Variables, Connections and Pools."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from xtended import entities
from xtended.airflow_host.entities import NewConnection, Pool, Resource
from xtended.api import Call, Upload
from xtended.problems import BadRequest, NotFound


def list_variables(call: Call) -> Mapping[str, Any]:
    found = entities.variables(call)
    return {
        "status": "success",
        "message": "\n".join(each.key for each in found),
        "variables": [asdict(each) for each in found],
    }


def get_variable(
    call: Call, key: str, default: str | None = None, *, deserialize: bool = False
) -> Mapping[str, Any]:
    try:
        found = asdict(entities.variable(call, key))
    except NotFound:
        if default is None:
            raise
        found = {"key": key, "value": default, "masked": False, "description": None}
    value = found["value"]
    answer = {"status": "success", "message": "" if value is None else value, **found}
    if deserialize:
        answer["data"] = _json(key, value)
    return answer


def _json(key: str, value: str | None) -> Any:
    try:
        return None if value is None else json.loads(value)
    except ValueError:
        raise BadRequest(f"The value of variable {key!r} is no JSON.") from None


def create_variable(call: Call, key: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    return _put_variable(call, key, body, only_new=True)


def set_variable(call: Call, key: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    return _put_variable(call, key, body, only_new=False)


def _put_variable(call: Call, key: str, body: Mapping[str, Any], *, only_new: bool) -> Mapping[str, Any]:
    new = entities.set_variable(call, key, body["value"], body.get("description"), only_new=only_new)
    return _done("Variable", key, new)


def change_variable(call: Call, key: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    return _change(call, "variables", key, body)


def delete_variable(call: Call, key: str) -> Mapping[str, Any]:
    return _delete(call, "variables", key)


def export_variables(call: Call) -> Mapping[str, Any]:
    found = entities.variables(call)
    seen = {each.key: each.value for each in found if not each.masked}
    return {
        "status": "success",
        "message": f"{len(seen)} of {len(found)} variable(s) exported",
        "variables": seen,
        "left_out": [each.key for each in found if each.masked],
    }


def import_variables(
    call: Call, body: Mapping[str, Any] | None = None, file: Upload | None = None
) -> Mapping[str, Any]:
    text = (body or {}).get("variables")
    if (file is None) is (text is None):
        raise BadRequest("Send either file or variables.")
    content = file.stream.read() if file is not None else str(text).encode()
    keys = entities.import_variables(call, content)
    return {"status": "success", "message": f"{len(keys)} variable(s) imported", "keys": keys}


def list_connections(call: Call) -> Mapping[str, Any]:
    found = entities.connections(call)
    return {
        "status": "success",
        "message": "\n".join(each.conn_id for each in found),
        "connections": [asdict(each) for each in found],
    }


def get_connection(call: Call, conn_id: str) -> Mapping[str, Any]:
    return {"status": "success", "message": conn_id, **asdict(entities.connection(call, conn_id))}


def create_connection(call: Call, conn_id: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    return _put_connection(call, conn_id, body, only_new=True)


def set_connection(call: Call, conn_id: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    return _put_connection(call, conn_id, body, only_new=False)


def _put_connection(
    call: Call, conn_id: str, body: Mapping[str, Any], *, only_new: bool
) -> Mapping[str, Any]:
    new = entities.set_connection(call, NewConnection(conn_id, **body), only_new=only_new)
    return _done("Connection", conn_id, new)


def change_connection(call: Call, conn_id: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    return _change(call, "connections", conn_id, body)


def delete_connection(call: Call, conn_id: str) -> Mapping[str, Any]:
    return _delete(call, "connections", conn_id)


def list_pools(call: Call) -> Mapping[str, Any]:
    found = entities.pools(call)
    return {
        "status": "success",
        "message": "\n".join(each.name for each in found),
        "pools": [asdict(each) for each in found],
    }


def get_pool(call: Call, name: str) -> Mapping[str, Any]:
    return {"status": "success", "message": name, **asdict(entities.pool(call, name))}


def create_pool(call: Call, name: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    return _done("Pool", name, entities.set_pool(call, _pool(name, body), only_new=True))


def set_pool(call: Call, name: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    return _done("Pool", name, entities.set_pool(call, _pool(name, body), only_new=False))


def _pool(name: str, body: Mapping[str, Any]) -> Pool:
    return Pool(name, body["slots"], body.get("description"), body.get("include_deferred", False))


def change_pool(call: Call, name: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    return _change(call, "pools", name, body)


def delete_pool(call: Call, name: str) -> Mapping[str, Any]:
    return _delete(call, "pools", name)


def _done(kind: str, name: str, new: bool) -> Mapping[str, Any]:
    verb = "created" if new else "updated"
    return {"status": "success", "message": f"{kind} {name!r} has been {verb}", "created": new}


def _change(call: Call, resource: Resource, name: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    entities.change(call, resource, name, body)
    return _done(resource[:-1].capitalize(), name, False)


def _delete(call: Call, resource: Resource, name: str) -> Mapping[str, Any]:
    entities.delete(call, resource, name)
    return {"status": "success", "message": f"{resource[:-1].capitalize()} {name!r} has been deleted"}
