"""Requests to the operations of the spec, made in process and for a user who has proved who they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from xtended.airflow_host.identity import User
from xtended.api import Upload
from xtended.contract import METHODS
from xtended.problems import BadRequest
from xtended.relaying import Reply


@dataclass(frozen=True)
class Request:
    """One request to an operation; `path` is relative to the API's own root."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] | None = None
    files: Mapping[str, Upload] = field(default_factory=dict)
    json: Any = None


Send = Callable[[Request, User], Reply]


@dataclass(frozen=True)
class _Place:
    """Where an operation takes its arguments."""

    method: str
    path: str
    in_path: frozenset[str]
    in_query: frozenset[str]
    media_type: str | None


class SpecRelay:
    """A `Relay` that puts each argument where the spec has it."""

    def __init__(self, spec: Mapping[str, Any], send: Send) -> None:
        self._places = _places(spec)
        self._send = send

    def __call__(self, operation_id: str, arguments: Mapping[str, Any], user: User) -> Reply:
        return self._send(self._request(operation_id, arguments), user)

    def _request(self, operation_id: str, arguments: Mapping[str, Any]) -> Request:
        place = self._places[operation_id]
        path = place.path
        for name in sorted(place.in_path):
            if name not in arguments:
                raise BadRequest(f"{name!r} is missing.")
            path = path.replace("{" + name + "}", quote(str(arguments[name]), safe=""))
        query = {name: value for name, value in arguments.items() if name in place.in_query}
        rest = {
            name: value for name, value in arguments.items() if name not in place.in_path | place.in_query
        }
        if place.media_type is None:
            # What it does not know is refused by the operation, not dropped here.
            return Request(place.method, path, {**query, **rest})
        if place.media_type == "application/json":
            return Request(place.method, path, query, json=rest)
        files = {name: value for name, value in rest.items() if isinstance(value, Upload)}
        form = {name: value for name, value in rest.items() if name not in files}
        return Request(place.method, path, query, form, files)


def _places(spec: Mapping[str, Any]) -> dict[str, _Place]:
    found = {}
    for path, item in spec["paths"].items():
        for method in METHODS:
            if method not in item:
                continue
            declared = item[method]
            parameters = [
                resolved(spec, each)
                for each in (*item.get("parameters", ()), *declared.get("parameters", ()))
            ]
            media_types = list(resolved(spec, declared.get("requestBody", {})).get("content", ()))
            found[declared["operationId"]] = _Place(
                method.upper(),
                path,
                frozenset(each["name"] for each in parameters if each["in"] == "path"),
                frozenset(each["name"] for each in parameters if each["in"] == "query"),
                media_types[0] if media_types else None,
            )
    return found


def resolved(spec: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in part:
        return part
    found: Any = spec
    for step in part["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return resolved(spec, found)
