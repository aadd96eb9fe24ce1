"""The contract as a Flask blueprint: Connexion 2, mounted in Airflow 2's webserver."""

from __future__ import annotations

import functools
import io
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any, BinaryIO, cast

from connexion.apis.flask_api import FlaskApi
from connexion.decorators.uri_parsing import OpenAPIURIParser
from connexion.decorators.validation import (
    ParameterValidator,
    RequestBodyValidator,
    TypeValidationError,
    coerce_type,
)
from connexion.exceptions import BadRequestProblem, ProblemException, UnsupportedMediaTypeProblem
from connexion.resolver import Resolution, Resolver
from connexion.security import FlaskSecurityHandlerFactory
from connexion.utils import all_json
from flask import Blueprint, Response, request
from flask.blueprints import BlueprintSetupState
from flask.globals import request_ctx
from flask.sessions import NullSession
from jsonschema import ValidationError
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge
from werkzeug.routing import Rule
from werkzeug.wsgi import get_input_stream

from xtended.access import admit
from xtended.airflow_host.base import (
    BasicCredentials,
    BearerCredentials,
    Credentials,
    OtherCredentials,
    SessionCredentials,
    VouchedCredentials,
)
from xtended.api import (
    PREFIX,
    Answer,
    Envelope,
    FormBooleans,
    Lines,
    Operation,
    Paths,
    Upload,
    internal_error,
    problem_answer,
    read_operations,
)
from xtended.authentication import REFRESH_TOKEN, holder
from xtended.binding import (
    FORM_OVERHEAD,
    MAX_TEXT_FIELD,
    bind,
    body_too_large,
    offered_spec,
    refusal,
    served_spec,
    text_field_too_large,
    utf8,
)
from xtended.legacy.relay import SpecRelay
from xtended.legacy.token import check_token
from xtended.older_page import older_page
from xtended.problems import Problem
from xtended.relaying import VOUCHED_FOR
from xtended.services import Services
from xtended.web_pages import QUIET_CHALLENGE, SWAGGER_UI, asks_quietly
from xtended.wsgi_older import in_older_words, in_process, serve_at_root
from xtended.wsgi_pages import add_web_page

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


class _Gate(FlaskSecurityHandlerFactory):
    """The security functions of the spec's schemes, for one mount."""

    def __init__(self, services: Services, operations: Mapping[str, Operation]) -> None:
        super().__init__(pass_context_arg_name=None)
        self._services = services
        self._operations = operations

    def get_basicinfo_func(self, security_definition: Mapping[str, Any]) -> Callable[..., Any]:
        return lambda username, password: self._admit(BasicCredentials(utf8(username), utf8(password)))

    def get_bearerinfo_func(self, security_definition: Mapping[str, Any]) -> Callable[..., Any]:
        if security_definition.get("bearerFormat") == REFRESH_TOKEN:
            return lambda token: self._admit(holder(self._services, token))
        return lambda token: self._admit(BearerCredentials(token))

    def get_apikeyinfo_func(self, security_definition: Mapping[str, Any]) -> Callable[..., Any]:
        if security_definition["in"] == "cookie":
            return lambda cookie: self._admit(SessionCredentials(cookie))
        return self._token

    def verify_security(
        self, auth_funcs: Sequence[Callable[..., Any]], function: Callable[..., Any]
    ) -> Callable[..., Any]:
        checked: Callable[..., Any] = super().verify_security([self._other, *auth_funcs], function)
        return checked

    def _other(self, connexion_request: Any) -> Any:
        """A scheme that the spec does not name, but a backend of the webserver may."""
        scheme, _ = self.get_auth_header_value(connexion_request)
        if scheme in (None, "basic", "bearer"):
            return self.no_value
        return self._admit(OtherCredentials(connexion_request.headers["Authorization"]))

    def _token(self, token: str) -> Mapping[str, Any] | None:
        vouched = check_token(self._services, token)
        return None if vouched is None else self._admit(vouched)

    def _admit(self, credentials: Credentials | VouchedCredentials) -> Mapping[str, Any]:
        if VOUCHED_FOR in request.environ:
            credentials = VouchedCredentials(request.environ[VOUCHED_FOR])
        rule = self._operations[(request.endpoint or "").rpartition(".")[2]].rule
        headers = {name.lower(): value for name, value in request.headers.items()}
        caller = admit(self._services.host.identity, rule, credentials, request.method, headers)
        return {"sub": caller.name, "caller": caller}


