"""Make the users of a Flask-AppBuilder installation: {name: password} as JSON on standard input.

Runs as a program of its own, inside the environment of the Airflow that the users are for. The passwords
come by standard input because a command line can be read by every user of the machine.
"""

from __future__ import annotations

import json
import sys

from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder


def make_users(passwords: dict[str, str]) -> None:
    """Create each user with the role of the same name, or give an existing one this password."""
    with get_application_builder() as builder:
        security = builder.sm
        security.sync_roles()
        for name, password in passwords.items():
            role = security.find_role(name.capitalize())
            user = security.find_user(username=name)
            if user:
                security.reset_password(user.id, password)
            elif not security.add_user(name, name, "local", f"{name}@localhost", role, password):
                raise SystemExit(f"the user {name} could not be made")


if __name__ == "__main__":
    make_users(json.load(sys.stdin))
