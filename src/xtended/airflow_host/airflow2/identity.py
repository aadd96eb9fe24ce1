"""Who is calling and what they may do, as Airflow 2's webserver decides it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from airflow.auth.managers.models.resource_details import (
    ConnectionDetails,
    DagAccessEntity,
    DagDetails,
    PoolDetails,
    VariableDetails,
)
from airflow.providers.fab.auth_manager.models import User as FabUser
from airflow.security.permissions import RESOURCE_DAG_PREFIX
from airflow.www.extensions.init_auth_manager import get_auth_manager
from flask import Response, current_app, g, request
from flask.globals import app_ctx
from flask_appbuilder.const import AUTH_DB, AUTH_LDAP
from flask_jwt_extended import create_access_token, decode_token
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt import InvalidTokenError

from xtended.airflow_host.entities import Resource
from xtended.airflow_host.identity import (
    NO_DAG,
    BasicCredentials,
    BearerCredentials,
    Credentials,
    LoginProvider,
    Method,
    OtherCredentials,
    SessionCredentials,
    User,
)
from xtended.airflow_host.logins import LoginCache
from xtended.airflow_host.roles import administers

_LOADED = "_xtended_fab_users"
_KEPT = ("REMOTE_ADDR", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "HTTP_HOST", "wsgi.url_scheme")


@dataclass(frozen=True)
class _FabUserId:
    """A row of the user table belongs to one request's database session; its id can be remembered longer."""

    value: int


class WebserverIdentity:
    """The `[api] auth_backends` prove who someone is; the auth manager says what they may.

    Every call needs the webserver's application context, `authenticate` a request too.
    """

    def __init__(self, login_seconds: float) -> None:
        self._logins: LoginCache[User] = LoginCache(login_seconds)

    @property
    def session_cookie(self) -> str:
        # Without an application, where plugins are only listed, the name is of no use.
        return str(current_app.config["SESSION_COOKIE_NAME"]) if current_app else "session"

    def authenticate(self, credentials: Credentials) -> User | None:
        if isinstance(credentials, BearerCredentials) and (user := _from_token(credentials.token)):
            return user
        if not isinstance(credentials, BasicCredentials):
            return self._ask_backends(credentials)
        user = self._logins.get(credentials.username, credentials.password)
        if user is None or _native(user) is None:
            user = self._ask_backends(credentials)
            if user is None:
                self._logins.forget(credentials.username, credentials.password)
            else:
                self._logins.remember(credentials.username, credentials.password, user)
        return user

    def log_in(self, username: str, password: str, provider: LoginProvider) -> User | None:
        manager: Any = current_app.appbuilder.sm  # type: ignore[attr-defined]
        # Users of another kind have no password here that could be compared.
        if manager.auth_type != {"db": AUTH_DB, "ldap": AUTH_LDAP}[provider]:
            return None
        check = manager.auth_user_db if provider == "db" else manager.auth_user_ldap
        found = check(username, password)
        return None if not found else User(name=found.get_name(), native=_FabUserId(found.id))

    def token(self, user: User, seconds: int) -> str:
        """Flask-AppBuilder's, as it makes them where its own `security/login` is served."""
        native = _native(user)
        return str(create_access_token(str(native.id), fresh=True, expires_delta=timedelta(seconds=seconds)))

    def named(self, name: str) -> User | None:
        found: Any = current_app.appbuilder.sm.find_user(username=name)  # type: ignore[attr-defined]
        if found is None or not found.is_active:
            return None
        return User(name=found.get_name(), native=_FabUserId(found.id))

    def challenge(self) -> str:
        """What the backends ask of someone whose credentials they do not take: a WWW-Authenticate."""
        asked: dict[str, None] = {}
        # Where there is a public role, some ask only those who bring something.
        for credentials in (None, OtherCredentials("Nothing")):
            with self._nothing_but(credentials):
                for backend in _backends():
                    headers = backend.requires_authentication(Response)().headers
                    asked.update(dict.fromkeys(headers.getlist("WWW-Authenticate")))
        return ", ".join(asked) or 'Cookie realm="Airflow"'

    def _ask_backends(self, credentials: Credentials) -> User | None:
        with self._nothing_but(credentials):
            for backend in _backends():
                answer = backend.requires_authentication(Response)()
                # A backend lets anonymous callers in where AUTH_ROLE_PUBLIC is set: that proves nothing.
                if answer.status_code == 200 and (user := _current_user()):
                    return user
        return None

    @contextmanager
    def _nothing_but(self, credentials: Credentials | None) -> Iterator[None]:
        """A request that carries these credentials alone.

        Backends look at the request, not at credentials: one that reads the session cookie would accept a
        wrong password that comes with a valid cookie. They also log the user in, which would start a session.
        """
        environ = {key: request.environ[key] for key in _KEPT if key in request.environ}
        environ.update(REQUEST_METHOD="GET", PATH_INFO="/", SCRIPT_NAME="", QUERY_STRING="")
        match credentials:
            case BasicCredentials(username, password):
                pair = base64.b64encode(f"{username}:{password}".encode()).decode()
                environ["HTTP_AUTHORIZATION"] = f"Basic {pair}"
            case BearerCredentials(token):
                environ["HTTP_AUTHORIZATION"] = f"Bearer {token}"
            case OtherCredentials(header):
                environ["HTTP_AUTHORIZATION"] = header
            case SessionCredentials(cookie):
                environ["HTTP_COOKIE"] = f"{self.session_cookie}={cookie}"
        outer = app_ctx.g
        app_ctx.g = current_app.app_ctx_globals_class()
        try:
            with current_app.request_context(environ):
                yield
        finally:
            app_ctx.g = outer

    def may(self, user: User, method: Method, entity: str | None, dag_id: str | None) -> bool:
        native = _native(user)
        return native is not None and bool(
            get_auth_manager().is_authorized_dag(
                method=method,
                access_entity=None if entity is None else DagAccessEntity[entity],
                details=DagDetails(id=NO_DAG if dag_id is None else dag_id),
                user=native,
            )
        )

    def may_use(self, user: User, method: Method, resource: Resource, name: str | None) -> bool:
        native = _native(user)
        if native is None:
            return False
        manager = get_auth_manager()
        who: Any = {"method": method, "user": native}
        match resource:
            case "variables":
                variable = None if name is None else VariableDetails(key=name)
                return bool(manager.is_authorized_variable(**who, details=variable))
            case "connections":
                connection = None if name is None else ConnectionDetails(conn_id=name)
                return bool(manager.is_authorized_connection(**who, details=connection))
            case "pools":
                pool = None if name is None else PoolDetails(name=name)
                return bool(manager.is_authorized_pool(**who, details=pool))

    def administers(self, user: User) -> bool:
        native = _native(user)
        found = False if native is None else administers(native)
        if found is None:
            return bool(get_auth_manager().is_authorized_configuration(method="PUT", user=native))
        return found

    def may_some(self, user: User, method: Method, entity: str | None) -> bool:
        if self.may(user, method, entity, None):
            return True
        native = _native(user)
        if native is None:
            return False
        if isinstance(native, FabUser):
            # The auth manager lists existing DAGs alone, but rights may wait for a DAG that is not there yet.
            dag_ids = {
                resource.removeprefix(RESOURCE_DAG_PREFIX)
                for _, resource in native.perms
                if resource.startswith(RESOURCE_DAG_PREFIX)
            }
        else:
            dag_ids = get_auth_manager().get_permitted_dag_ids(methods=[method], user=native)
        return any(self.may(user, method, entity, dag_id) for dag_id in dag_ids)


