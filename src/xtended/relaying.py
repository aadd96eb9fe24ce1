"""What it takes to call one operation of the spec from within another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from xtended.airflow_host.identity import User

VOUCHED_FOR = "xtended.user"
"""Where a request made in process says whose it is: in the scope or environment, which no client can write to."""


@dataclass(frozen=True)
class Reply:
    status: int
    body: Mapping[str, Any]


class Relay(Protocol):
    """Each binding of the contract has its own."""

    def __call__(self, operation_id: str, arguments: Mapping[str, Any], user: User) -> Reply:
        """Validated, authorised and answered as if it had come over the network."""
        ...
