"""Spec + resolver -> callables for Connexion; all that both Connexion versions share."""

from __future__ import annotations

import copy
import functools
import hashlib
import importlib
import importlib.resources
import json
import logging
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from xtended.access import UNGUARDED, Rule, RuleError, missing_credentials
from xtended.airflow_host.identity import User
from xtended.problems import MEDIA_TYPE, BadRequest, Problem, problem_body
from xtended.progress import Watch, unwatched
from xtended.services import Services
from xtended.settings import parse_boolean

log = logging.getLogger(__name__)

PREFIX = "/api/v1/xtended"
# The day on which the GET forms were marked deprecated: 2026-11-24, in the form of RFC 9745.
DEPRECATED_SINCE = "@1795478400"
# libyaml reads the spec in a tenth of the time, which is time added to the start of Airflow.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
METHODS = ("get", "post", "put", "patch", "delete")
_PIECE_BYTES = 1024 * 1024
_PARAMETER = re.compile(r"\{[^}]+\}")
LINES = "application/x-ndjson"
# Airflow 3's web server compresses what has no encoding yet, and keeps lines back until there are many.
_LINES_HEADERS = {"Content-Type": LINES, "Cache-Control": "no-store", "Content-Encoding": "identity"}


@dataclass(frozen=True)
class Lines:
    """A body that is sent as it comes: one JSON object a line.

    None is sent as an empty line, which says nothing, but fails where nobody listens any more.
    """

    objects: Iterator[Mapping[str, Any] | None]

    def encoded(self) -> Generator[bytes, None, None]:
        for line in self.objects:
            yield b"\n" if line is None else json.dumps(line).encode() + b"\n"


@dataclass(frozen=True)
class Accepted:
    """What is said of a request that goes on after its answer; `path` is where to ask for it."""

    body: Mapping[str, Any]
    path: str


Answer = tuple[Mapping[str, Any] | Lines, int, dict[str, str]]


class SpecError(ValueError):
    """The spec can't be served as it is."""


@dataclass(frozen=True)
class Upload:
    """A file of a multipart request. `stream` is open until the handler returns."""

    filename: str
    stream: BinaryIO

    def digest(self) -> str:
        """The SHA-256 of its bytes, in hex; leaves the stream at its beginning."""
        found = hashlib.sha256()
        self.stream.seek(0)
        while piece := self.stream.read(_PIECE_BYTES):
            found.update(piece)
        self.stream.seek(0)
        return found.hexdigest()


@dataclass(frozen=True)
class Call:
    """One request on its way to a handler: who calls, by which rule, with what to work with."""

    user: User
    rule: Rule
    services: Services
    if_match: str | None = None
    """The revision that the DAG folder must be at for the request to be done."""
    request_key: str | None = None
    """Its Idempotency-Key; in its place, once that is claimed, what ties a revision to the request."""
    wants_lines: bool = False
    """Whether it asks to be told how far it is, line by line."""
    watch: Watch = unwatched


@dataclass(frozen=True)
class Visitor:
    """A request of somebody who has not said yet who they are; `address` is where it comes from."""

    services: Services
    address: str


@dataclass(frozen=True)
class Envelope:
    """What a request says beside its arguments: each header by its name, and the address it comes from."""

    header: Callable[[str], str | None]
    address: Callable[[], str]


@dataclass(frozen=True)
class Operation:
    """One operation of the spec."""

    id: str
    path: str
    method: str
    rule: Rule
    handler: Callable[..., Mapping[str, Any] | Lines | Accepted]
    successor: str | None
    files: frozenset[str] = frozenset()
    """Fields of its form that are files."""

    def __call__(
        self,
        services: Services,
        user: User | None,
        arguments: Mapping[str, Any],
        envelope: Envelope,
    ) -> Answer:
        """Run the handler; a Problem that it raises becomes the answer."""
        headers = self.headers()
        try:
            self._refuse_text_for_files(arguments.get("body"))
            if self.rule.scope == "open":
                result = self.handler(services, **arguments)
            elif self.rule.scope == "login":
                result = self.handler(Visitor(services, envelope.address()), **arguments)
            elif user is None:
                raise missing_credentials()
            else:
                call = Call(
                    user,
                    self.rule,
                    services,
                    if_match=_etag(envelope.header("If-Match")),
                    request_key=envelope.header("Idempotency-Key") or None,
                    wants_lines=LINES in (envelope.header("Accept") or ""),
                )
                result = self.handler(call, **arguments)
        except Problem as problem:
            return problem_answer(problem, headers)
        except Exception as error:
            # The last line of defence: log it, and tell the client nothing.
            log.exception("Operation %s failed", self.id)
            return failure(services, error, headers)
        if isinstance(result, Lines):
            return result, 200, {**headers, **_LINES_HEADERS}
        if isinstance(result, Accepted):
            place = {"Location": f"{PREFIX}{result.path}", "Content-Type": "application/json"}
            return result.body, 202, {**headers, **place}
        return result, 200, {**headers, "Content-Type": "application/json"}

    def _refuse_text_for_files(self, form: Any) -> None:
        # To the schema a file is a string like any other, so Connexion takes a text field for it.
        for name in sorted(self.files.intersection(form or ())):
            raise BadRequest(f"{name} must be sent as a file, with a file name.")

    def headers(self) -> dict[str, str]:
        """What a deprecated form announces, on every answer."""
        if self.successor is None:
            return {}
        link = f'<{PREFIX}{self.successor}>; rel="successor-version"'
        return {"Deprecation": DEPRECATED_SINCE, "Link": link}


