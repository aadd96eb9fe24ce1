"""The seam to Airflow's Variables, Connections and Pools: what the hosts offer of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Resource = Literal["variables", "connections", "pools"]


@dataclass(frozen=True)
class Variable:
    """As Airflow shows it: where the key or the value tells of a secret, `value` is masked and `masked` is set.

    `value` is None where it can't be decrypted.
    """

    key: str
    value: str | None
    masked: bool
    description: str | None


@dataclass(frozen=True)
class Connection:
    """As Airflow shows it: a password is masked, and so are secrets in `extra`, which is JSON."""

    conn_id: str
    conn_type: str
    description: str | None
    host: str | None
    login: str | None
    password: str | None
    schema: str | None
    port: int | None
    extra: str | None


@dataclass(frozen=True)
class NewConnection:
    """What a connection is to be: by its parts, or by a URI that has them."""

    conn_id: str
    uri: str | None = field(default=None, repr=False)
    conn_type: str | None = None
    description: str | None = None
    host: str | None = None
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    schema: str | None = None
    port: int | None = None
    extra: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Pool:
    name: str
    slots: int
    description: str | None
    include_deferred: bool


class EntityChanges(Protocol):
    """Changes that become visible together, when the context ends."""

    def has(self, resource: Resource, name: str) -> bool: ...

    def put_variable(self, key: str, value: str, description: str | None) -> None:
        """A description of None leaves the one that is there."""
        ...

    def put_connection(self, wanted: NewConnection) -> None:
        """Raises BadRequest where its parts make no connection."""
        ...

    def put_pool(self, wanted: Pool) -> None: ...

    def patch(self, resource: Resource, name: str, parts: Mapping[str, Any]) -> None:
        """Change these parts alone, by their names in Variable, Connection or Pool. Raises NotFound."""
        ...

    def delete(self, resource: Resource, name: str) -> None:
        """Raises NotFound."""
        ...

    def audit(self, event: str, user_name: str, details: dict[str, object]) -> None: ...


class Entities(Protocol):
    """By name; what is in Airflow's database, not in other secrets backends."""

    def variables(self, key: str | None = None) -> Sequence[Variable]:
        """All of them, or the one of this key."""
        ...

    def connections(self, conn_id: str | None = None) -> Sequence[Connection]: ...

    def pools(self, name: str | None = None) -> Sequence[Pool]: ...

    def change(self) -> AbstractContextManager[EntityChanges]: ...
