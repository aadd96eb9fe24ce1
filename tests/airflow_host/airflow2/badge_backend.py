"""An authentication backend of `[api] auth_backends`, as an installation may bring its own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flask import Response, current_app, request
from flask_login import login_user

CLIENT_AUTH = None


def init_app(app: Any) -> None:
    """Nothing to prepare."""


def requires_authentication(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def decorated(*arguments: Any, **named: Any) -> Any:
        scheme, _, badge = request.headers.get("Authorization", "").partition(" ")
        if scheme not in ("Bearer", "Badge") or not badge.startswith("badge-of-"):
            return Response("", 401, {"WWW-Authenticate": "Badge"})
        login_user(current_app.appbuilder.sm.find_user(badge.removeprefix("badge-of-")))
        return function(*arguments, **named)

    return decorated