def _etag(header: str | None) -> str | None:
    """The revision that an If-Match names; None where any will do. Quotes may be left out."""
    tag = (header or "").strip().strip('"')
    return None if tag in ("", "*") else tag


def problem_answer(problem: Problem, headers: Mapping[str, str]) -> Answer:
    return problem.body(), problem.status, {**headers, **problem.headers, "Content-Type": problem.media_type}


def failure(services: Services, error: Exception, headers: Mapping[str, str]) -> Answer:
    """The answer to an exception that is no Problem."""
    problem = services.host.problem_of(error)
    return internal_error(headers) if problem is None else problem_answer(problem, headers)


def internal_error(headers: Mapping[str, str]) -> Answer:
    body = problem_body(500, Problem.kind, Problem.title, "The server failed; its log says more.")
    return body, 500, {**headers, "Content-Type": MEDIA_TYPE}


def load_spec() -> dict[str, Any]:
    """The contract: from the wheel, or from the checkout that an editable install points at. Yours to change."""
    return copy.deepcopy(_written_spec())


@functools.cache
def _written_spec() -> dict[str, Any]:
    # Reading it takes ten times as long as copying it, and each part of a mount wants one.
    shipped = importlib.resources.files("xtended") / "openapi" / "xtended.yaml"
    checkout = Path(__file__).parents[2] / "openapi" / "xtended.yaml"
    text = (shipped if shipped.is_file() else checkout).read_text(encoding="utf-8")
    spec = yaml.load(text, Loader=_Loader)  # noqa: S506 - both are safe loaders
    if not isinstance(spec, dict):
        raise SpecError("the spec is not a mapping")
    return spec


def read_operations(spec: Mapping[str, Any]) -> dict[str, Operation]:
    """Every operation by its id. Raises SpecError, naming each operation that can't be served safely."""
    found: dict[str, Operation] = {}
    wrong: list[str] = []
    for path, item in spec["paths"].items():
        for method in METHODS:
            if method not in item:
                continue
            declared = item[method]
            where = f"{method.upper()} {path}"
            operation_id = declared.get("operationId")
            if not operation_id or operation_id in found:
                # Connexion lets one of two operations with the same id take the other's security, silently.
                wrong.append(f"{where}: operationId {operation_id!r} is missing or used twice")
                continue
            try:
                rule = Rule.read(declared.get("x-airflow-access"))
                handler = _handler(declared.get("x-openapi-router-controller"), operation_id)
            except (RuleError, SpecError) as error:
                wrong.append(f"{where}: {error}")
                continue
            security = declared.get("security", spec.get("security", []))
            if bool(security) is (rule.scope in UNGUARDED):
                wrong.append(f"{where}: security and x-airflow-access disagree on whether it is open")
            if declared.get("deprecated") and not declared.get("x-successor"):
                wrong.append(f"{where}: deprecated without x-successor")
            found[operation_id] = Operation(
                operation_id, path, method, rule, handler, declared.get("x-successor"), _files(declared)
            )
    if wrong:
        raise SpecError("; ".join(wrong))
    return found


class Paths:
    """The paths of the spec, those with parameters too."""

    def __init__(self, operations: Mapping[str, Operation]) -> None:
        self._methods: dict[str, list[str]] = {}
        for operation in operations.values():
            self._methods.setdefault(operation.path, []).append(operation.method.upper())
        self._patterns = [
            (re.compile(_PARAMETER.sub("[^/].*", path)), methods)
            for path, methods in self._methods.items()
            if _PARAMETER.search(path)
        ]

    def methods(self, path: str) -> list[str]:
        """The methods, in upper case, that a path of a request takes; none where there is no such path."""
        for pattern, methods in self._patterns:
            if pattern.fullmatch(path):
                return methods
        return self._methods.get(path, [])


def _files(declared: Mapping[str, Any]) -> frozenset[str]:
    content = declared.get("requestBody", {}).get("content", {})
    fields = content.get("multipart/form-data", {}).get("schema", {}).get("properties", {})
    return frozenset(name for name, schema in fields.items() if schema.get("format") == "binary")


def _handler(module_name: str | None, name: str) -> Callable[..., Mapping[str, Any]]:
    if not module_name:
        raise SpecError("x-openapi-router-controller is missing")
    try:
        handler = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise SpecError(f"handler {module_name}.{name} is missing ({error})") from error
    if not callable(handler):
        raise SpecError(f"handler {module_name}.{name} is not callable")
    return handler  # type: ignore[no-any-return]


class FormBooleans:
    """A mixin for either Connexion's OpenAPIURIParser: booleans as people write them in forms and URLs."""

    def resolve_form(self, form_data: dict[str, Any]) -> Any:
        schemas: Mapping[str, Any] = self.form_defns  # type: ignore[attr-defined]
        return super().resolve_form(_spell_booleans(form_data, schemas))  # type: ignore[misc]

    def resolve_params(self, params: dict[str, Any], _in: str) -> Any:
        schemas: Mapping[str, Any] = self.param_schemas  # type: ignore[attr-defined]
        return super().resolve_params(_spell_booleans(params, schemas), _in)  # type: ignore[misc]


def _spell_booleans(values: Mapping[str, Any], schemas: Mapping[str, Any]) -> dict[str, Any]:
    """`y`, `on`, `1`, ... as Connexion knows them, `true` and `false`; it refuses what is left."""
    return {
        key: _spell(value) if schemas.get(key, {}).get("type") == "boolean" else value
        for key, value in values.items()
    }


def _spell(value: Any) -> Any:
    if isinstance(value, list):
        return [_spell(item) for item in value]
    try:
        return "true" if parse_boolean(value) else "false"
    except (ValueError, AttributeError):
        return value