def _from_token(token: str) -> User | None:
    """The user of an access token that `token` has made; None for whatever else is in its place."""
    try:
        claims = decode_token(token)
        user_id = int(claims["sub"])
    except (JWTExtendedException, InvalidTokenError, ValueError, KeyError):
        return None
    if claims.get("type") != "access":
        return None
    user = User(name="", native=_FabUserId(user_id))
    native = _native(user)
    return None if native is None else replace(user, name=native.get_name())


def _backends() -> Iterable[Any]:
    backends: Iterable[Any] = current_app.api_auth  # type: ignore[attr-defined]
    return backends


def _current_user() -> User | None:
    native: Any = get_auth_manager().get_user()
    if hasattr(native, "_get_current_object"):
        native = native._get_current_object()
    if native is None or getattr(native, "is_anonymous", False):
        return None
    if isinstance(native, FabUser):
        return User(name=native.get_name(), native=_FabUserId(native.id))
    return User(name=native.get_name(), native=native)


def _native(user: User) -> Any:
    """The auth manager's own user; None where the account is gone or was deactivated."""
    if not isinstance(user.native, _FabUserId):
        return user.native
    loaded: dict[_FabUserId, Any] = g.setdefault(_LOADED, {})
    if user.native not in loaded:
        found = current_app.appbuilder.sm.get_user_by_id(user.native.value)  # type: ignore[attr-defined]
        loaded[user.native] = found if found is not None and found.is_active else None
    return loaded[user.native]
