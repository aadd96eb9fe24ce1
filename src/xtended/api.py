"""A request on its way through an operation of the spec, and its answer; alike under both Connexion versions."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from xtended.access import Rule, missing_credentials
from xtended.airflow_host.identity import User
from xtended.problems import MEDIA_TYPE, BadRequest, Problem, problem_body
from xtended.progress import Watch, unwatched
from xtended.services import Services

log = logging.getLogger(__name__)

PREFIX = "/api/v1/xtended"
# The day on which the GET forms were marked deprecated: 2026-11-24, in the form of RFC 9745.
DEPRECATED_SINCE = "@1795478400"
_PIECE_BYTES = 1024 * 1024
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
