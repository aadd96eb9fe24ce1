"""Who is calling, how they prove it, and what the host's auth manager lets them do: part of the seam."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from xtended.airflow_host.entities import Resource

Method = Literal["GET", "POST", "PUT", "DELETE"]
LoginProvider = Literal["db", "ldap"]


@dataclass(frozen=True)
class User:
    """Someone who has proved who they are; `native` is the host's own user object."""

    name: str
    native: Any = field(repr=False, compare=False)


@dataclass(frozen=True)
class BasicCredentials:
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class BearerCredentials:
    token: str = field(repr=False)


@dataclass(frozen=True)
class SessionCredentials:
    """The session cookie of Airflow's own UI."""

    cookie: str = field(repr=False)


@dataclass(frozen=True)
class OtherCredentials:
    """An Authorization header of another scheme, such as Negotiate; some hosts have use for it."""

    header: str = field(repr=False)


@dataclass(frozen=True)
class VouchedCredentials:
    """A user whom this extension itself has proved, by a token of its own or in an earlier request."""

    user: User


Credentials = BasicCredentials | BearerCredentials | SessionCredentials | OtherCredentials


NO_DAG = "*"
"""To ask an auth manager about all DAGs: no DAG can have this id, so a right on it comes with the right on all alone.

Asked about no DAG, Flask-AppBuilder's says of some rights whether there is any DAG that they are good for.
"""


class Identity(Protocol):
    """Who is calling and what the host's auth manager lets them do."""

    @property
    def session_cookie(self) -> str:
        """Name of the cookie that Airflow's UI session uses."""
        ...

    def authenticate(self, credentials: Credentials) -> User | None:
        """The user, or None where the credentials are wrong."""
        ...

    def log_in(self, username: str, password: str, provider: LoginProvider) -> User | None:
        """The user, or None where the password is wrong; `provider` matters where Flask-AppBuilder keeps users."""
        ...

    def token(self, user: User, seconds: int) -> str:
        """A bearer token that `authenticate` takes for `seconds`, as long as the user may log in."""
        ...

    def named(self, name: str) -> User | None:
        """The user of this name, where there is one who may log in."""
        ...

    def may(self, user: User, method: Method, entity: str | None, dag_id: str | None) -> bool:
        """Whether `user` may use `method` on one DAG, or on all DAGs where `dag_id` is None.

        `entity` narrows it to a part of the DAG, named as Airflow's `DagAccessEntity` names it
        (CODE, RUN, TASK_INSTANCE, ...).
        """
        ...

    def may_use(self, user: User, method: Method, resource: Resource, name: str | None) -> bool:
        """Whether `user` may use `method` on one Variable, Connection or Pool, or on these at all."""
        ...

    def administers(self, user: User) -> bool:
        """Whether `user` is an administrator of Airflow."""
        ...

    def may_some(self, user: User, method: Method, entity: str | None) -> bool:
        """Whether `user` may use `method` on at least one DAG, existing or not."""
        ...
