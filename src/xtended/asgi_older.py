"""The older plugins' URLs in ASGI: calls in process, refusals in their words, and their place at Airflow's root."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx
from starlette.datastructures import QueryParams
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from xtended.airflow_host.identity import User
from xtended.api import PREFIX
from xtended.binding import API_OF_AIRFLOW_2, LOGIN_PATHS, of_older_urls, older_refusal
from xtended.legacy.relay import Request
from xtended.problems import MEDIA_TYPE
from xtended.relaying import VOUCHED_FOR, Reply
from xtended.services import Services

_BODY = {b"content-type", b"content-length", b"transfer-encoding"}


class InProcess:
    """Makes a request to the application that this process serves; called from a worker thread."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, request: Request, user: User) -> Reply:
        return asyncio.run(self._send(request, user))

    async def _send(self, request: Request, user: User) -> Reply:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await self._app({**scope, "root_path": PREFIX, VOUCHED_FOR: user}, receive, send)

        # A part without a file name makes the form multipart, which is what operations take.
        parts: list[tuple[str, Any]] = [(name, (None, text)) for name, text in (request.form or {}).items()]
        parts += [(name, (upload.filename, upload.stream)) for name, upload in request.files.items()]
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://in-process") as client:
            answer = await client.request(
                request.method,
                PREFIX + request.path,
                params=request.query,
                files=parts or None,
                json=request.json,
                # Connexion asks whose a request is only where it brings credentials.
                headers={"Authorization": "Bearer in-process"},
            )
        return Reply(answer.status_code, answer.json())


class OlderUrls:
    """Answers in the older plugins' words where a request of theirs was refused before its function was reached."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._services = services
        header = services.older_plugin.rest_api_plugin_http_token_header_name.lower().encode()
        # Gunicorn, under Airflow 2, drops names with underscores: with dashes a token passes everywhere.
        self._spellings = {header.replace(b"_", b"-"): header}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not of_older_urls(scope["path"]):
            await self._app(scope, receive, send)
            return
        headers = [(self._spellings.get(name, name), value) for name, value in scope["headers"]]
        if (b"content-length", b"0") in headers or not _BODY & {name for name, _ in headers}:
            # Connexion can't take no body for an empty form.
            headers.append((b"content-type", b"application/x-www-form-urlencoded"))
            headers = [(name, value) for name, value in headers if name != b"content-length"]
        refusal: Message | None = None
        body = b""

        async def translated(message: Message) -> None:
            nonlocal refusal, body
            if message["type"] == "http.response.start" and _is_problem(message):
                refusal = message
            elif refusal is None:
                await send(message)
            else:
                body += message.get("body", b"")
                if not message.get("more_body"):
                    await self._refuse(refusal, body, QueryParams(scope["query_string"]), send)

        await self._app({**scope, "headers": headers}, receive, translated)

    async def _refuse(self, refusal: Message, body: bytes, query: Mapping[str, str], send: Send) -> None:
        status, older = older_refusal(self._services, refusal["status"], body, query)
        content = json.dumps(older).encode()
        headers = [
            (name, value)
            for name, value in refusal["headers"]
            if name.lower() not in (b"content-type", b"content-length")
        ]
        headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        await send({**refusal, "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})


def _is_problem(message: Message) -> bool:
    headers = {name.lower(): value for name, value in message["headers"]}
    return bool(headers.get(b"content-type", b"").startswith(MEDIA_TYPE.encode()))


class AtRoot:
    """The application under an older plugin's own prefix, at Airflow's root, with the page that the plugin had."""

    def __init__(self, app: ASGIApp, page: str) -> None:
        self._app = app
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        mount = next(prefix for prefix in OLDER_PREFIXES if scope["root_path"].endswith(prefix))
        if (
            mount in PLUGIN_PREFIXES
            and scope["path"] == f"{scope['root_path']}/"
            and scope["method"] == "GET"
        ):
            # A response of its own for each: what compresses it writes so into its headers.
            await HTMLResponse(self._page)(scope, receive, send)
            return
        base = scope["root_path"].removesuffix(mount)
        path = base + PREFIX + scope["path"].removeprefix(base).removeprefix(API_OF_AIRFLOW_2)
        await self._app(
            {**scope, "root_path": base + PREFIX, "path": path, "raw_path": path.encode()}, receive, send
        )


# The longer one first: it ends with the other.
PLUGIN_PREFIXES = ("/admin/rest_api", "/rest_api")
OLDER_PREFIXES = (*PLUGIN_PREFIXES, API_OF_AIRFLOW_2 + LOGIN_PATHS)