class _Parameters(ParameterValidator):
    @staticmethod
    def validate_parameter(*arguments: Any, **named: Any) -> str | None:
        error: str | None = ParameterValidator.validate_parameter(*arguments, **named)
        # The other lines repeat the schema and all that was sent.
        return error.partition("\n")[0] if error else error


class _Body(RequestBodyValidator):
    """Connexion 2's own takes whatever is no form for an empty one, or fails on it."""

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if all_json(self.consumes):
            return self._nested_with_measure(super().__call__(function))

        @functools.wraps(function)
        def checked(connexion_request: Any) -> Any:
            self._check(connexion_request)
            return function(connexion_request)

        return checked

    @staticmethod
    def _nested_with_measure(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def checked(connexion_request: Any) -> Any:
            try:
                _ = connexion_request.json
            except RecursionError:
                raise BadRequestProblem(detail="The request's body is nested too deeply.") from None
            return function(connexion_request)

        return checked

    def _check(self, connexion_request: Any) -> None:
        if request.mimetype not in self.consumes and (request.mimetype or request.content_length):
            raise UnsupportedMediaTypeProblem(
                detail=f"Invalid Content-type ({request.mimetype}), expected {', '.join(self.consumes)}"
            )
        if request.mimetype == "application/json":
            if not isinstance(request.get_json(silent=True), dict):
                raise BadRequestProblem(detail="The request's body is not a JSON object.")
            return
        for name, files in request.files.lists():
            if len(files) > 1:
                raise BadRequestProblem(detail=f"{name} takes one file, and {len(files)} were sent.")
        properties = self.schema.get("properties", {})
        sent = {**connexion_request.form, **dict.fromkeys(connexion_request.files, "")}
        try:
            typed = {
                name: coerce_type(properties[name], value, "requestBody", name)
                if name in properties
                else value
                for name, value in sent.items()
            }
            self.validator.validate(typed)
        except TypeValidationError as error:
            raise BadRequestProblem(detail=str(error)) from None
        except ValidationError as error:
            raise BadRequestProblem(detail=error.message + self._error_path_message(error)) from None


class _Counted(io.RawIOBase):
    """A request body that refuses to go on past its limit: it need not say how long it is."""

    def __init__(self, stream: Any, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        self._taken += len(data)
        if self._taken > self._limit:
            raise body_too_large(self._limit)
        buffer[: len(data)] = data
        return len(data)


def create_blueprint(services: Services, challenge: Callable[[], str], *, swagger_ui: bool) -> Blueprint:
    """The mountable API. Raises SpecError where the spec can't be served safely.

    `challenge` gives the WWW-Authenticate of a 401.
    """
    spec = offered_spec(services.settings)
    operations = read_operations(spec)

    class Api(FlaskApi):
        @staticmethod
        def make_security_handler_factory(pass_context_arg_name: str | None) -> _Gate:
            return _Gate(services, operations)

    blueprint: Blueprint = Api(
        served_spec(spec, services),
        base_path=PREFIX,
        resolver=_Bound(services, operations),
        strict_validation=True,
        validator_map={"parameter": _Parameters, "body": _Body},
        # The page is ours; Connexion serves openapi.json alone.
        options={"uri_parser_class": UriParser, "swagger_ui": False},
    ).blueprint
    if swagger_ui:
        add_web_page(blueprint, "/ui", SWAGGER_UI)
    _add_refusals(blueprint, Paths(operations))
    serve_at_root(blueprint, operations, older_page(spec))
    services.relay = SpecRelay(spec, in_process)
    limit = services.max_file_bytes + FORM_OVERHEAD

    @blueprint.before_request
    def bound_the_body() -> None:
        # A body that is announced as too large is refused before any of it is read.
        if (request.content_length or 0) > limit:
            raise body_too_large(limit)
        # In place of the limit of Airflow's forms, [webserver] allowed_payload_size.
        request.stream = cast(IO[bytes], _Counted(get_input_stream(request.environ), limit))
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


def _add_refusals(blueprint: Blueprint, paths: Paths) -> None:
    """Answer with problems what Airflow would answer with its own pages."""
    for kind, handler in _ERROR_HANDLERS.items():
        blueprint.register_error_handler(kind, handler)

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


def _on_error(error: Exception) -> Response:
    log.error("A request failed before it reached its operation", exc_info=error)
    return _response(internal_error({}))


_ERROR_HANDLERS: Mapping[type[Exception], Callable[[Any], Response]] = {
    Problem: _on_problem,
    ProblemException: _on_refusal,
    HTTPException: _on_http_error,
    Exception: _on_error,
}
