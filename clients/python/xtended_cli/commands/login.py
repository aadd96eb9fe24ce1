"""login: a password becomes tokens, and the tokens a profile."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from xtended_cli import output, profiles
from xtended_cli.failures import reported
from xtended_cli.output import Json
from xtended_cli.session import Access, Session


@reported
def login(
    context: typer.Context,
    url: Annotated[str, typer.Argument(help="Where Airflow is, such as https://airflow.example.com.")],
    *,
    username: Annotated[
        str | None, typer.Option("--username", "-u", help="Asked for where left out.")
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    provider: Annotated[str, typer.Option(help="Where Airflow 2 keeps its users: db or ldap.")] = "db",
    as_json: Json = False,
) -> None:
    """Log in, and keep the tokens, never the password, in a profile."""
    from airflow_xtended_client import Login, SecurityApi

    access: Access = context.obj
    name = username or access.username or typer.prompt("Username", err=True)
    if password_stdin:
        password = sys.stdin.readline().rstrip("\n")
    else:
        password = access.password or typer.prompt("Password", hide_input=True, err=True)
    anyone = Session(url, Access(access.profile, ca_file=access.ca_file), None)
    tokens = anyone.call(
        lambda client: SecurityApi(client).log_in(
            Login(username=name, password=password, refresh=True, provider=provider)
        )
    )
    profiles.save(access.profile, profiles.Profile(anyone.url, tokens.access_token, tokens.refresh_token))
    if as_json:
        output.print_json({"status": "success", "profile": access.profile, "url": anyone.url})
    else:
        output.say(f"Logged in to {anyone.url} as {name}; kept as profile {access.profile}.")
