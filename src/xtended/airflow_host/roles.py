"""Who administers Airflow, by the roles that its own auth managers give."""

from __future__ import annotations

from typing import Any

ADMINISTRATOR = "admin"


def administers(native: Any) -> bool | None:
    """Whether an auth manager's user has the role of administrators; None where its users have no roles."""
    if hasattr(native, "roles"):
        names = [role.name for role in native.roles]
    elif hasattr(native, "role"):
        names = [native.role or ""]
    else:
        return None
    return ADMINISTRATOR in {name.lower() for name in names}
