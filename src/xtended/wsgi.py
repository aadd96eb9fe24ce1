"""The contract as a Flask blueprint: Connexion 2, mounted in Airflow 2's webserver."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import IO, Any, BinaryIO, cast

from connexion.apis.flask_api import FlaskApi
from connexion.exceptions import BadRequestProblem, ProblemException
from connexion.resolver import Resolution, Resolver
from connexion.utils import all_json
from flask import Blueprint, Response, request
from flask.blueprints import BlueprintSetupState
from flask.globals import request_ctx
from flask.sessions import NullSession
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge
from werkzeug.routing import Rule
from werkzeug.wsgi import get_input_stream

from xtended.api import PREFIX, Answer, Envelope, Lines, Operation, Upload, failure, problem_answer
from xtended.binding import (
    FORM_OVERHEAD,
    MAX_TEXT_FIELD,
    bind,
    body_too_large,
    offered_spec,
    refusal,
    served_spec,
    text_field_too_large,
)
from xtended.contract import Paths, read_operations
from xtended.legacy.relay import SpecRelay
from xtended.older_page import older_page
from xtended.problems import Problem
from xtended.services import Services
from xtended.web_pages import QUIET_CHALLENGE, SWAGGER_UI, asks_quietly
from xtended.wsgi_bodies import Body, Counted, Parameters, UriParser
from xtended.wsgi_older import in_older_words, in_process, serve_at_root
from xtended.wsgi_pages import add_web_page
from xtended.wsgi_security import Gate

log = logging.getLogger(__name__)


class _Bound(Resolver):
    """Resolves each operation to a function that runs its handler with this mount's services."""

    def __init__(self, services: Services, operations: Mapping[str, Operation]) -> None:
        super().__init__()
        self._services = services
        self._operations = operations

    def resolve(self, operation: Any) -> Resolution:
        operation_id = operation.operation_id
        answer = bind(self._operations[operation_id], self._services, _neutral, _ENVELOPE)

        def run(**arguments: Any) -> Response:
            if request.args and not operation.parameters:
                # Connexion 2 looks at the query only where the operation takes one.
                names = ", ".join(sorted(request.args))
                raise BadRequestProblem(detail=f"Extra query parameter(s) {names} not in spec")
            if request.mimetype == "application/json" and not all_json(operation.consumes):
                # Connexion 2 knows one media type per body, here that of forms.
                arguments["body"] = request.get_json()
            if not operation.request_body:
                # Connexion 2 passes an empty one to whoever takes all arguments.
                arguments.pop("body", None)
            return _response(answer(**arguments))

        # Flask's own answer to OPTIONS would name every method that the route of unknown paths takes.
        vars(run)["provide_automatic_options"] = False
        return Resolution(run, operation_id)


def _header(name: str) -> str | None:
    return request.headers.get(name)


_ENVELOPE = Envelope(_header, lambda: request.remote_addr or "")


def _neutral(value: Any) -> Any:
    return (
        Upload(value.filename or "", cast(BinaryIO, value.stream))
        if isinstance(value, FileStorage)
        else value
    )


def create_blueprint(services: Services, challenge: Callable[[], str], *, swagger_ui: bool) -> Blueprint:
    """The mountable API. Raises SpecError where the spec can't be served safely.

    `challenge` gives the WWW-Authenticate of a 401.
    """
    spec = offered_spec(services.settings)
    operations = read_operations(spec)

    class Api(FlaskApi):
        @staticmethod
        def make_security_handler_factory(pass_context_arg_name: str | None) -> Gate:
            return Gate(services, operations)

    blueprint: Blueprint = Api(
        served_spec(spec, services),
        base_path=PREFIX,
        resolver=_Bound(services, operations),
        strict_validation=True,
        validator_map={"parameter": Parameters, "body": Body},
        # The page is ours; Connexion serves openapi.json alone.
        options={"uri_parser_class": UriParser, "swagger_ui": False},
    ).blueprint
    if swagger_ui:
        add_web_page(blueprint, "/ui", SWAGGER_UI)
    _add_refusals(blueprint, Paths(operations), services)
    serve_at_root(blueprint, operations, older_page(spec))
    services.relay = SpecRelay(spec, in_process)
    limit = services.max_file_bytes + FORM_OVERHEAD

    @blueprint.before_request
    def bound_the_body() -> None:
        # A body that is announced as too large is refused before any of it is read.
        if (request.content_length or 0) > limit:
            raise body_too_large(limit)
        # In place of the limit of Airflow's forms, [webserver] allowed_payload_size.
        request.stream = cast(IO[bytes], Counted(get_input_stream(request.environ), limit))
        request.max_form_memory_size = MAX_TEXT_FIELD

    @blueprint.after_request
    def finish(response: Response) -> Response:
        if response.status_code == 401:
            quiet = asks_quietly(request.headers.get("X-Requested-With"))
            response.headers["WWW-Authenticate"] = QUIET_CHALLENGE if quiet else challenge()
        # As Airflow does for its own API: a script that logs in by a header leaves no session behind.
        request_ctx.session = NullSession()
        return in_older_words(response, services)

    return blueprint


def _add_refusals(blueprint: Blueprint, paths: Paths, services: Services) -> None:
    """Answer with problems what Airflow would answer with its own pages."""
    for kind, handler in _ERROR_HANDLERS.items():
        blueprint.register_error_handler(kind, handler)
    blueprint.register_error_handler(Exception, partial(_on_error, services))

    def unknown(path: str = "") -> Response:
        allowed = paths.methods(f"/{path}")
        if not allowed:
            return _on_http_error(NotFound())
        if request.method == "OPTIONS":
            return Response(headers={"Allow": ", ".join(allowed)})
        return _on_http_error(MethodNotAllowed(allowed))

    # Routing errors are the application's, and its handlers are Airflow's, unless a route of ours takes them.
    route_the_rest(blueprint, unknown)


def route_the_rest(blueprint: Blueprint, view: Callable[..., Any]) -> None:
    """Lead every path and method that no other route of the blueprint takes to `view`."""
    endpoint = f"{blueprint.name}.{view.__name__}"

    @blueprint.record
    def add(state: BlueprintSetupState) -> None:
        state.app.view_functions[endpoint] = view
        for path in ("/", "/<path:path>"):
            # Flask would give the rule methods; without any it takes all, unknown ones too.
            state.app.url_map.add(Rule(f"{state.url_prefix}{path}", endpoint=endpoint))


def _response(answer: Answer) -> Response:
    body, status, headers = answer
    if isinstance(body, Lines):
        return Response(body.encoded(), status, headers)
    return Response(json.dumps(body), status, headers)


def _on_problem(error: Problem) -> Response:
    return _response(problem_answer(error, {}))


def _on_refusal(error: ProblemException) -> Response:
    return _response(refusal(error.status, error.detail, error.headers))


def _on_http_error(error: HTTPException) -> Response:
    if isinstance(error, RequestEntityTooLarge):
        return _on_problem(text_field_too_large())
    if error.code is not None and error.code < 400:
        return error.get_response()  # type: ignore[return-value]
    headers = dict(error.get_headers())
    headers.pop("Content-Type", None)
    return _response(refusal(error.code or 500, error.name, headers))


def _on_error(services: Services, error: Exception) -> Response:
    log.error("A request failed before it reached its operation", exc_info=error)
    return _response(failure(services, error, {}))


_ERROR_HANDLERS: Mapping[type[Exception], Callable[[Any], Response]] = {
    Problem: _on_problem,
    ProblemException: _on_refusal,
    HTTPException: _on_http_error,
}
