"""Logging in with a password, and staying logged in with a token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xtended import authentication
from xtended.api import Call, Visitor
from xtended.services import Services


def log_in(visitor: Visitor, body: Mapping[str, Any]) -> Mapping[str, Any]:
    tokens = authentication.log_in(
        visitor.services,
        visitor.address,
        body["username"],
        body["password"],
        body.get("provider", "db"),
        refresh=body.get("refresh", False),
    )
    found = {"status": "success", "message": "logged in", "access_token": tokens.access}
    return found if tokens.refresh is None else {**found, "refresh_token": tokens.refresh}


def refresh_access_token(call: Call) -> Mapping[str, Any]:
    token = authentication.access_token(call.services, call.user)
    return {"status": "success", "message": "renewed", "access_token": token}


def revoke_refresh_token(services: Services, body: Mapping[str, Any]) -> Mapping[str, Any]:
    services.refresh_tokens().revoke(body["refresh_token"])
    return {"status": "success", "message": "The token is of no use any more."}
