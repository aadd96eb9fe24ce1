"""The built pages as ASGI routes."""

from __future__ import annotations

import json

from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from xtended.api import problem_answer
from xtended.problems import NotFound
from xtended.web_pages import QUIET_CHALLENGE, asks_quietly, web_file


def add_web_page(app: FastAPI, path: str, page: str) -> None:
    """Serve `page` at `path`, which has no slash at its end, and what it loads below."""

    def add_slash() -> Response:
        # Relative, so that it holds wherever Airflow is served.
        return RedirectResponse(f"{path.rpartition('/')[2]}/")

    def serve(name: str = "") -> Response:
        file = web_file(page, name)
        if file is None:
            body, status, headers = problem_answer(NotFound("There is no such file of the page."), {})
            return Response(json.dumps(body), status, headers)
        return Response(file.content, headers=file.headers)

    app.add_api_route(path, add_slash, methods=["GET", "HEAD"])
    app.add_api_route(f"{path}/", serve, methods=["GET", "HEAD"])
    app.add_api_route(f"{path}/{{name:path}}", serve, methods=["GET", "HEAD"])


class QuietChallenge:
    """Has no browser ask for a password because a page of ours was refused something."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not asks_quietly(Headers(scope=scope).get("x-requested-with")):
            await self._app(scope, receive, send)
            return

        async def quietly(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401:
                MutableHeaders(scope=message)["WWW-Authenticate"] = QUIET_CHALLENGE
            await send(message)

        await self._app(scope, receive, quietly)
