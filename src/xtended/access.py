"""Who may call: the `x-airflow-access` rule of each operation, and the checks that both hosts share.

A rule's `scope` says what is checked before the request's body is read:

- `open`: nothing; anyone may call.
- `login`: nothing; the caller is about to say who they are. The handler is told where they ask from.
- `authenticated`: the caller is a known user. A `method` says no more than whether something is changed.
- `all`: the caller has the right on all DAGs.
- `each`: the caller has the right on some DAG; which ones the request touches is known only later, and is
  checked then by `require_dags`.
- `variables`, `connections`, `pools`: the caller has the right on these; where it is narrower for some, on
  the one that the request names, `require_named` checks that.
- `administrator`: the caller administers Airflow. A `method` says no more than whether something is changed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args
from urllib.parse import urlsplit

from xtended.airflow_host.entities import Resource
from xtended.airflow_host.identity import (
    Credentials,
    Identity,
    Method,
    SessionCredentials,
    User,
    VouchedCredentials,
)
from xtended.problems import Forbidden, MethodNotAllowed, Unauthenticated

Scope = Literal[
    "open", "login", "authenticated", "all", "each", "variables", "connections", "pools", "administrator"
]
UNGUARDED = frozenset({"open", "login"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CHALLENGE = 'Basic realm="Airflow", Bearer realm="Airflow"'
_VERBS: Mapping[str, str] = {"GET": "read", "POST": "create", "PUT": "edit", "DELETE": "delete"}


class RuleError(ValueError):
    """An `x-airflow-access` that can't be enforced."""


@dataclass(frozen=True)
class Rule:
    """The Airflow permission that an operation needs."""

    scope: Scope
    method: Method = "GET"
    entity: str | None = None

    @classmethod
    def read(cls, declared: Any) -> Rule:
        """A rule as the spec declares it. Raises RuleError where it can't be enforced."""
        if not isinstance(declared, Mapping):
            raise RuleError("x-airflow-access is missing")
        unknown = set(declared) - {"scope", "method", "entity"}
        scope, method = declared.get("scope"), declared.get("method")
        if unknown or scope not in get_args(Scope):
            raise RuleError(f"x-airflow-access {dict(declared)!r} is not understood")
        if scope in UNGUARDED or (scope == "authenticated" and method is None):
            return cls(cast(Scope, scope))
        if method not in get_args(Method):
            raise RuleError(f"x-airflow-access {dict(declared)!r} names no method")
        return cls(cast(Scope, scope), cast(Method, method), declared.get("entity"))


def missing_credentials() -> Unauthenticated:
    return Unauthenticated(
        "This operation needs credentials: HTTP basic, or a bearer token of Airflow.",
        headers={"WWW-Authenticate": CHALLENGE},
    )


def wrong_credentials() -> Unauthenticated:
    return Unauthenticated("The credentials are not valid.", headers={"WWW-Authenticate": CHALLENGE})


def admit(
    identity: Identity,
    rule: Rule,
    credentials: Credentials | VouchedCredentials,
    http_method: str,
    headers: Mapping[str, str],
) -> User:
    """The caller, where the rule lets them in. Raises Unauthenticated, Forbidden or MethodNotAllowed.

    May block. `headers` are the request's, by lower-case name.
    """
    if http_method.upper() == "HEAD" and rule.method != "GET":
        # Web frameworks answer HEAD with the handler of GET, and the older GET forms change things.
        raise MethodNotAllowed(
            "HEAD is for reading, and this operation changes something.", headers={"Allow": "GET"}
        )
    if isinstance(credentials, SessionCredentials) and http_method.upper() not in SAFE_METHODS:
        _require_same_origin(headers)
    user = (
        credentials.user
        if isinstance(credentials, VouchedCredentials)
        else identity.authenticate(credentials)
    )
    if user is None:
        raise wrong_credentials()
    if rule.scope == "all" and not identity.may(user, rule.method, rule.entity, None):
        raise _missing_right(rule, None)
    if rule.scope in get_args(Resource):
        resource = cast(Resource, rule.scope)
        if not identity.may_use(user, rule.method, resource, None):
            raise _lacks(rule.method, resource)
    if rule.scope == "administrator" and not identity.administers(user):
        raise Forbidden("Only administrators of Airflow may do this.")
    if rule.scope == "each" and not identity.may_some(user, rule.method, rule.entity):
        raise _missing_right(rule, None)
    return user


def require_dags(identity: Identity, rule: Rule, user: User, dag_ids: Collection[str]) -> None:
    """Raise Forbidden, naming the DAGs, unless the user has the rule's right on each. None given: on all."""
    if not dag_ids:
        if not identity.may(user, rule.method, rule.entity, None):
            raise _missing_right(rule, None)
        return
    refused = sorted(
        dag_id for dag_id in set(dag_ids) if not identity.may(user, rule.method, rule.entity, dag_id)
    )
    if refused:
        raise _missing_right(rule, refused)


def require_named(identity: Identity, user: User, method: Method, resource: Resource, name: str) -> None:
    """Raise Forbidden unless the user may use `method` on this Variable, Connection or Pool."""
    if not identity.may_use(user, method, resource, name):
        raise _lacks(method, f"{resource[:-1]} {name!r}")


def _lacks(method: Method, what: str) -> Forbidden:
    return Forbidden(f"You lack the right to {_VERBS[method]} ({method}) {what}.", missing_right=method)


def _missing_right(rule: Rule, dag_ids: list[str] | None) -> Forbidden:
    part = f" {rule.entity.lower().replace('_', ' ')} of" if rule.entity else ""
    if dag_ids is None:
        which = "all DAGs" if rule.scope == "all" else "DAGs"
    else:
        which = ("DAG " if len(dag_ids) == 1 else "DAGs ") + ", ".join(repr(dag_id) for dag_id in dag_ids)
    return Forbidden(
        f"You lack the right to {_VERBS[rule.method]} ({rule.method}){part} {which}.",
        missing_right=rule.method,
        dag_ids=dag_ids or [],
    )


def _require_same_origin(headers: Mapping[str, str]) -> None:
    """A change by session cookie must come from Airflow's own pages, not from a page someone was led to."""
    site = headers.get("sec-fetch-site")
    if site == "same-origin":
        return
    origin = headers.get("origin")
    if site is None and origin and urlsplit(origin).netloc.lower() == headers.get("host", "").lower():
        return
    raise Forbidden(
        "A change with the session cookie must come from Airflow's own pages; "
        "elsewhere, send an Authorization header.",
    )
