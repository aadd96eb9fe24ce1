"""The security schemes of the contract for Connexion 3: each asks the gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connexion.lifecycle import ConnexionRequest
from connexion.security import ApiKeySecurityHandler, BasicSecurityHandler, BearerSecurityHandler
from starlette.concurrency import run_in_threadpool

from xtended.access import Rule, admit
from xtended.airflow_host.identity import (
    BasicCredentials,
    BearerCredentials,
    Credentials,
    SessionCredentials,
    VouchedCredentials,
)
from xtended.api import Operation
from xtended.authentication import REFRESH_TOKEN, holder
from xtended.binding import utf8
from xtended.legacy.token import check_token
from xtended.relaying import VOUCHED_FOR
from xtended.services import Services


def security_map(services: Services, operations: Mapping[str, Operation]) -> dict[str, type]:
    """Connexion's handlers of the schemes, each asking the gate instead of a function that the spec names."""
    gate = _Gate(services, operations)

    class Basic(BasicSecurityHandler):
        def _resolve_func(self, security_scheme: Mapping[str, Any]) -> Any:
            return gate.basic

    class Bearer(BearerSecurityHandler):
        def _resolve_func(self, security_scheme: Mapping[str, Any]) -> Any:
            return gate.refresh if security_scheme.get("bearerFormat") == REFRESH_TOKEN else gate.bearer

    class Session(ApiKeySecurityHandler):
        def _resolve_func(self, security_scheme: Mapping[str, Any]) -> Any:
            return gate.session if security_scheme["in"] == "cookie" else gate.token

    return {"basic": Basic, "bearer": Bearer, "apiKey": Session}


class _Gate:
    """The security functions of the spec's schemes, for one mount."""

    def __init__(self, services: Services, operations: Mapping[str, Operation]) -> None:
        self._services = services
        self._operations = operations

    async def basic(self, username: str, password: str, request: ConnexionRequest) -> Mapping[str, Any]:
        return await self._admit(BasicCredentials(utf8(username), utf8(password)), request)

    async def bearer(self, token: str, request: ConnexionRequest) -> Mapping[str, Any]:
        return await self._admit(BearerCredentials(token), request)

    async def refresh(self, token: str, request: ConnexionRequest) -> Mapping[str, Any]:
        return await self._admit(await run_in_threadpool(holder, self._services, token), request)

    async def session(self, cookie: str, request: ConnexionRequest) -> Mapping[str, Any]:
        return await self._admit(SessionCredentials(cookie), request)

    async def token(self, token: str, request: ConnexionRequest) -> Mapping[str, Any] | None:
        vouched = await run_in_threadpool(check_token, self._services, token)
        return None if vouched is None else await self._admit(vouched, request)

    async def _admit(
        self, credentials: Credentials | VouchedCredentials, request: ConnexionRequest
    ) -> Mapping[str, Any]:
        rule = self._rule(request)
        if VOUCHED_FOR in request.scope:
            credentials = VouchedCredentials(request.scope[VOUCHED_FOR])
        headers = {name.lower(): value for name, value in request.headers.items()}
        identity = self._services.host.identity
        caller = await run_in_threadpool(admit, identity, rule, credentials, request.method, headers)
        return {"sub": caller.name, "caller": caller}

    def _rule(self, request: ConnexionRequest) -> Rule:
        routing = request.scope["extensions"]["connexion_routing"]
        return self._operations[routing["operation_id"]].rule
