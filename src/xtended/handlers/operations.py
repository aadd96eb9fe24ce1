"""Requests that go on after their answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xtended.api import Call
from xtended.lasting import shown


def list_operations(call: Call, state: str | None = None) -> Mapping[str, Any]:
    found = call.services.operations().list(state)
    return {"status": "success", "message": f"{len(found)} operation(s)", "operations": found}


def get_operation(call: Call, operation_id: str) -> Mapping[str, Any]:
    return shown(call.services.operations().show(operation_id))


def cancel_operation(call: Call, operation_id: str) -> Mapping[str, Any]:
    return shown(call.services.operations().cancel(operation_id))
