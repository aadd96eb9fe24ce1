"""The security schemes of the contract for Connexion 2: each asks the gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from connexion.security import FlaskSecurityHandlerFactory
from flask import request

from xtended.access import admit
from xtended.airflow_host.identity import (
    BasicCredentials,
    BearerCredentials,
    Credentials,
    OtherCredentials,
    SessionCredentials,
    VouchedCredentials,
)
from xtended.api import Operation
from xtended.authentication import REFRESH_TOKEN, holder
from xtended.binding import utf8
from xtended.legacy.token import check_token
from xtended.relaying import VOUCHED_FOR
from xtended.services import Services


class Gate(FlaskSecurityHandlerFactory):
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
