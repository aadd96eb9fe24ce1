"""The contract as an ASGI application: Connexion 3, mounted in Airflow 3's api-server."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from connexion import AsyncApp
from connexion import request as current_request
from connexion.exceptions import ProblemException
from connexion.lifecycle import ConnexionRequest, ConnexionResponse
from connexion.options import SwaggerUIOptions
from connexion.resolver import Resolution, Resolver
from connexion.uri_parsing import OpenAPIURIParser
from fastapi import FastAPI
from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.responses import StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from xtended.api import Answer, Envelope, Lines, Operation, Upload, failure, problem_answer
from xtended.asgi_older import InProcess, OlderUrls
from xtended.asgi_pages import QuietChallenge, add_web_page
from xtended.asgi_security import security_map
from xtended.binding import (
    FORM_OVERHEAD,
    bind,
    body_too_large,
    offered_spec,
    refusal,
    served_spec,
    text_field_too_large,
)
from xtended.contract import FormBooleans, Paths, read_operations
from xtended.legacy.relay import SpecRelay
from xtended.problems import BadRequest, Problem
from xtended.services import Services
from xtended.web_pages import SWAGGER_UI

log = logging.getLogger(__name__)


class UriParser(FormBooleans, OpenAPIURIParser):
    """Connexion's own parser, which takes booleans as people write them."""


class _Bound(Resolver):
    """Resolves each operation to a function that runs its handler with this mount's services."""

    def __init__(self, services: Services, operations: Mapping[str, Operation]) -> None:
        super().__init__()
        self._services = services
        self._operations = operations

    def resolve(self, operation: Any) -> Resolution:
        operation_id = operation.operation_id
        answer = bind(self._operations[operation_id], self._services, _neutral, _ENVELOPE)

        def run(**arguments: Any) -> Any:
            body, status, headers = answer(**arguments)
            if isinstance(body, Lines):
                return _LineByLine(body, status, headers)
            return body, status, headers

        return Resolution(run, operation_id)


def _neutral(value: Any) -> Any:
    return Upload(value.filename or "", value.file) if isinstance(value, UploadFile) else value


def _header(name: str) -> str | None:
    found: str | None = current_request.headers.get(name)
    return found


def _address() -> str:
    client = current_request.client
    return str(client.host) if client else ""


_ENVELOPE = Envelope(_header, _address)


class _LineByLine(StreamingResponse):
    """Lets go of what it sends once it has ended, whether its client has left or not.

    Left to itself, that would wait for the garbage collector, which an idle server has no reason to run.
    """

    def __init__(self, lines: Lines, status: int, headers: Mapping[str, str]) -> None:
        self._encoded = lines.encoded()
        super().__init__(self._encoded, status, headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._encoded.close()


class _BodyLimit:
    """Refuses a request body that is larger than any file may be, before it fills the disk."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        limit = self._max_bytes
        # A body that is announced as too large is refused at its first byte.
        announced = int(headers.get("content-length") or 0)
        taken = announced if announced > limit else 0
        if "transfer-encoding" in headers:
            # Connexion takes a body whose length is not announced for no body.
            scope = {**scope, "headers": [*scope["headers"], (b"content-length", b"%d" % limit)]}
        if "content-type" not in headers and (announced or "transfer-encoding" in headers):
            # Connexion takes it for the first type that the operation knows, and fails on it where that is a form.
            unknown = (b"content-type", b"application/octet-stream")
            scope = {**scope, "headers": [*scope["headers"], unknown]}

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise body_too_large(limit)
            return message

        await self._app(scope, counted, send)


def create_app(services: Services, *, swagger_ui: bool) -> FastAPI:
    """The mountable application. Raises SpecError where the spec can't be served safely.

    Connexion's application is wrapped in FastAPI because Airflow enters the lifespan of those alone.
    """
    spec = offered_spec(services.settings)
    operations = read_operations(spec)
    connexion_app = AsyncApp("xtended", uri_parser_class=UriParser)
    connexion_app.add_api(
        served_spec(spec, services),
        base_path="",
        resolver=_Bound(services, operations),
        strict_validation=True,
        security_map=security_map(services, operations),
        # The page is ours; this serves openapi.json alone.
        swagger_ui_options=SwaggerUIOptions(swagger_ui=False),
    )
    for kind, handler in _error_handlers(services).items():
        connexion_app.add_error_handler(kind, handler)
    connexion_app.add_error_handler(405, partial(_on_wrong_method, Paths(operations)))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        services.start()
        try:
            yield
        finally:
            services.parser.close()

    app = FastAPI(lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    if swagger_ui:
        add_web_page(app, "/ui", SWAGGER_UI)
    limited = _BodyLimit(connexion_app, services.max_file_bytes + FORM_OVERHEAD)
    app.mount("/", QuietChallenge(OlderUrls(limited, services)))
    services.relay = SpecRelay(spec, InProcess(app))
    return app


def _response(answer: Answer) -> ConnexionResponse:
    body, status, headers = answer
    return ConnexionResponse(status_code=status, body=json.dumps(body), headers=headers)


def _on_problem(_: ConnexionRequest, error: Exception) -> ConnexionResponse:
    assert isinstance(error, Problem)  # noqa: S101 - what this handler is registered for
    return _response(problem_answer(error, {}))


def _on_refusal(services: Services, request: ConnexionRequest, error: Exception) -> ConnexionResponse:
    """What Connexion or Starlette refuse: routing, missing credentials, validation."""
    status: int = getattr(error, "status", None) or getattr(error, "status_code", None) or 500
    if status >= 500:
        return _on_error(services, request, error)
    return _response(refusal(status, getattr(error, "detail", None), getattr(error, "headers", None)))


def _on_wrong_method(paths: Paths, request: ConnexionRequest, error: Exception) -> ConnexionResponse:
    # Starlette names the methods of the first route alone, where each method of a path is a route.
    path = request.scope["path"].removeprefix(request.scope["root_path"])
    allowed = ", ".join(paths.methods(path))
    return _response(refusal(405, getattr(error, "detail", None), {"Allow": allowed}))


def _on_bad_form(_: ConnexionRequest, error: Exception) -> ConnexionResponse:
    message = str(getattr(error, "message", "malformed form"))
    # Starlette tells a text part that is too large from a malformed one in words alone.
    if "exceeded maximum size" in message:
        return _response(problem_answer(text_field_too_large(), {}))
    return _response(problem_answer(BadRequest(f"The form can't be read: {message}"), {}))


def _on_bad_text(services: Services, request: ConnexionRequest, error: Exception) -> ConnexionResponse:
    """A JSON body in another encoding than it says, in one that nobody knows, or nested without end."""
    if isinstance(error, KeyError | IndexError):
        return _on_error(services, request, error)
    return _response(problem_answer(BadRequest("The request's body can't be read as JSON."), {}))


def _on_error(services: Services, _: ConnexionRequest, error: Exception) -> ConnexionResponse:
    log.error("A request failed before it reached its operation", exc_info=error)
    return _response(failure(services, error, {}))


def _error_handlers(
    services: Services,
) -> Mapping[type[Exception], Callable[[ConnexionRequest, Exception], ConnexionResponse]]:
    on_refusal, on_bad_text = partial(_on_refusal, services), partial(_on_bad_text, services)
    return {
        Problem: _on_problem,
        ProblemException: on_refusal,
        HTTPException: on_refusal,
        MultiPartException: _on_bad_form,
        UnicodeDecodeError: on_bad_text,
        LookupError: on_bad_text,
        RecursionError: on_bad_text,
        Exception: partial(_on_error, services),
    }
