"""Passwords into tokens, as the older plugin for managed DAGs had them: logging in, staying so, and leaving."""

from __future__ import annotations

from dataclasses import dataclass

from xtended.access import wrong_credentials
from xtended.airflow_host.identity import LoginProvider, User, VouchedCredentials
from xtended.problems import Conflict, Unauthenticated
from xtended.services import Services

REFRESH_TOKEN = "refresh token"  # noqa: S105 - what the spec calls the kind
"""The `bearerFormat` by which the bindings tell the scheme of refresh tokens from that of access tokens."""


@dataclass(frozen=True)
class Tokens:
    """`access` is one that Airflow's auth manager knows; `refresh` is None where none was asked for."""

    access: str
    refresh: str | None


def log_in(
    services: Services, address: str, username: str, password: str, provider: LoginProvider, *, refresh: bool
) -> Tokens:
    """Raises Unauthenticated, TooManyAttempts, Conflict (no refresh tokens with this auth manager)."""
    identity = services.host.identity
    with services.attempts().attempt(username, address) as succeed:
        user = identity.log_in(username, password, provider)
        if user is None:
            raise Unauthenticated("The user name or the password is wrong.")
        succeed()
    if refresh and identity.named(user.name) is None:
        raise Conflict(
            "Airflow's auth manager keeps no users that could be looked up later, so there are no refresh tokens: "
            "log in without `refresh`."
        )
    return Tokens(
        access_token(services, user), services.refresh_tokens().issue(user.name) if refresh else None
    )


def access_token(services: Services, user: User) -> str:
    """A new one, for the time that the settings give it."""
    return services.host.identity.token(user, services.settings.access_token_seconds)


def holder(services: Services, token: str) -> VouchedCredentials:
    """Whose refresh token this is. Raises Unauthenticated, also where the account is gone."""
    name = services.refresh_tokens().user(token)
    user = None if name is None else services.host.identity.named(name)
    if user is None:
        raise wrong_credentials()
    return VouchedCredentials(user)
