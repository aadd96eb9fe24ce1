"""Who is calling, through whichever auth manager Airflow 3 runs."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any, cast

import httpx
from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
from airflow.api_fastapi.auth.managers.models.resource_details import (
    ConnectionDetails,
    DagAccessEntity,
    DagDetails,
    PoolDetails,
    VariableDetails,
)
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.configuration import conf
from airflow.models.dag import DagModel
from airflow.utils.session import create_session
from jwt import InvalidTokenError
from sqlalchemy import select

from xtended.airflow_host.entities import Resource
from xtended.airflow_host.identity import (
    NO_DAG,
    BasicCredentials,
    Credentials,
    LoginProvider,
    Method,
    OtherCredentials,
    SessionCredentials,
    User,
)
from xtended.airflow_host.logins import LoginCache
from xtended.airflow_host.roles import administers

log = logging.getLogger(__name__)

# What an answer of `POST /token` means that is neither a token nor a failure of the server: the auth
# manager has no password login (404, 405), or these are not the right credentials.
_REFUSALS = frozenset({400, 401, 403, 404, 405, 422})
# FAB keeps rights on single DAGs under these resource names.
_FAB_DAG_PREFIX = "DAG:"


class AuthManagerIdentity:
    """`identity.Identity` on top of `BaseAuthManager`."""

    session_cookie = COOKIE_NAME_JWT_TOKEN

    def __init__(self, login_seconds: float) -> None:
        self._logins: LoginCache[str] = LoginCache(login_seconds)
        self._login_app: Any = None
        self._lock = threading.Lock()

    def authenticate(self, credentials: Credentials) -> User | None:
        if isinstance(credentials, BasicCredentials):
            return self._from_password(credentials.username, credentials.password)
        if isinstance(credentials, OtherCredentials):
            return None
        token = credentials.cookie if isinstance(credentials, SessionCredentials) else credentials.token
        return _from_token(token)

    def log_in(self, username: str, password: str, provider: LoginProvider) -> User | None:
        del provider  # The auth manager has one.
        return self._from_password(username, password)

    def token(self, user: User, seconds: int) -> str:
        return str(
            get_auth_manager().generate_jwt(cast(Any, user.native), expiration_time_in_seconds=seconds)
        )

    def named(self, name: str) -> User | None:
        manager = get_auth_manager()
        if isinstance(manager, SimpleAuthManager):
            found = next((user for user in manager.get_users() if user.username == name), None)
        else:
            found = _fab_user(manager, name)
        return None if found is None else User(found.get_name(), found)

    def may(self, user: User, method: Method, entity: str | None, dag_id: str | None) -> bool:
        details = DagDetails(id=NO_DAG) if dag_id is None else DagDetails(id=dag_id, team_name=_team(dag_id))
        return get_auth_manager().is_authorized_dag(
            method=cast(Any, method),
            access_entity=DagAccessEntity[entity] if entity else None,
            details=details,
            user=user.native,
        )

    def may_use(self, user: User, method: Method, resource: Resource, name: str | None) -> bool:
        manager = get_auth_manager()
        who: Any = {"method": method, "user": user.native}
        match resource:
            case "variables":
                variable = None if name is None else VariableDetails(key=name)
                return manager.is_authorized_variable(**who, details=variable)
            case "connections":
                connection = None if name is None else ConnectionDetails(conn_id=name)
                return manager.is_authorized_connection(**who, details=connection)
            case "pools":
                pool = None if name is None else PoolDetails(name=name)
                return manager.is_authorized_pool(**who, details=pool)

    def administers(self, user: User) -> bool:
        found = administers(user.native)
        if found is None:
            return get_auth_manager().is_authorized_configuration(method="PUT", user=cast(Any, user.native))
        return found

    def may_some(self, user: User, method: Method, entity: str | None) -> bool:
        if self.may(user, method, entity, None):
            return True
        native: Any = user.native
        if hasattr(native, "perms"):
            # FAB lists existing DAGs alone, but rights may wait for a DAG that is not there yet.
            dag_ids = {
                resource.removeprefix(_FAB_DAG_PREFIX)
                for _, resource in native.perms
                if resource.startswith(_FAB_DAG_PREFIX)
            }
        else:
            dag_ids = get_auth_manager().get_authorized_dag_ids(user=native, method=cast(Any, method))
        return any(self.may(user, method, entity, dag_id) for dag_id in dag_ids)

    def _from_password(self, username: str, password: str) -> User | None:
        token = self._logins.get(username, password)
        if token is not None:
            user = _from_token(token)
            if user is not None:
                return user
            # Expired, revoked, or the account is gone: the password has to prove itself again.
            self._logins.forget(username, password)
        token = asyncio.run(self._fetch_token(username, password))
        if token is None:
            return None
        user = _from_token(token)
        if user is not None:
            self._logins.remember(username, password, token)
        return user

    async def _fetch_token(self, username: str, password: str) -> str | None:
        """A token from the auth manager's own `POST /token`, called in process."""
        transport = httpx.ASGITransport(app=self._auth_app())
        async with httpx.AsyncClient(transport=transport, base_url="http://auth-manager") as client:
            answer = await client.post("/token", json={"username": username, "password": password})
        if answer.status_code in _REFUSALS:
            return None
        answer.raise_for_status()
        return str(answer.json()["access_token"])

    def _auth_app(self) -> Any:
        with self._lock:
            if self._login_app is None:
                self._login_app = get_auth_manager().get_fastapi_app() or _no_login_app
            return self._login_app


def _from_token(token: str) -> User | None:
    try:
        native = asyncio.run(get_auth_manager().get_user_from_token(token))
    except InvalidTokenError:
        return None
    return User(native.get_name(), native)


def _fab_user(manager: Any, name: str) -> Any:
    """The user of this name, for an auth manager that keeps Flask-AppBuilder's table; None for any other."""
    try:
        from airflow.providers.fab.auth_manager.fab_auth_manager import FabAuthManager
        from airflow.providers.fab.auth_manager.models import User as FabUser
    except ImportError:
        return None
    if not isinstance(manager, FabAuthManager):
        return None
    with create_session() as session:
        user_id = session.scalar(select(FabUser.id).where(FabUser.username == name))
    try:
        return None if user_id is None else manager.deserialize_user({"sub": str(user_id)})
    except (ValueError, InvalidTokenError):
        # What Airflow raises where the account may not log in.
        return None


def _team(dag_id: str) -> str | None:
    if not conf.getboolean("core", "multi_team", fallback=False):
        return None
    return DagModel.get_team_name(dag_id)


async def _no_login_app(scope: Any, receive: Any, send: Any) -> None:
    """Stands in for an auth manager that brings no application: there is no password login."""
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})
