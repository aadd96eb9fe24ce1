"""What both bindings of the contract, to Connexion 3 and to Connexion 2, do alike."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from xtended.access import missing_credentials
from xtended.api import Answer, Envelope, Operation, internal_error, problem_answer
from xtended.contract import load_spec
from xtended.legacy.refusals import PATHS, refused
from xtended.problems import MEDIA_TYPE, BadRequest, TooLarge, problem_body
from xtended.services import MEGABYTE, Services
from xtended.settings import Settings

# The older URLs take several types of bodies, and either Connexion warns of that each time it looks at one.
logging.getLogger("connexion.operations.openapi3").addFilter(
    lambda record: "multiple content types" not in str(record.msg)
)

FORM_OVERHEAD = 2 * MEGABYTE
"""Bytes that a multipart request carries beside its file: boundaries, headers, the other fields."""

MAX_TEXT_FIELD = MEGABYTE
"""Bytes of one text field of a form: what Starlette takes at most."""

API_OF_AIRFLOW_2, LOGIN_PATHS = "/api/v1", "/security"
"""The older plugin for managed DAGs logs in at Airflow's own address for that."""

TITLES = {404: "Not found", 405: "Method not allowed", 415: "Media type not supported", 500: "Internal error"}


def bind(
    operation: Operation,
    services: Services,
    neutral: Callable[[Any], Any],
    envelope: Envelope,
) -> Callable[..., Answer]:
    """What Connexion calls: runs the operation's handler with one mount's services.

    `neutral` turns a value that the web framework brought, such as a file, into one that handlers know; `envelope`
    is of the request that is being answered, as Connexion passes nothing on beside arguments.
    """

    def run(token_info: Mapping[str, Any] | None = None, user: Any = None, **arguments: Any) -> Answer:
        del user  # Connexion's copy of token_info["sub"]
        caller = token_info["caller"] if token_info else None
        neutrals = {name: neutral(value) for name, value in arguments.items()}
        return operation(services, caller, neutrals, envelope)

    return run


def offered_spec(settings: Settings) -> dict[str, Any]:
    """The spec, without the older URLs where they are not wanted."""
    spec = load_spec()
    if not settings.legacy_urls:
        for path in PATHS:
            del spec["paths"][path]
        spec["tags"] = [tag for tag in spec["tags"] if tag["name"] != "older urls"]
    return spec


def served_spec(spec: Mapping[str, Any], services: Services) -> dict[str, Any]:
    """The spec as this host serves it: with the names of its own session cookie and token header."""
    served = copy.deepcopy(dict(spec))
    schemes = served["components"]["securitySchemes"]
    schemes["session"]["name"] = services.host.identity.session_cookie
    schemes["older_token"]["name"] = services.older_plugin.rest_api_plugin_http_token_header_name
    return served


def of_older_urls(path: str) -> bool:
    """Whether a request, by its path wherever it is mounted, is one of an older plugin's."""
    return path.endswith(PATHS)


def older_refusal(
    services: Services, status: int, body: bytes, query: Mapping[str, str]
) -> tuple[int, dict[str, Any]]:
    """In place of a problem, where a request of an older plugin was refused before its function was reached."""
    expected = bool(services.older_plugin.rest_api_plugin_expected_http_token)
    return refused(status, json.loads(body), query, token_expected=expected)


def utf8(text: str) -> str:
    """Credentials as clients send them (RFC 7617): Connexion decodes the header as Latin-1."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def refusal(status: int, detail: Any, headers: Mapping[str, str] | None) -> Answer:
    """What Connexion or the web framework refuse by themselves: routing, missing credentials, validation."""
    if status == 401:
        return problem_answer(missing_credentials(), {})
    if status >= 500:
        return internal_error({})
    title = TITLES.get(status, BadRequest.title)
    kind = title.lower().replace(" ", "-")
    body = problem_body(status, kind, title, str(detail or title))
    return body, status, {**(headers or {}), "Content-Type": MEDIA_TYPE}


def body_too_large(limit: int) -> TooLarge:
    return TooLarge(f"The request is larger than {limit // MEGABYTE} MB ([xtended_api] max_file_mb).")


def text_field_too_large() -> TooLarge:
    limit = MAX_TEXT_FIELD // MEGABYTE
    return TooLarge(f"A text field is larger than {limit} MB; send the code as a file, with deploy_dag.")
