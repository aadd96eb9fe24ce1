"""The functions of the older plugins, each by the operation that it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from xtended.api import Call
from xtended.legacy.envelopes import Exchange
from xtended.legacy.functions import argument_names
from xtended.legacy.translation import Asked, translate
from xtended.problems import BadRequest, Problem


class OlderFailure(Problem):
    """A failed call, in the older plugins' words."""

    media_type: ClassVar[str] = "application/json"

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(str(status))
        self.status = status  # type: ignore[misc]
        self._body = dict(body)

    def body(self) -> dict[str, Any]:
        return self._body


def call_older_function(
    call: Call, api: str, body: Mapping[str, Any] | None = None, **arguments: Any
) -> Mapping[str, Any]:
    names = argument_names()
    files = {name: value for name, value in arguments.items() if not isinstance(value, str)}
    query = {names[name]: value for name, value in arguments.items() if name not in files}
    exchange = Exchange(Asked(api, query, {**(body or {}), **files}))
    try:
        meant = translate(exchange.asked)
        reply = call.services.relay(meant.route.operation, meant.arguments, call.user)
    except BadRequest as problem:
        raise OlderFailure(problem.status, exchange.failed(problem.status, problem.body())) from None
    if reply.status != 200:
        raise OlderFailure(reply.status, exchange.failed(reply.status, reply.body))
    return exchange.succeeded(meant, reply.body)


# The forms differ in the spec alone: by GET without the session cookie, and under two addresses.
call_older_function_by_get = call_older_function
call_older_admin_function = call_older_function
call_older_admin_function_by_get = call_older_function
