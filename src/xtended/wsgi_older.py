"""The older plugins' URLs in Flask: calls in process, refusals in their words, and their place at Airflow's root."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Flask, Response, current_app, request
from flask.blueprints import BlueprintSetupState
from werkzeug.datastructures import FileStorage
from werkzeug.routing import Rule
from werkzeug.test import EnvironBuilder, run_wsgi_app

from xtended.airflow_host.identity import User
from xtended.api import PREFIX, Operation
from xtended.binding import API_OF_AIRFLOW_2, LOGIN_PATHS, of_older_urls, older_refusal
from xtended.legacy.relay import Request
from xtended.problems import MEDIA_TYPE
from xtended.relaying import VOUCHED_FOR, Reply
from xtended.services import Services


def in_process(wanted: Request, user: User) -> Reply:
    """Make a request to the application that this process serves; needs the webserver's own request."""
    form: dict[str, Any] = dict(wanted.form or {})
    form |= {
        name: FileStorage(upload.stream, filename=upload.filename) for name, upload in wanted.files.items()
    }
    body: dict[str, Any] = {"json": wanted.json} if wanted.json is not None else {"data": form}
    if form:
        body["content_type"] = "multipart/form-data"
    builder = EnvironBuilder(
        path=PREFIX + wanted.path,
        method=wanted.method,
        query_string=dict(wanted.query),
        base_url=request.host_url,
        # Connexion asks whose a request is only where it brings credentials.
        headers=[("Authorization", "Bearer in-process")],
        environ_overrides={VOUCHED_FOR: user},
        **body,
    )
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]

    def inner(environ: Any, start_response: Any) -> Any:
        # Past what the webserver wraps its application in, such as the path it is served under.
        return Flask.wsgi_app(app, environ, start_response)

    try:
        chunks, status, _ = run_wsgi_app(inner, builder.get_environ(), buffered=True)
    finally:
        builder.close()
    return Reply(int(status.split(" ", 1)[0]), json.loads(b"".join(chunks)))


def in_older_words(response: Response, services: Services) -> Response:
    """The response, where a request of an older plugin was refused before its function was reached."""
    if of_older_urls(request.path) and response.mimetype == MEDIA_TYPE:
        status, body = older_refusal(
            services, response.status_code, response.get_data(), request.args.to_dict()
        )
        response.status_code = status
        response.set_data(json.dumps(body))
        response.content_type = "application/json"
    return response


def serve_at_root(blueprint: Blueprint, operations: Mapping[str, Operation], page: str) -> None:
    """Lead the older URLs at the webserver's root to the operations that they are, and to the plugins' page."""
    older = [operation for operation in operations.values() if of_older_urls(operation.path)]
    logins = [
        operation for operation in operations.values() if older and operation.path.startswith(LOGIN_PATHS)
    ]

    @blueprint.record
    def add(state: BlueprintSetupState) -> None:
        paths = [(operation.path, operation) for operation in older]
        paths += [(API_OF_AIRFLOW_2 + operation.path, operation) for operation in logins]
        for path, operation in paths:
            endpoint = f"{blueprint.name}.{operation.id}"
            state.app.url_map.add(Rule(path, endpoint=endpoint, methods=[operation.method.upper()]))
        for path in {operation.path.removesuffix("api") for operation in older}:
            state.app.add_url_rule(path, f"xtended_older_page{path}", lambda: page)
